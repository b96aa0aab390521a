//! The own ship is where the server will find it.

use super::flight::{Flight, line};

/// Ticks in which clocks settle.
const SETTLING: u32 = 60;

#[test]
fn the_own_ship_is_within_a_quantum_of_the_servers_frame() {
    for latency_ms in [0, 25, 75, 150] {
        for loss in [0.0, 0.05, 0.2] {
            for seed in 1..=3 {
                let case = format!("seed {seed}, {latency_ms} ms each way, loss {loss}");
                let mut flight = Flight::new(seed, 0, 0);
                flight.game.set_line(flight.pilot, line(latency_ms, loss));
                flight.fly(SETTLING, |_| {});
                flight.guesses.clear();
                flight.fly(300, |_| {});
                let errors = flight.errors();
                let worst = errors.iter().max_by_key(|(_, error)| **error);
                assert!(
                    worst.is_some_and(|(_, error)| *error <= 1),
                    "{case}: (tick, error) {worst:?}"
                );
                // What is left out is what the server did not have the inputs for.
                let least = if loss > 0.1 { 100 } else { 200 };
                assert!(
                    errors.len() >= least,
                    "{case}: only {} predictions judged",
                    errors.len()
                );
            }
        }
    }
}
