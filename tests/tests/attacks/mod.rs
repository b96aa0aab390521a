//! Attacks on a real server, on real sockets, while bots play on it: every attack is counted and stopped, and only the
//! attacker is affected.
//!
//! Effects on the bots are measured in counts for each of the server's ticks, never in times. A busy machine makes ticks
//! late and does not fail a test.

mod connections;
mod floods;
mod handshakes;
mod joining;
mod peers;
mod places;
mod shared_port;
mod stopping;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod wall_clock;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use bevy_app::App;
use clap::Parser;
use throng_client::join::Joiner;
use throng_scenes::protocol::BenchProtocol;
use throng_server::observe::StatsReport;
use throng_shared::protocol::registry::Protocol;
use throng_tests::{
    process::ServerProcess,
    swarm::{self, driver::Driver, flags::SwarmFlags},
};

/// The most time that each request or wait may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of bots that play.
const BOTS: u32 = 50;
/// The fewest ticks over which the bots are measured.
const TICKS_MIN: u64 = 50;

#[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
fn now() -> Instant {
    Instant::now()
}

/// A server with bots that play on it.
struct AttackedServer {
    server: ServerProcess,
    driver: Driver,
    protocol: Protocol,
}

/// Two readings of the server's figures, and the bots' counts between them.
struct Window {
    before: StatsReport,
    after: StatsReport,
    snapshots: u64,
    updates: u64,
}

/// Returns the counters of the workers, the simulation and the HTTP server by name. Equal names are added.
fn counters(stats: &StatsReport) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let parts = stats.workers.iter().chain([&stats.simulation, &stats.http]);
    for (name, value) in parts.flatten() {
        *all.entry(name.clone()).or_default() += value;
    }
    all
}

impl Window {
    /// Returns by how much a counter has grown.
    fn counted(&self, name: &str) -> u64 {
        let of = |stats| {
            let all = counters(stats);
            *all.get(name).unwrap_or_else(|| panic!("no counter {name}"))
        };
        of(&self.after) - of(&self.before)
    }

    /// Returns by how much several counters have grown in total.
    fn counted_of(&self, names: &[&str]) -> u64 {
        names.iter().map(|name| self.counted(name)).sum()
    }

    fn bot_ticks(&self) -> f64 {
        ((self.after.ticks - self.before.ticks) * u64::from(BOTS)) as f64
    }

    /// Returns the snapshots and updates that a bot decoded in a tick of the server, on average.
    fn per_bot_tick(&self) -> (f64, f64) {
        (
            self.snapshots as f64 / self.bot_ticks(),
            self.updates as f64 / self.bot_ticks(),
        )
    }
}

impl AttackedServer {
    /// Starts a server with one worker, so that bots and attackers share a socket. All entities in view move.
    fn start() -> Self {
        Self::start_with(&["--workers", "1"])
    }

    /// Starts a server with these flags in addition to those of the scene.
    fn start_with(flags: &[&str]) -> Self {
        let crowd = ["--scene", "crowd", "--entities", "200", "--visible", "40"];
        let server = ServerProcess::start(&[&crowd, flags].concat()).unwrap();
        let (bots, http) = (BOTS.to_string(), server.http().to_string());
        let flags = SwarmFlags::parse_from(["swarm", "--clients", &bots, "--server", &http]);
        let driver = swarm::gather(&flags).unwrap();
        assert_eq!(
            (driver.bot_counts.playing, driver.bot_counts.lost),
            (BOTS, 0),
            "{:?}",
            driver.shared.first_loss
        );
        let mut app = App::empty();
        app.add_plugins(BenchProtocol);
        let protocol = app.world().resource::<Protocol>().clone();
        let mut attacked = Self {
            server,
            driver,
            protocol,
        };
        // Runs the bots until clocks and views are stable.
        attacked.run_bots(|_| true);
        attacked
    }

    fn joiner(&self) -> Joiner {
        Joiner::new(&self.server.http().to_string(), PATIENCE)
    }

    fn stats(&mut self) -> StatsReport {
        *self.driver.read_stats().unwrap()
    }

    /// Runs the bots for at least [`TICKS_MIN`] ticks and until `done`.
    fn run_bots(&mut self, done: impl Fn(&Window) -> bool) -> Window {
        let before = self.stats();
        self.run_bots_since(&before, done)
    }

    fn run_bots_since(&mut self, before: &StatsReport, done: impl Fn(&Window) -> bool) -> Window {
        let begun = now();
        let totals = self.driver.shared.totals;
        loop {
            let until = self.driver.now() + Duration::from_millis(100);
            while self.driver.now() < until {
                self.driver.turn().unwrap();
            }
            let after = self.stats();
            let counted = self.driver.shared.totals.since(&totals);
            let window = Window {
                before: before.clone(),
                after,
                snapshots: counted.snapshots,
                updates: counted.updates,
            };
            if window.after.ticks >= window.before.ticks + TICKS_MIN && done(&window) {
                return window;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "not done after {PATIENCE:?}: {:?}",
                counters(&window.after)
            );
        }
    }

    /// Runs the bots while `attack` runs in another thread, and until `counted` returns true: the server reads expensive
    /// figures only twice a second.
    fn run_during<R: Send>(
        &mut self,
        attack: impl FnOnce() -> R + Send,
        counted: impl Fn(&Window) -> bool,
    ) -> (Window, R) {
        // The window begins before the attack.
        let before = self.stats();
        thread::scope(|scope| {
            let attacker = scope.spawn(attack);
            let window = self.run_bots_since(&before, |window| attacker.is_finished() && counted(window));
            (window, attacker.join().unwrap())
        })
    }

    /// Asserts that all bots are served, decoded no wrong value, and received as many snapshots and updates a tick as
    /// before.
    fn assert_bots_unaffected(&self, what: &str, quiet: &Window, during: &Window) {
        let driver = &self.driver;
        assert_eq!(
            (driver.bot_counts.playing, driver.bot_counts.lost),
            (BOTS, 0),
            "{what}: {:?}",
            driver.shared.first_loss
        );
        assert_eq!(driver.shared.totals.decode_errors, 0, "{what}");
        assert_eq!(driver.findings.wrong, 0, "{what}");
        assert!(driver.findings.compared > 0, "{what}: nothing was audited");
        let ((snapshots, updates), (quiet_snapshots, quiet_updates)) =
            (during.per_bot_tick(), quiet.per_bot_tick());
        // The readings at a window's ends are off by a tick at most. The remaining tolerance is for a machine that is
        // busy with other work in one window only. A blocked worker would lose nearly all snapshots.
        assert!(
            snapshots >= quiet_snapshots * 0.8 && quiet_snapshots > 0.5,
            "{what}: {snapshots} snapshots a tick, {quiet_snapshots} before"
        );
        assert!(
            updates >= quiet_updates * 0.8 && quiet_updates > 5.0,
            "{what}: {updates} updates a tick, {quiet_updates} before"
        );
    }
}
