//! Invariants of collisions: no tunnelling, no gained energy, no dependence on order.

use super::*;
use crate::grid::Grid;
use throng_server::simulation::{Random, Seed};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::tick::Tick;

const TICK_S: f32 = 0.05;

fn random(seed: u64) -> Random {
    Seed(seed).of(GlobalId(1), Tick(1))
}

fn disc(x: f32, y: f32, vx: f32, vy: f32) -> Disc {
    Disc {
        position: Vec2::new(x, y),
        velocity: Vec2::new(vx, vy),
        radius: 0.5,
        inverse_mass: 1.0,
        ..Disc::default()
    }
}

fn all_pairs(count: usize) -> Vec<(u32, u32)> {
    let count = count as u32;
    (0..count)
        .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
        .collect()
}

fn tick(discs: &mut [Disc]) -> Vec<Contact> {
    let (pairs, mut contacts) = (all_pairs(discs.len()), Vec::new());
    Solver::default().solve(discs, &pairs, TICK_S, &mut contacts);
    contacts
}

/// Returns the kinetic energy of all discs, computed in f64 so that the measurement adds no error of its own.
fn energy(discs: &[Disc]) -> f64 {
    let of = |disc: &Disc| {
        let (x, y) = (f64::from(disc.velocity.x), f64::from(disc.velocity.y));
        (x * x + y * y) / f64::from(disc.inverse_mass)
    };
    discs.iter().filter(|disc| disc.inverse_mass > 0.0).map(of).sum()
}

fn momentum(discs: &[Disc]) -> [f64; 2] {
    let of = |axis: fn(&Disc) -> f32| {
        discs
            .iter()
            .map(|disc| f64::from(axis(disc)) / f64::from(disc.inverse_mass))
            .sum()
    };
    [of(|disc| disc.velocity.x), of(|disc| disc.velocity.y)]
}

/// Returns discs of many sizes that do not overlap, flying through each other at up to `speed`.
fn crowd(seed: u64, count: usize, side: f32, speed: f32) -> Vec<Disc> {
    let mut random = random(seed);
    let mut discs: Vec<Disc> = Vec::new();
    while discs.len() < count {
        let radius = random.within(0.3, 2.0);
        let candidate = Disc {
            radius,
            inverse_mass: 1.0 / (radius * radius),
            ..disc(
                random.within(-side, side),
                random.within(-side, side),
                random.within(-speed, speed),
                random.within(-speed, speed),
            )
        };
        let clear = |other: &Disc| other.position.distance(candidate.position) > other.radius + radius + 0.1;
        if discs.iter().all(clear) {
            discs.push(candidate);
        }
    }
    discs
}

#[test]
fn discs_never_tunnel_at_any_speed() {
    for seed in 0..200 {
        let mut random = random(seed);
        // A wall of small discs that nothing moves, and a fast disc that flies at it from either side.
        let mut discs: Vec<Disc> = (-20..=20).map(|n| disc(0.0, n as f32 * 0.9, 0.0, 0.0)).collect();
        discs.iter_mut().for_each(|disc| disc.inverse_mass = 0.0);
        let side = if seed % 2 == 0 { -1.0 } else { 1.0 };
        let speed = random.within(5.0, 2_000.0);
        discs.push(disc(
            side * random.within(1.2, 30.0),
            random.within(-10.0, 10.0),
            -side * speed,
            0.0,
        ));
        for n in 0..60 {
            tick(&mut discs);
            let last = discs.last().unwrap();
            assert!(last.position.x * side > 0.4, "seed {seed}, tick {n}: {last:?}");
        }
    }
}

#[test]
fn disc_pushed_into_a_wall_is_not_passed_through() {
    let wall = Disc {
        inverse_mass: 0.0,
        ..disc(5.0, 0.0, 0.0, 0.0)
    };
    let mut discs = [wall, disc(3.9, 0.0, 60.0, 0.0), disc(2.5, 0.0, 60.0, 0.0)];
    for n in 0..20 {
        tick(&mut discs);
        let [wall, front, back] = discs.map(|disc| disc.position.x);
        assert!(back < front - 0.9 && front < wall - 0.9, "tick {n}: {discs:?}");
    }
}

#[test]
fn collisions_never_gain_energy_and_keep_momentum() {
    for seed in 0..50 {
        let mut discs = crowd(seed, 60, 18.0, 40.0);
        let (start, kept) = (energy(&discs), momentum(&discs));
        let mut before = start;
        let mut contacts = 0;
        for n in 0..60 {
            contacts += tick(&mut discs).len();
            let after = energy(&discs);
            assert!(
                after <= before * (1.0 + 1e-6),
                "seed {seed}, tick {n}: {before} to {after}"
            );
            before = after;
        }
        assert!(contacts > 20, "seed {seed}: only {contacts} contacts");
        let now = momentum(&discs);
        let scale = (start * 60.0).sqrt();
        assert!(
            (now[0] - kept[0]).abs() + (now[1] - kept[1]).abs() < scale * 1e-4,
            "seed {seed}: {kept:?} {now:?}"
        );
    }
}

#[test]
fn pile_of_discs_comes_to_rest_without_overlap() {
    let mut discs = crowd(7, 80, 20.0, 0.0);
    discs.insert(
        0,
        Disc {
            radius: 4.0,
            inverse_mass: 0.0,
            ..disc(0.0, 30.0, 0.0, 0.0)
        },
    );
    let mut settled = Vec::new();
    for n in 0..1_200 {
        let centre = discs[0].position;
        for disc in &mut discs[1..] {
            // Pulled together, and slowed like asteroids.
            let pull = (centre - disc.position).normalize() * 4.0;
            disc.velocity = disc.velocity * 0.9 + pull * TICK_S;
        }
        tick(&mut discs);
        if n == 1_000 {
            settled.clone_from(&discs);
        }
    }
    for (a, b) in all_pairs(discs.len()) {
        let (one, two) = (&discs[a as usize], &discs[b as usize]);
        let overlap = one.radius + two.radius - one.position.distance(two.position);
        assert!(overlap < 0.15, "{a} is {overlap} inside {b}");
    }
    let moved = |(now, past): (&Disc, &Disc)| now.position.distance(past.position);
    let farthest = discs.iter().zip(&settled).map(moved).fold(0.0, f32::max);
    let fastest = discs
        .iter()
        .map(|disc| disc.velocity.length())
        .fold(0.0, f32::max);
    // Pressed discs do not move. The speed that is left from the pull stays bounded.
    assert!(
        farthest < 0.3 && fastest < 4.0,
        "the pile boils: {farthest} units in ten seconds, {fastest} a second"
    );
}

#[test]
fn broad_phase_does_not_change_the_result() {
    for seed in 0..30 {
        let mut brute = crowd(seed, 150, 40.0, 60.0);
        let mut fast = brute.clone();
        let (mut grid, mut pairs, mut contacts) = (Grid::default(), Vec::new(), Vec::new());
        let mut touched = 0;
        for n in 0..40 {
            let expected = tick(&mut brute);
            grid.fill(&fast, 100.0, TICK_S);
            grid.pairs(|_, _| true, &mut pairs);
            Solver::default().solve(&mut fast, &pairs, TICK_S, &mut contacts);
            assert_eq!(contacts, expected, "seed {seed}, tick {n}");
            assert_eq!(fast, brute, "seed {seed}, tick {n}");
            touched += contacts.len();
        }
        assert!(touched > 20, "seed {seed}: only {touched} contacts");
    }
}

#[test]
fn collisions_do_not_depend_on_the_order_of_rows() {
    for seed in 0..30 {
        let discs = crowd(seed, 60, 15.0, 50.0);
        // As in the table of bodies: discs in any order are solved in the order of their ids.
        let mut order: Vec<usize> = (0..discs.len()).collect();
        let mut random = random(seed + 1_000);
        for index in (1..order.len()).rev() {
            order.swap(index, random.bits() as usize % (index + 1));
        }
        let mut shuffled: Vec<(usize, Disc)> = order.iter().map(|&id| (id, discs[id])).collect();
        let mut straight = discs.clone();
        for n in 0..30 {
            tick(&mut straight);
            shuffled.sort_by_key(|&(id, _)| id);
            let mut rows: Vec<Disc> = shuffled.iter().map(|&(_, disc)| disc).collect();
            tick(&mut rows);
            assert_eq!(rows, straight, "seed {seed}, tick {n}");
            shuffled = order.iter().map(|&id| (id, rows[id])).collect();
        }
        // Another order of pairs changes only the last bits of sums.
        let (mut ahead, mut back) = (discs.clone(), discs);
        let (mut pairs, mut contacts) = (all_pairs(ahead.len()), Vec::new());
        Solver::default().solve(&mut ahead, &pairs, TICK_S, &mut contacts);
        pairs.reverse();
        Solver::default().solve(&mut back, &pairs, TICK_S, &mut contacts);
        for (one, other) in ahead.iter().zip(&back) {
            assert!(
                one.position.distance(other.position) < 1e-3,
                "seed {seed}: {one:?} {other:?}"
            );
            assert!(
                one.velocity.distance(other.velocity) < 1e-3,
                "seed {seed}: {one:?} {other:?}"
            );
        }
    }
}

#[test]
fn discs_that_fly_side_by_side_do_not_stop_each_other() {
    let mut discs = [disc(0.0, 0.0, 20.0, 0.0), disc(1.0, 0.0, 20.0, 0.0)];
    discs[0].velocity.x += 0.5;
    for _ in 0..20 {
        tick(&mut discs);
    }
    assert!(discs.iter().all(|disc| disc.position.x > 19.0), "{discs:?}");
}

#[test]
fn sensor_stops_at_what_it_hits_without_pushing_it() {
    let missile = Disc {
        is_sensor: true,
        ..disc(0.0, 0.0, 80.0, 0.0)
    };
    let mut discs = [missile, disc(3.0, 0.2, 0.0, 0.0)];
    let contacts = tick(&mut discs);
    assert_eq!(contacts.len(), 1);
    assert!(contacts[0].speed > 70.0, "{contacts:?}");
    assert_eq!(discs[1], disc(3.0, 0.2, 0.0, 0.0));
    assert!(discs[0].position.x < 2.1, "{discs:?}");
}
