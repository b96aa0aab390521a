//! The server as a process, on real sockets: it starts, serves with both kinds of I/O, reports errors, and stops on
//! SIGTERM.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Command, Output},
    thread::sleep,
    time::Duration,
};

use skirmish_server::content::Sources;
use throng_tests::process::{ServerProcess, free_ports, server_binary};

/// The exit code for a configuration that cannot work.
const REFUSED: i32 = 2;
/// The most time that a running server may take to detect a changed file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two checks of the server's output.
const POLL: Duration = Duration::from_millis(50);

/// Waits for a server that must refuse its configuration. Returns its output.
fn refusal(mut server: ServerProcess) -> String {
    let status = server.wait().unwrap();
    let output = server.output().unwrap();
    assert_eq!(status.code(), Some(REFUSED), "{output}");
    assert!(!output.contains("panicked"), "{output}");
    output
}

fn refusal_of(flags: &[&str]) -> String {
    let (http, udp) = free_ports().unwrap();
    refusal(ServerProcess::spawn(http, udp, flags).unwrap())
}

#[test]
fn starts_and_stops_with_every_kind_of_io() {
    for flags in [
        &["--scene", "crowd", "--io", "batched", "--workers", "2"][..],
        &["--scene", "crowd", "--io", "portable", "--workers", "2"],
        &["--scene", "crowd", "--workers", "0"],
        &["--scene", "crowd", "--workers", "2", "--udp-shared"],
        &["--scene", "static", "--entities", "5000", "--tick-rate", "60"],
        &["--scene", "hotspot", "--entities", "300"],
        &["--scene", "crowd", "--simulations", "4"],
        &["--scene", "crowd", "--simulations", "2", "--workers", "0"],
        &["--simulations", "2", "--scene", "skirmish", "--entities", "700"],
        &["--simulations", "3", "--scene", "static", "--entities", "5000"],
        &["--simulations", "8", "--scene", "idle"],
    ] {
        let server = ServerProcess::start(flags).unwrap();
        let (status, output) = server.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{flags:?}:\n{output}");
        assert!(!output.contains("panicked"), "{flags:?}:\n{output}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let (http, udp) = free_ports().unwrap();
    let taken = TcpListener::bind(http).unwrap();
    let output = refusal(ServerProcess::spawn(http, udp, &[]).unwrap());
    assert!(
        output.contains(&http.port().to_string()) && output.contains("--http"),
        "{output}"
    );
    drop(taken);

    let (http, udp) = free_ports().unwrap();
    let taken = UdpSocket::bind(udp).unwrap();
    let output = refusal(ServerProcess::spawn(http, udp, &[]).unwrap());
    assert!(
        output.contains(&udp.port().to_string()) && output.contains("--udp"),
        "{output}"
    );
    drop(taken);
}

#[test]
fn a_bad_value_is_named_with_its_range() {
    let cases = [
        (&["--tick-rate", "0"][..], &["--tick-rate", "1 to 128"][..]),
        (&["--simulations", "9"], &["--simulations", "9", "1 to 8"]),
        (
            &["--simulations", "2", "--record", "played.throng"],
            &["--simulations", "--record"],
        ),
        (&["--workers", "many"], &["--workers", "many", "0 to 64"]),
        (&["--scene", "nowhere"], &["--scene", "nowhere", "crowd"]),
        (&["--known-max", "5000"], &["--known-max", "5000", "1023"]),
        (&["--tick-rats", "20"], &["--tick-rats"]),
        (&["--config", "/nowhere/throng.toml"], &["/nowhere/throng.toml"]),
    ];
    for (flags, words) in cases {
        let output = refusal_of(flags);
        for word in words {
            assert!(
                output.contains(word),
                "{flags:?} does not mention {word}:\n{output}"
            );
        }
    }
}

#[test]
fn plain_http_off_loopback_is_refused() {
    let (http, udp) = free_ports().unwrap();
    let everywhere = format!("0.0.0.0:{}", http.port()).parse().unwrap();
    let output = refusal(ServerProcess::spawn(everywhere, udp, &[]).unwrap());
    assert!(
        output.contains("tls") && output.contains("behind-tls-proxy"),
        "{output}"
    );
}

fn replay(file: &Path) -> Output {
    let mut command = Command::new(server_binary().unwrap());
    command.arg("replay").arg(file).output().unwrap()
}

#[test]
fn a_recording_is_replayed_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.throng");
    let flags = [
        "--scene",
        "crowd",
        "--record",
        file.to_str().unwrap(),
        "--entities",
        "200",
    ];
    let server = ServerProcess::start(&flags).unwrap();
    let bots = Command::new(env!("CARGO_BIN_EXE_swarm"))
        .args([
            "--server",
            &server.http().to_string(),
            "--clients",
            "20",
            "--seconds",
            "2",
        ])
        .output()
        .unwrap();
    assert!(bots.status.success(), "{bots:?}");
    let (status, output) = server.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(!output.contains("recording ends"), "{output}");

    let replayed = replay(&file);
    let printed = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(printed.contains("came out as recorded"), "{printed}");

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let damaged = replay(&file);
    let printed = String::from_utf8_lossy(&damaged.stderr);
    assert_eq!(damaged.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("at byte") && printed.contains("damaged"),
        "{printed}"
    );
}

#[test]
fn content_that_is_exchanged_while_it_is_recorded_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let files = Sources::built_in().files();
    for file in &files {
        fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let recording = folder.path().join("played.throng");
    let server = ServerProcess::start(&[
        "--scene",
        "skirmish",
        "--entities",
        "300",
        "--content",
        folder.path().to_str().unwrap(),
        "--record",
        recording.to_str().unwrap(),
    ])
    .unwrap();
    let drones = files.iter().find(|file| file.name == "drones.ron").unwrap();
    let faster = drones.text.replace("thrust: 26.0", "thrust: 40.0");
    assert_ne!(faster, drones.text);
    fs::write(folder.path().join("drones.ron"), faster).unwrap();
    let is_exchanged = || server.output().unwrap().contains("content exchanged");
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if is_exchanged() {
            break;
        }
        sleep(POLL);
    }
    assert!(is_exchanged(), "the content is not exchanged");
    let (status, output) = server.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
    // The replay does not read the folder.
    fs::write(folder.path().join("drones.ron"), "nonsense").unwrap();
    let replayed = replay(&recording);
    let printed = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(printed.contains("an exchange of content"), "{printed}");
}

#[test]
fn a_file_that_cannot_be_recorded_to_is_named() {
    let output = refusal_of(&["--record", "/nowhere/at/all"]);
    assert!(output.contains("--record /nowhere/at/all"), "{output}");
}
