//! Connections to the HTTP API that hold places: players join beside them, and bots that play notice nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::AttackedServer;

/// Connections that the server allows, unless it is configured otherwise.
const CONNECTIONS_MAX: usize = 1_024;

/// Lets one attack at a time take the files that this process may have.
static FILES: Mutex<()> = Mutex::new(());

/// Allows this process the files for an attack.
fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(4_096, |maximum| maximum.min(4_096)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// Opens connections that send `begin` and no more.
fn hold(http: SocketAddr, count: usize, begin: &str) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(http).unwrap();
        // The server may have closed it already, for the next one.
        let _ = stream.write_all(begin.as_bytes());
        stream
    };
    (0..count).map(open).collect()
}

/// Opens connections that end at `begin`, while bots play and players join.
fn hold_connections(what: &str, begin: &str) {
    let _files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    allow_files();
    let mut attacked = AttackedServer::start();
    let quiet = attacked.run_bots(|_| true);
    let (joiner, version) = (attacked.joiner(), attacked.protocol.version());
    let http = attacked.server.http();
    let attack = || {
        let mut held = hold(http, CONNECTIONS_MAX, begin);
        for player in 0..20 {
            let joined = joiner.join(&format!("player-{player}"), &version, None);
            assert!(joined.is_ok(), "{what}: {joined:?}");
            held.extend(hold(http, 50, begin));
        }
        held
    };
    let (during, held) = attacked.run_during(attack, |_| true);
    assert!(during.counted("connections_displaced") >= 20, "{what}");
    assert_eq!(during.counted("tokens_issued"), 20, "{what}");
    attacked.assert_bots_unaffected(what, &quiet, &during);
    drop(held);
}

#[test]
fn silent_connections_of_one_address_lock_no_player_out() {
    hold_connections("silent connections", "");
}

#[test]
fn connections_with_half_a_request_lock_no_player_out() {
    hold_connections("half a head", "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\n");
    let head = "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    hold_connections("half a body", &format!("{head}Content-Length: 100\r\n\r\n{{"));
}

#[test]
fn readers_that_never_read_lock_no_player_out() {
    let request = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    hold_connections("readers that never read", &request.repeat(5));
}

#[test]
fn silent_connections_that_take_all_files_of_the_server_lock_no_player_out() {
    let mut attacked = AttackedServer::start();
    let quiet = attacked.run_bots(|_| true);
    let (joiner, version) = (attacked.joiner(), attacked.protocol.version());
    let (http, server) = (attacked.server.http(), Pid::from_raw(attacked.server.id() as i32));
    let files = Some(100);
    let limit = Rlimit {
        current: files,
        maximum: files,
    };
    prlimit(server, Resource::Nofile, limit).unwrap();
    let attack = || {
        let mut held = hold(http, 200, "");
        for player in 0..20 {
            let joined = joiner.join(&format!("player-{player}"), &version, None);
            assert!(joined.is_ok(), "{joined:?}");
            held.extend(hold(http, 10, ""));
        }
        held
    };
    let (during, held) = attacked.run_during(attack, |_| true);
    assert!(during.counted("connections_displaced") >= 100);
    attacked.assert_bots_unaffected("no more files", &quiet, &during);
    drop(held);
}

#[test]
fn http_2_holds_no_memory_and_no_place() {
    let mut attacked = AttackedServer::start();
    let quiet = attacked.run_bots(|_| true);
    let http = attacked.server.http();
    let attack = || {
        // The preface, and settings with a window of 0.
        let begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\u{6}\u{4}\0\0\0\0\0\0\u{4}\0\0\0\0";
        for mut stream in hold(http, 100, begin) {
            let mut received = String::new();
            // A reset connection has delivered the refusal before.
            let _ = stream.read_to_string(&mut received);
            assert!(received.starts_with("HTTP/1.1 505"), "{received}");
        }
    };
    let (during, ()) = attacked.run_during(attack, |window| window.counted("http_version") == 100);
    let grown = during
        .after
        .resident_bytes
        .saturating_sub(during.before.resident_bytes);
    assert!(grown < 16 << 20, "{grown} bytes more");
    attacked.assert_bots_unaffected("HTTP/2", &quiet, &during);
}
