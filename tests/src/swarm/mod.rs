//! The swarm: thousands of real clients in one thread, which load a server and check the values that it sends.
//!
//! | module | owns |
//! |---|---|
//! | [`joining`] | the HTTP threads that fetch tokens |
//! | [`driver`], [`wheel`], [`poll_order`] | the one loop over all sockets and times |
//! | [`bot`], [`steering`] | one client: socket, core and a source of inputs, which in Skirmish is a [pilot](crate::pilots) |
//! | [`rejoin`] | when a bot joins again, and how long it had no effect |
//! | [`conditions`] | the emulated bad line |
//! | [`requests`], [`audit`], [`arrivals`] | the server's figures, its log against the mirrors, snapshot ages |
//! | [`ages`] | the ages of the inputs that the server acts on, second by second |
//! | [`report`], [`table`], [`progress`] | what is measured and how it is shown |
//!
//! A run starts bots until all of them play, waits until clocks and budgets are stable, measures, and disconnects.
//! The server's figures are read at both ends of the measured window, so that they cover the same time as the bots'.

pub mod ages;
pub mod arrivals;
pub mod audit;
pub mod bot;
pub mod conditions;
pub mod driver;
pub mod flags;
pub mod joining;
pub mod poll_order;
pub mod progress;
pub mod rejoin;
pub mod report;
pub mod requests;
mod socket;
pub mod state;
pub mod steering;
pub mod table;
pub mod wheel;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bevy_app::{App, Plugin};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use skirmish_shared::SkirmishProtocol;
use throng_client::connection::ClientConfig;
use throng_client::join::{JoinError, Joiner};
use throng_scenes::protocol::BenchProtocol;
use throng_scenes::space::BenchProtocol3d;
use throng_server::observe::{Histogram, StatsReport};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::ProtocolVersion;

use ages::AgeLog;
use arrivals::{Arrivals, PublishClock};
use conditions::EmulatedLine;
use driver::{Driver, DriverParts};
use flags::SwarmFlags;
use progress::Progress;
use rejoin::{Rejoins, outages_in_words};
use report::{BotTotals, Measured, SwarmReport};
use requests::ServerRequests;
use state::SwarmState;

use crate::pilots::senses::Senses;

/// Time after the ramp for clocks and budgets to become stable.
const SETTLE: Duration = Duration::from_secs(2);
/// Time between two updates of the progress bar.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// The most time that the server may take to report its protocol.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Files that the swarm needs in addition to the bots' sockets.
const SPARE_FILES: u64 = 64;

/// The server's two readings at the ends of the measured window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    /// Reading at the window's beginning.
    pub before: StatsReport,
    /// Reading at the window's end.
    pub after: StatsReport,
}

/// Runs a swarm from the first join to the last disconnect, and writes the requested files.
///
/// # Errors
/// If the server cannot be reached, no bot joins, or the system refuses files or sockets. Lost bots and wrong values
/// are not errors but figures of the report.
pub fn run(flags: &SwarmFlags) -> Result<SwarmReport> {
    let mut driver = gather(flags)?;
    let measured = measure(&mut driver, flags)?;
    driver.disconnect();
    let report = measured.report();
    write_files(flags, &report, measured)?;
    // A closed standard error must not cost the report.
    if let Some(reason) = &driver.shared.first_loss {
        let _ = writeln!(io::stderr(), "the first bot that was lost: {reason}");
    }
    if flags.reconnect {
        writeln!(
            io::stderr(),
            "{}",
            outages_in_words(&driver.shared.outages, flags.clients)
        )?;
    }
    if let Some(counts) = driver.counts() {
        let _ = writeln!(io::stderr(), "since they joined, the pilots {counts}");
    }
    if driver.findings.compared == 0 && !flags.idle {
        let _ = writeln!(
            io::stderr(),
            "no value was audited: this server keeps no log of its ticks; Skirmish's does with --audit"
        );
    }
    Ok(report)
}

/// Joins the bots and returns them with their loop, for callers that run the loop and do other work.
///
/// # Errors
/// If the server cannot be reached, no bot joins, or the system refuses files or sockets.
pub fn gather(flags: &SwarmFlags) -> Result<Driver> {
    allow_files(u64::from(flags.clients) + SPARE_FILES)?;
    let token = flags.operator_token.as_ref().map(std::fs::read_to_string);
    let token = token.transpose().context("cannot read the operator's token")?;
    let mut requests = ServerRequests::new(&flags.server, token.as_deref());
    let first = requests.stats_now().map_err(anyhow::Error::msg)?;
    let protocol = Arc::new(spoken_protocol(&flags.server)?);
    let config = ClientConfig::new(&protocol);
    let outcomes = joining::join_all(&flags.server, config.version, flags.clients);
    let shared = SwarmState {
        totals: BotTotals::default(),
        arrivals: Arrivals::new(publish_clock(&flags.server)),
        oldest: Histogram::new(),
        line: EmulatedLine::new(flags.conditions(), flags.seed),
        senses: Senses::new(&protocol),
        protocol,
        newest_tick: None,
        ticks_seen: 0,
        ages: flags.ages.then(Histogram::new),
        first_loss: None,
        outages: Vec::new(),
    };
    let mut driver = Driver::new(DriverParts {
        clients: flags.clients,
        config,
        is_idle: flags.idle,
        seed: flags.seed,
        outcomes,
        rejoins: flags
            .reconnect
            .then(|| Rejoins::start(&flags.server, config.version, flags.clients)),
        requests,
        // The server keeps 64 publish times: a second's worth at 60 Hz.
        request_every: Duration::from_secs_f64((32.0 / f64::from(first.tick_rate.max(1))).min(1.0)),
        shared,
    })
    .context("cannot watch sockets")?;

    ramp(&mut driver, flags)?;
    Ok(driver)
}

/// Writes the report and the readings to the files that the flags name.
fn write_files(flags: &SwarmFlags, report: &SwarmReport, measured: Measured) -> Result<()> {
    if let Some(path) = &flags.json {
        let json = serde_json::to_string_pretty(report)? + "\n";
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &flags.readings {
        let readings = Readings {
            before: measured.server_before,
            after: measured.server_after,
        };
        let json = serde_json::to_string(&readings)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Returns the server's protocol: Skirmish's, or that of the benchmark scenes. If it is not known, joining fails with
/// the reason.
///
/// # Errors
/// If the server speaks another protocol than these two.
fn spoken_protocol(server: &str) -> Result<Protocol> {
    let (bench, skirmish) = (protocol_of(BenchProtocol), protocol_of(SkirmishProtocol));
    let bench_3d = protocol_of(BenchProtocol3d);
    let joined = Joiner::new(server, RESPONSE_TIMEOUT).join("swarm", &bench.version(), None);
    match joined {
        Err(JoinError::WrongVersion { spoken, .. }) if spoken == skirmish.version().to_string() => {
            Ok(skirmish)
        }
        Err(JoinError::WrongVersion { spoken, .. }) if spoken == bench_3d.version().to_string() => {
            Ok(bench_3d)
        }
        Err(JoinError::WrongVersion { server, spoken, .. }) => {
            bail!(another_game(
                &server,
                &spoken,
                &bench.version(),
                &skirmish.version()
            ))
        }
        _ => Ok(bench),
    }
}

/// Returns what the swarm is for, for a server that runs something else.
fn another_game(server: &str, spoken: &str, bench: &ProtocolVersion, skirmish: &ProtocolVersion) -> String {
    format!(
        "the swarm plays Skirmish ({skirmish}) and the benchmark scenes ({bench}) only, and {server} speaks {spoken}. \
         If it runs one of these, build both from the same revision. For a game of your own, use \
         `throng_client::bots` (docs/client.md#bots)"
    )
}

fn protocol_of(plugin: impl Plugin) -> Protocol {
    let mut app = App::new();
    app.add_plugins(plugin);
    app.world_mut().remove_resource().unwrap_or_default()
}

/// Joins bots until all of them play or are lost, or time runs out.
fn ramp(driver: &mut Driver, flags: &SwarmFlags) -> Result<()> {
    let patience = Duration::from_secs(30) + Duration::from_millis(10) * flags.clients;
    let mut progress = Progress::start("joining", u64::from(flags.clients), "bots");
    let mut shown = Duration::ZERO;
    while !driver.is_ramped() && driver.now() < patience {
        driver.turn().context("the bots' sockets failed")?;
        let now = driver.now();
        if now >= shown + SHOW_EVERY || driver.is_ramped() {
            shown = now;
            let note = if driver.bot_counts.lost > 0 {
                format!("{} lost", driver.bot_counts.lost)
            } else {
                String::new()
            };
            progress.show(now, u64::from(driver.bot_counts.playing), &note);
        }
    }
    progress.finish();
    driver.end_ramp();
    if driver.bot_counts.playing == 0 {
        let reason = driver
            .shared
            .first_loss
            .take()
            .unwrap_or_else(|| "the server sends nothing".to_owned());
        bail!("no bot joined: {reason}");
    }
    Ok(())
}

/// Waits until clocks are stable, then measures between two readings of the server.
fn measure(driver: &mut Driver, flags: &SwarmFlags) -> Result<Measured> {
    let settled = driver.now() + SETTLE;
    while driver.now() < settled {
        driver.turn().context("the bots' sockets failed")?;
    }
    let server_before = *driver.read_stats().context("cannot read the server's figures")?;
    let (begun, before) = (driver.now(), driver.shared.totals);
    let (ages_before, oldest_before) = (driver.shared.arrivals.ages(), driver.shared.oldest.snapshot());
    let clients_connected = u64::from(driver.bot_counts.playing);

    let length = Duration::from_secs(u64::from(flags.seconds));
    let mut seconds = 0;
    let mut progress = Progress::start("measuring", u64::from(flags.seconds), "s");
    let (mut shown, mut turned) = (begun, begun);
    let mut client_seconds = 0.0;
    let mut age_log = driver.shared.take_ages().map(|_| AgeLog::start(begun));
    while driver.now() < begun + length {
        driver.turn().context("the bots' sockets failed")?;
        let now = driver.now();
        client_seconds += f64::from(driver.bot_counts.playing) * (now - turned).as_secs_f64();
        turned = now;
        if flags.reconnect && (now - begun).as_secs() > seconds {
            seconds = (now - begun).as_secs();
            writeln!(io::stderr(), "{seconds} s: {}", driver.bot_counts)?;
        }
        if let Some(log) = &mut age_log {
            let shared = &mut driver.shared;
            log.update(now, driver.bot_counts.playing, || {
                shared.take_ages().unwrap_or_default()
            });
        } else if now >= shown + SHOW_EVERY {
            shown = now;
            let note = format!(
                "{} playing, {} lost",
                driver.bot_counts.playing, driver.bot_counts.lost
            );
            progress.show(now, (now - begun).as_secs(), &note);
        }
    }
    let server_after = match driver.read_stats() {
        Ok(stats) => *stats,
        // A run that shows how bots come back may end while the server is gone.
        Err(_) if flags.reconnect => server_before.clone(),
        Err(error) => return Err(error).context("cannot read the server's figures"),
    };
    let ended = driver.now();
    client_seconds += f64::from(driver.bot_counts.playing) * (ended - turned).as_secs_f64();
    progress.finish();
    Ok(Measured {
        window: ended - begun,
        clients_connected,
        clients_lost: u64::from(driver.bot_counts.lost),
        client_seconds,
        bots: driver.shared.totals.since(&before),
        decode_errors: driver.shared.totals.decode_errors,
        value_errors: driver.findings.wrong,
        snapshot_age: driver.shared.arrivals.ages().since(&ages_before),
        oldest_visible: driver.shared.oldest.snapshot().since(&oldest_before),
        server_before,
        server_after,
    })
}

/// Returns which clock the server reads. A server on this machine reads the same one.
fn publish_clock(server: &str) -> PublishClock {
    let is_loopback = server
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback());
    if is_loopback || server.starts_with("localhost:") {
        PublishClock::Shared
    } else {
        PublishClock::Remote
    }
}

/// Raises this process's limit of open files to `needed`. Every bot has a socket of its own.
fn allow_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let maximum = limit.maximum.unwrap_or_default();
        bail!(
            "{needed} files are needed and {maximum} allowed: raise the limit (`ulimit -Hn`) or use fewer --clients"
        );
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::thread;

    use throng_server::process::{Game, NoSettings, Server};
    use throng_server::runner::Shutdown;
    use throng_shared::protocol::registry::ProtocolAppExt;

    #[test]
    fn the_swarm_says_what_it_is_for_when_the_server_runs_another_game() {
        let game = |app: &mut App| {
            app.message::<u8>(throng_shared::protocol::ids::Channel::Unreliable);
        };
        let flags = [
            "game",
            "--http",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
            "--workers",
            "1",
        ];
        let settings = NoSettings::settings_from(flags.map(OsString::from), []).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let running = thread::spawn(move || {
            let server = Server::start(&settings, game).unwrap();
            sender.send((server.http(), server.shutdown())).unwrap();
            server.run();
        });
        let (http, shutdown): (SocketAddr, Shutdown) = receiver.recv().unwrap();
        let error = spoken_protocol(&http.to_string())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        shutdown.request();
        running.join().unwrap();
        let versions = [
            protocol_of(BenchProtocol),
            protocol_of(SkirmishProtocol),
            protocol_of(game),
        ];
        for version in versions.map(|protocol| protocol.version().to_string()) {
            assert!(error.contains(&version), "{version}: {error}");
        }
        for part in ["Skirmish", "throng_client::bots", "docs/client.md#bots"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
