//! A synthetic load: every tick keeps its processor busy for some time.

use std::hint::spin_loop;
use std::time::Duration;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use throng_server::runner::Clock;
use throng_server::schedule::ServerSystems;

/// Keeps the simulation's thread busy for this time in every tick, for load tests. Changes nothing else, so that a
/// recording is replayed without the load.
#[derive(Clone, Copy, Debug)]
pub struct BurnPlugin(pub Duration);

impl Plugin for BurnPlugin {
    fn build(&self, app: &mut App) {
        let time = self.0;
        // It reads nothing but the clock, so that it needs no order relative to gameplay.
        app.add_systems(
            FixedUpdate,
            (move |clock: Res<Clock>| burn(&clock, time)).in_set(ServerSystems::Simulate),
        );
    }
}

fn burn(clock: &Clock, time: Duration) {
    let begun = clock.now();
    // The clock of a replay stands still at zero.
    while !begun.is_zero() && clock.now() < begun + time {
        spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[test]
    fn a_burn_ends_when_its_time_has_passed_and_at_once_under_a_clock_that_stands_still() {
        let reads = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&reads);
        let clock = Clock::new(move || Duration::from_millis(read.fetch_add(1, Relaxed)));
        let _ = clock.now();
        burn(&clock, Duration::from_millis(20));
        assert!((20..25).contains(&reads.load(Relaxed)), "{reads:?}");
        burn(&Clock::default(), Duration::from_secs(10));
    }
}
