//! Players whose session is gone keep their simulation, migrate, and are found there when their client joins again.

use super::*;
use crate::simulation::{
    Avatar, Away, JoinAppExt, JoinRequest, Linger, Player, PlayerLeft, Players, Refusal,
};

/// A client that the crowd does not have.
const CLIENT: u64 = 1_000_000;

/// Ticks that players linger.
const LINGER: u32 = 30;

fn process(seed: u64) -> Process {
    let mut process = Process::new(&chessboard(3), CONFIG, seed);
    process.each(|world| world.insert_resource(Linger(TICK * LINGER)));
    (0..20).for_each(|_| drop(process.tick()));
    process
}

impl Process {
    fn session(&self, number: u64) -> SessionKey {
        let session = SessionId {
            index: 1_000 + number as u32,
            generation: 0,
        };
        SessionKey { worker: 0, session }
    }

    /// Announces a session of the client on the link of a simulation.
    fn arrive(&mut self, link: usize, number: u64) -> SessionKey {
        let key = self.session(number);
        let at = TICK * self.tick.0;
        self.apps[link].1.announce(ToSimulation::Joined {
            key,
            client_id: CLIENT,
            number,
            name: PlayerName::default(),
            kind: PeerKind::Throng,
            at,
        });
        key
    }

    fn end(&mut self, link: usize, key: SessionKey, reason: LeaveReason) {
        self.apps[link].1.announce(ToSimulation::Left { key, reason });
    }

    /// Runs ticks, after each of which all simulations agree on where each client's player is.
    fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.tick();
            let tables = self.each(|world| world.resource::<Simulations>().clients.clone());
            assert!(
                tables.windows(2).all(|pair| pair[0] == pair[1]),
                "seed {}",
                self.seed
            );
        }
    }

    /// Returns the only simulation that has the client's player, with the player and whether it is away.
    fn player(&mut self) -> Option<(usize, Player, bool)> {
        let found = self.each(|world| {
            let entity = world.resource::<Players>().of_client(CLIENT)?;
            Some((*world.get::<Player>(entity)?, world.get::<Away>(entity).is_some()))
        });
        let mut found = found.into_iter().enumerate();
        let found: Vec<_> = found
            .by_ref()
            .filter_map(|(simulation, player)| player.map(|(player, is_away)| (simulation, player, is_away)))
            .collect();
        assert!(found.len() <= 1, "{found:?}");
        found.first().copied()
    }

    /// Moves the avatar of the client's player to a cell of another simulation.
    fn carry_over(&mut self, from: usize) {
        let world = self.apps[from].0.world_mut();
        let player = world.resource::<Players>().of_client(CLIENT).unwrap();
        let avatar = world.get::<Avatar>(player).unwrap().0;
        let mut position = world.get_mut::<Position>(avatar).unwrap();
        position.0.x = if position.0.x > 0.0 {
            position.0.x - 1.0
        } else {
            position.0.x + 1.0
        };
    }
}

fn refuse(InRef(request): InRef<JoinRequest>) -> Result<(), Refusal> {
    match request.client_id {
        CLIENT => Err(Refusal::new("not you")),
        _ => Ok(()),
    }
}

#[test]
fn a_client_that_is_refused_is_remembered_by_no_simulation() {
    for link in 0..3 {
        let mut process = process(1);
        for (app, _) in &mut process.apps {
            app.may_join(refuse);
        }
        let key = process.arrive(link, 1);
        process.run(3);
        process.end(link, key, LeaveReason::Refused);
        process.run(5);
        assert!(process.player().is_none(), "link {link}");
        let known = process.each(|world| world.resource::<Simulations>().clients.contains_key(&CLIENT));
        assert_eq!(known, [false; 3], "link {link}");
    }
}

#[test]
fn a_client_that_returns_reaches_the_simulation_that_its_player_went_to() {
    for seed in seeds(0..10, 2) {
        let mut process = process(seed);
        let first = process.arrive(0, 1);
        process.run(5);
        let (home, joined, _) = process.player().unwrap();
        process.end(0, first, LeaveReason::TimedOut);
        process.run(1);
        assert!(
            process.player().is_some_and(|(.., is_away)| is_away),
            "seed {seed}"
        );
        process.carry_over(home);
        process.run(3);
        let (elsewhere, away, is_away) = process.player().unwrap();
        assert!(is_away && elsewhere != home, "seed {seed}");
        assert_eq!(away.id, joined.id, "seed {seed}");

        // On the link of another simulation.
        let second = process.arrive(2, 2);
        process.run(1);
        let (simulation, player, is_away) = process.player().unwrap();
        assert!(!is_away, "seed {seed}");
        assert_eq!(
            (simulation, player.id, player.session),
            (elsewhere, joined.id, second),
            "seed {seed}"
        );
        let frames = process.tick();
        let rows = frames
            .iter()
            .filter_map(|frame| frame.players.get(0, second.session));
        assert_eq!(
            rows.filter(|row| row.is_local && row.entity.is_some()).count(),
            1,
            "seed {seed}"
        );

        // A newer session takes over wherever the player is, and a late end of the older one changes nothing.
        process.carry_over(elsewhere);
        let third = process.arrive(1, 3);
        process.run(3);
        process.end(2, second, LeaveReason::Replaced);
        process.run(2);
        let (_, player, is_away) = process.player().unwrap();
        assert_eq!(
            (player.id, player.session, is_away),
            (joined.id, third, false),
            "seed {seed}"
        );

        process.end(1, third, LeaveReason::Client);
        process.run(2);
        assert!(process.player().is_none(), "seed {seed}");
        let known = process.each(|world| world.resource::<Simulations>().clients.contains_key(&CLIENT));
        assert_eq!(known, [false; 3], "seed {seed}");
        process.arrive(1, 4);
        process.run(2);
        let (_, player, _) = process.player().unwrap();
        assert_ne!(player.id, joined.id, "seed {seed}");
    }
}

#[test]
fn a_player_that_does_not_return_leaves_once_wherever_it_is() {
    for seed in seeds(10..20, 2) {
        let mut process = process(seed);
        let key = process.arrive(0, 1);
        process.run(5);
        process.end(0, key, LeaveReason::TimedOut);
        let mut lefts = 0;
        for tick in 0..LINGER + 5 {
            if let Some((simulation, ..)) = process.player().filter(|_| tick % 7 == 3) {
                process.carry_over(simulation);
            }
            process.run(1);
            let left = process.each(|world| {
                let messages = world.resource::<Messages<PlayerLeft>>();
                let left = messages.iter_current_update_messages();
                left.filter(|left| left.player.client_id == CLIENT).count()
            });
            lefts += left.iter().sum::<usize>();
            let is_over = tick >= LINGER;
            assert_eq!(process.player().is_none(), is_over, "seed {seed}, tick +{tick}");
        }
        assert!(lefts > 0, "seed {seed}");
        // A player that crosses a border is in neither simulation for a tick.
        let is_settled = (0..5).any(|_| {
            process.run(1);
            let players = process.each(|world| world.resource::<Players>().len());
            let clients = process.each(|world| world.resource::<Simulations>().clients.len());
            let total: usize = players.iter().sum();
            clients == [total; 3]
        });
        assert!(is_settled, "seed {seed}");
    }
}

#[test]
fn a_client_that_leaves_and_joins_within_a_tick_is_a_new_player() {
    let mut process = process(20);
    let key = process.arrive(0, 1);
    process.run(5);
    let (_, before, _) = process.player().unwrap();
    process.end(0, key, LeaveReason::Client);
    process.arrive(0, 2);
    process.run(3);
    let (simulation, after, _) = process.player().unwrap();
    assert_ne!(before.id, after.id);
    let owners = process.each(|world| world.resource::<Simulations>().clients[&CLIENT]);
    assert_eq!(owners, [SimulationId(simulation as u8); 3]);
}
