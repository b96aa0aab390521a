//! Checksums of whole games, to compare two builds: the same lines mean that the same games were played.
//!
//! Plays the crowd of the benchmarks and Skirmish without sockets and in virtual time: five seeds, one and two
//! simulations, one and four threads. Players join, leave, steer, fight, mine, trade and chat; what they do follows
//! from the seed and from the frames. Prints a line for each game: a checksum over the frames of all ticks and over
//! what clients are sent besides, and how often things happened. No name of a type goes into the checksum.
//!
//! ```sh
//! cargo run --release -p throng-program --example frame_checksums > before.txt
//! cargo run --release -p throng-program --example frame_checksums -- --only "skirmish seed 1" --ticks 500
//! ```

#![expect(clippy::print_stdout, reason = "it is a command that prints its result")]

mod crew;
mod digest;
mod process;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser;

use crew::Crew;
use process::Process;

const TICK: Duration = Duration::from_millis(50);
/// Ticks after which everything that a game covers must have happened.
const ENOUGH_TICKS: u32 = 2_000;

/// How often things happened in a game.
type Counts = BTreeMap<&'static str, u64>;

#[derive(Parser)]
struct ChecksumOptions {
    /// Only the games whose names contain this, such as `crowd` or `seed 3 simulations 2`.
    #[arg(long, default_value = "")]
    only: String,
    /// Ticks of each game.
    #[arg(long, default_value_t = ENOUGH_TICKS)]
    ticks: u32,
}

#[derive(Clone, Copy)]
struct CheckedGame {
    is_skirmish: bool,
    seed: u64,
    simulations: u8,
    threads: usize,
}

fn main() {
    let options = ChecksumOptions::parse();
    let mut played = BTreeMap::new();
    for game in list_games() {
        let name = game.name();
        if !name.contains(&options.only) {
            continue;
        }
        let (checksum, counts) = game.play(options.ticks);
        println!("{name} ticks {}: {checksum:016x} {counts:?}", options.ticks);
        if options.ticks >= ENOUGH_TICKS {
            game.check(&counts);
        }
        let on_one_thread = CheckedGame { threads: 1, ..game }.name();
        let expected = *played.entry(on_one_thread).or_insert(checksum);
        assert_eq!(checksum, expected, "the number of threads changes the game");
    }
}

fn list_games() -> Vec<CheckedGame> {
    let mut games = Vec::new();
    for is_skirmish in [false, true] {
        for seed in 1..=5 {
            for (simulations, threads) in [(1, 1), (1, 4), (2, 1), (2, 4)] {
                games.push(CheckedGame {
                    is_skirmish,
                    seed,
                    simulations,
                    threads,
                });
            }
        }
    }
    games
}

impl CheckedGame {
    fn name(&self) -> String {
        let scene = if self.is_skirmish { "skirmish" } else { "crowd" };
        let (seed, simulations, threads) = (self.seed, self.simulations, self.threads);
        format!("{scene} seed {seed} simulations {simulations} threads {threads}")
    }

    fn play(self, ticks: u32) -> (u64, Counts) {
        let mut process = Process::new(self);
        let mut crew = Crew::new(self, &process.protocol);
        let mut frames = Vec::new();
        for _ in 0..ticks {
            crew.act(&mut process, &frames);
            frames = process.tick();
        }
        (process.digest.0.finish(), process.count(&frames))
    }

    /// Panics when something that the game covers did not happen.
    fn check(self, counts: &Counts) {
        let mut expected = vec!["players acting"];
        if self.is_skirmish {
            expected.extend(["messages", "ships lost", "kills", "ore sold"]);
        }
        if self.simulations > 1 {
            expected.extend(["entities crossed", "players crossed"]);
            expected.extend(Some("effects").filter(|_| self.is_skirmish));
        }
        for name in expected {
            assert!(counts[name] > 0, "{name}: none in {counts:?}");
        }
        assert_eq!(counts["failed to cross"], 0);
    }
}
