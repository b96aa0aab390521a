//! The start banner of each scene.

use std::net::SocketAddr;

use throng_server::process::Banner;
use throng_shared::protocol::version::{ProtocolHash, ProtocolVersion, Release};

use super::read;

fn banner(flags: &[&str], http: &str, udp: &[&str]) -> String {
    let settings = read(flags, &[]).unwrap();
    let udp: Vec<SocketAddr> = udp.iter().map(|address| address.parse().unwrap()).collect();
    Banner {
        settings: &settings,
        http: http.parse().unwrap(),
        udp: &udp,
        protocol: ProtocolVersion {
            hash: ProtocolHash(255),
            release: Release::CURRENT,
        },
        colour: false,
    }
    .to_string()
}

#[test]
fn banner_shows_scene_addresses_protocol_and_commands() {
    let text = banner(
        &["--scene", "crowd", "--workers", "2", "--io", "portable"],
        "127.0.0.1:8080",
        &["127.0.0.1:5000", "127.0.0.1:5001"],
    );
    let expected = format!(
        "
Throng {0}
  world    crowd: 1,000 moving entities, a client sees 60; 20 Hz, seed 1
  http     http://127.0.0.1:8080
  udp      127.0.0.1:5000-5001, 2 workers, portable I/O
  protocol {0} (hash 00000000000000ff)
  bots     cargo swarm --clients 1000 --seconds 30
  stop     ctrl-c

",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(text, expected);
}

#[test]
fn banner_shows_the_swarm_command_with_the_servers_address() {
    let flags = ["--scene", "crowd", "--workers", "0"];
    let text = banner(&flags, "[::1]:9000", &["[::1]:7000"]);
    assert!(
        text.contains("cargo swarm --clients 1000 --seconds 30 --server [::1]:9000\n"),
        "{text}"
    );
    assert!(text.contains("[::1]:7000, inline"), "{text}");
    let tls = ["--scene", "crowd", "--tls-cert", "a", "--tls-key", "b"];
    let text = banner(&tls, "[::1]:9000", &["[::1]:7000"]);
    assert!(
        text.contains("https://[::1]:9000") && !text.contains("swarm"),
        "{text}"
    );
}

#[test]
fn banner_of_skirmish_shows_no_swarm_command() {
    let text = banner(&[], "127.0.0.1:8080", &["127.0.0.1:5000"]);
    assert!(
        text.contains("skirmish: 2,000 drones, 5,000 asteroids") && !text.contains("swarm"),
        "{text}"
    );
}

#[test]
fn banner_describes_every_scene() {
    let world = |flags: &[&str]| {
        let text = banner(flags, "127.0.0.1:8080", &["127.0.0.1:5000"]);
        let row = text.lines().find_map(|line| line.strip_prefix("  world    "));
        row.unwrap().to_owned()
    };
    assert_eq!(
        world(&["--scene", "static", "--simulations", "2", "--seed", "7"]),
        "static: 100,000 resting entities; 20 Hz, seed 7; 2 simulations"
    );
    assert_eq!(
        world(&["--scene", "hotspot", "--tick-rate", "60"]),
        "hotspot: 2,000 moving entities, all in one view; 60 Hz, seed 1"
    );
    assert_eq!(world(&["--scene", "idle"]), "idle: no entities; 20 Hz, seed 1");
}
