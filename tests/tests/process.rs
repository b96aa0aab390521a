//! The server as a process, on real sockets: it starts, serves both kinds of I/O, says what is wrong, and ends
//! as it is told.

use std::net::{TcpListener, UdpSocket};

use throng_tests::process::{ServerProcess, free_ports};

/// The exit code for a configuration that cannot work.
const REFUSED: i32 = 2;

/// Starts a server that must refuse its configuration; returns what it printed.
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
        &["--io", "batched", "--workers", "2"][..],
        &["--io", "portable", "--workers", "2"],
        &["--workers", "0"],
        &["--workers", "2", "--udp-shared"],
        &["--scene", "static", "--entities", "5000", "--tick-rate", "60"],
        &["--scene", "hotspot", "--entities", "300"],
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
