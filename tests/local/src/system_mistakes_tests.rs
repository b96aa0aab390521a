//! Mistakes of a game's systems: their order and their time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bevy_app::{App, FixedUpdate, Plugins, Update};
use bevy_ecs::prelude::*;
use throng_server::prelude::*;
use throng_server::runner::Clock;

use super::LocalGame;
use super::mistakes_tests::{Hull, Purse, complete, lines_of, only_line};

/// A clock that only the systems of a game advance, in milliseconds.
#[derive(Resource, Clone, Default)]
struct Worked(Arc<AtomicU64>);

impl Worked {
    fn add_to(&self, app: &mut App) {
        let milliseconds = Arc::clone(&self.0);
        app.insert_resource(Clock::new(move || {
            Duration::from_millis(milliseconds.load(Relaxed))
        }))
        .insert_resource(self.clone());
    }
}

fn dig(worked: Res<Worked>) {
    worked.0.fetch_add(80, Relaxed);
}

fn dust(worked: Res<Worked>) {
    worked.0.fetch_add(30, Relaxed);
}

fn sweep(worked: Res<Worked>) {
    worked.0.fetch_add(25, Relaxed);
}

#[test]
fn a_system_that_takes_longer_than_a_tick_is_named_once_with_its_time() {
    let slow = |app: &mut App| {
        complete(app);
        Worked::default().add_to(app);
        app.add_systems(FixedUpdate, (sweep, dig).in_set(ServerSystems::Simulate));
    };
    only_line(
        slow,
        &["mistakes_tests::dig", "80.0 ms", "50.0 ms", "TickTime::is_due"],
    );
    // Once is no pattern: a world that is built, or a machine that is busy.
    let once = |app: &mut App| {
        complete(app);
        Worked::default().add_to(app);
        let dig_once = dig.run_if(|mut ran: Local<bool>| !std::mem::replace(&mut *ran, true));
        app.add_systems(FixedUpdate, (sweep, dig_once).in_set(ServerSystems::Simulate));
    };
    assert_eq!(lines_of(once), [""; 0]);
}

#[test]
fn systems_that_take_longer_than_a_tick_together_are_named_once() {
    let slow = |app: &mut App| {
        complete(app);
        Worked::default().add_to(app);
        app.add_systems(FixedUpdate, (sweep, dust).in_set(ServerSystems::Simulate));
    };
    let line = only_line(slow, &["together: 55.0 ms", "50.0 ms"]);
    let slowest = line.split("The slowest: ").nth(1).unwrap();
    let dust = slowest.find("mistakes_tests::dust 30.0 ms").expect(&line);
    assert!(
        dust < slowest.find("mistakes_tests::sweep 25.0 ms").expect(&line),
        "{line}"
    );
}

/// Returns the text with which a game ends in its first tick.
fn refusal<M>(game: impl Plugins<M>) -> String {
    let end = catch_unwind(AssertUnwindSafe(|| LocalGame::new(game).run(1)));
    let reason = end.expect_err("the game runs");
    reason.downcast_ref::<String>().cloned().unwrap_or_default()
}

fn corrode(mut hulls: Query<&mut Hull>) {
    hulls.iter_mut().for_each(|mut hull| hull.0 += 1);
}

fn spend(mut bodies: Query<(&mut Hull, &mut Purse)>) {
    bodies.iter_mut().for_each(|(_, mut purse)| purse.0 += 1);
}

fn exclusive(_: &mut World) {}

#[test]
fn a_forgotten_in_set_is_named_with_the_line_to_add_and_nothing_else() {
    let text = refusal(|app: &mut App| {
        complete(app);
        app.add_systems(FixedUpdate, (exclusive, corrode.in_set(ServerSystems::Simulate)));
    });
    assert!(
        text.contains("`throng_local::system_mistakes_tests::exclusive` is in no `ServerSystems` set"),
        "{text}"
    );
    assert!(text.contains("`.in_set(ServerSystems::Simulate)`"), "{text}");
    assert!(!text.contains("corrode") && text.lines().count() == 2, "{text}");
}

#[test]
fn two_systems_of_a_phase_without_an_order_are_named_with_their_data() {
    let text = refusal(|app: &mut App| {
        complete(app);
        app.add_systems(FixedUpdate, (corrode, spend).in_set(ServerSystems::Simulate));
    });
    for part in [
        "mistakes_tests::corrode",
        "mistakes_tests::spend",
        "`throng_local::mistakes_tests::Hull`",
        ".chain()",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_phase_in_another_schedule_is_named_once() {
    let stray = |app: &mut App| {
        complete(app);
        app.add_systems(Update, exclusive.in_set(ServerSystems::Simulate));
    };
    only_line(
        stray,
        &[
            "mistakes_tests::exclusive",
            "`ServerSystems::Simulate`",
            "`Update`",
            "`add_systems(FixedUpdate, ..)`",
        ],
    );
}
