//! Stopping a server whose standard error takes nothing, or whose threads are stuck: it stops all the same, and says
//! goodbye.

#![cfg(target_os = "linux")]

use std::{
    fs::{File, read_to_string},
    io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use throng_client::join::Joiner;
use throng_scenes::protocol::BenchProtocol;
use throng_server::{
    prelude::*,
    process::{Game, NoSettings, Server, log_to_stderr},
};
use throng_shared::protocol::{hello::Goodbye, registry::Protocol, version::ProtocolVersion};
use throng_tests::process::{ServerProcess, free_ports};

use super::{PATIENCE, peers::Peer};

const IDLE: [&str; 4] = ["--scene", "idle", "--workers", "1"];

/// Returns the names of the signals that stop a server. Under `nohup` the tests, and so their servers, ignore SIGHUP.
fn signals() -> [&'static str; 3] {
    let status = read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let is_hangup_ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap() & 1 == 1;
    ["TERM", if is_hangup_ignored { "TERM" } else { "HUP" }, "INT"]
}

fn bench_version() -> ProtocolVersion {
    let mut app = App::empty();
    app.add_plugins(BenchProtocol);
    app.world().resource::<Protocol>().version()
}

/// Connects peers, sends the server `signal` and asserts that each peer gets a goodbye and that the server ends with
/// exit code 0.
fn assert_stops(mut server: ServerProcess, signal: &str, what: &str) {
    let joiner = Joiner::new(&server.http().to_string(), PATIENCE);
    let version = bench_version();
    let mut peers: Vec<Peer> = (0..3)
        .map(|number| {
            let joined = joiner.join(&format!("peer {number}"), &version, None).unwrap();
            let mut peer = Peer::connect(&joined);
            peer.greet(version);
            peer
        })
        .collect();
    server.signal(signal).unwrap();
    for peer in &mut peers {
        let is_goodbye = |payload: &Vec<u8>| Goodbye::read(payload) == Ok(Goodbye::Shutdown);
        peer.pump_until(|peer| peer.received.iter().any(is_goodbye));
    }
    let status = server.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{what}, SIG{signal}: {status}");
}

/// Returns a pipe that holds as much as it can.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4_096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    // Both ends of the file share the flag: the server must block.
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Asserts that each signal stops a server whose streams `redirect` has changed. What `redirect` returns is kept until
/// the server has ended.
fn assert_every_signal_stops<Kept>(what: &str, redirect: impl Fn(&mut Command) -> Kept) {
    for (log, signal) in ["info", "trace", "info"].into_iter().zip(signals()) {
        let flags = [&IDLE[..], &["--log", log]].concat();
        let mut kept = None;
        let server = ServerProcess::start_with(&flags, |command| kept = Some(redirect(command)));
        assert_stops(server.unwrap(), signal, what);
        drop(kept);
    }
}

#[test]
fn server_stops_on_every_signal_when_standard_error_is_a_full_disk() {
    assert_every_signal_stops("a full disk", |command| {
        command.stderr(File::options().write(true).open("/dev/full").unwrap());
    });
}

#[test]
fn server_stops_on_every_signal_when_standard_error_is_a_closed_pipe() {
    assert_every_signal_stops("a closed pipe", |command| {
        let (_, writer) = pipe().unwrap();
        command.stderr(writer);
    });
}

#[test]
fn server_stops_on_every_signal_when_standard_error_and_output_are_a_pipe_that_is_not_read() {
    assert_every_signal_stops("an unread pipe", |command| {
        let (reader, writer) = full_pipe();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        reader
    });
}

#[test]
fn log_goes_on_when_an_unread_pipe_is_read_again() {
    let (mut reader, writer) = full_pipe();
    let server = ServerProcess::start_with(&[&IDLE[..], &["--log", "debug"]].concat(), |command| {
        command.stderr(writer);
    });
    let server = server.unwrap();
    let read = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let (status, _) = server.stop().unwrap();
    assert_eq!(status.code(), Some(0));
    let text = read.join().unwrap();
    assert!(
        text.contains("UDP buffers granted") || text.contains("small UDP buffers"),
        "the first line"
    );
    assert!(
        text.contains("SIGTERM: stopping") && text.contains("stopped after"),
        "the last lines"
    );
}

#[test]
fn server_stops_when_its_log_reaches_the_limit_on_file_sizes() {
    let server = ServerProcess::start_in_shell(
        "ulimit -f 0; exec \"$@\"",
        &[&IDLE[..], &["--log", "trace"]].concat(),
    );
    assert_stops(server.unwrap(), "TERM", "a limit on file sizes");
}

#[test]
fn a_closed_terminal_does_not_stop_a_server_that_ignores_it() {
    let mut server = ServerProcess::start_in_shell("trap '' HUP; exec \"$@\"", &IDLE).unwrap();
    server.signal("HUP").unwrap();
    let ticks = server.stats().unwrap().ticks;
    while server.stats().unwrap().ticks < ticks + 5 {
        thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM").unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

/// Names the defect of the game that [`server_with_a_defect`] serves.
const DEFECT: &str = "STOPPING_TEST_DEFECT";
const ADDRESSES: &str = "STOPPING_TEST_ADDRESSES";

/// A server whose game has a defect, as a process of its own: this test's program starts itself again.
#[test]
#[ignore = "another test starts it"]
fn server_with_a_defect() {
    let (Ok(defect), Ok(addresses)) = (std::env::var(DEFECT), std::env::var(ADDRESSES)) else {
        return;
    };
    let flags = ["game"].into_iter().chain(addresses.split(' '));
    let settings = NoSettings::settings_from(flags.map(Into::into), []).unwrap();
    log_to_stderr("info").unwrap();
    let game = move |app: &mut App| {
        let defect = defect.clone();
        let fail = move |time: Res<TickTime>| {
            let is_here = thread::current().name() == Some("sim-1") || defect != "panic elsewhere";
            match time.tick.0 {
                60.. if defect == "stuck" => thread::sleep(PATIENCE * 10),
                60.. if is_here => panic!("a defect of the game"),
                _ => {}
            }
        };
        app.add_systems(FixedUpdate, fail.in_set(ServerSystems::Simulate));
    };
    let server = Server::start(&settings, game).unwrap();
    server.stop_on_signal().unwrap();
    server.run();
}

/// Starts [`server_with_a_defect`] with a standard error that takes nothing.
fn start_with_defect(defect: &str, flags: &str) -> (ServerProcess, PipeReader) {
    let (http, udp) = free_ports().unwrap();
    let (reader, writer) = full_pipe();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "attacks::stopping::server_with_a_defect",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(DEFECT, defect)
        .env(ADDRESSES, format!("--http {http} --udp {udp} {flags}"));
    let server = ServerProcess::start_command(http, udp, command, |command| {
        command.stdout(Stdio::null()).stderr(writer);
    });
    (server.unwrap(), reader)
}

#[test]
fn server_ends_when_a_simulation_panics_and_standard_error_is_not_read() {
    for (defect, flags) in [
        ("panic", "--workers 1"),
        ("panic", "--workers 0"),
        ("panic elsewhere", "--workers 1 --simulations 2"),
    ] {
        let (mut server, reader) = start_with_defect(defect, flags);
        let status = server.wait().unwrap();
        assert!(
            !status.success() && status.code().is_some(),
            "{defect}, {flags}: {status}"
        );
        drop(reader);
    }
}

#[test]
fn server_that_is_stuck_in_a_tick_is_ended_ten_seconds_after_the_signal() {
    let (mut server, reader) = start_with_defect("stuck", "--workers 1");
    while server.stats().unwrap().ticks < 59 {
        thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM").unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(1));
    drop(reader);
}

#[test]
fn second_signal_ends_a_stuck_server_at_once() {
    let (mut server, reader) = start_with_defect("stuck", "--workers 1");
    while server.stats().unwrap().ticks < 59 {
        thread::sleep(Duration::from_millis(20));
    }
    server.signal("TERM").unwrap();
    // Signals of one kind that wait for the same thread are one.
    thread::sleep(Duration::from_millis(500));
    server.signal("INT").unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(130));
    drop(reader);
}
