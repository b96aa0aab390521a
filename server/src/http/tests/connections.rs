//! Connections that hold places or take time: they cost only their own address, and they end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::raw::{HEALTH, RawConnection, exchange};
use super::serving::identity;
use super::*;

const SHORT: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// Starts a server whose connections have little time.
fn hurried() -> Running {
    Running::new(|config| {
        config.times = TimeLimits {
            request: SHORT,
            response: SHORT,
            idle: SHORT,
        };
    })
}

#[test]
fn silent_connections_at_the_limit_make_room_at_once() {
    let server = Running::new(|_| {});
    let mut silent: Vec<_> = (0..16).map(|_| RawConnection::open(&server)).collect();
    // The times are long: only the new connections can have ended the silent ones.
    for name in ["Ada", "Bob", "Cid"] {
        assert_eq!(server.post(&guest(name)).0, 200, "{name}");
    }
    assert!(server.figures()["connections_displaced"] >= 1);
    assert_eq!(silent[0].rest(), "", "the oldest one");
    assert!(silent[15].is_open(), "the newest one");
}

#[test]
fn address_at_its_share_loses_its_longest_unused_connection() {
    let server = Running::new(|config| config.connections.per_loopback = 4);
    let mut used = RawConnection::open(&server);
    let mut others: Vec<_> = (0..3).map(|_| RawConnection::open(&server)).collect();
    used.send(HEALTH);
    assert!(used.response().0.starts_with("HTTP/1.1 200"));
    let mut newer: Vec<_> = (0..3)
        .map(|_| RawConnection::open_from(&server, "127.0.0.1"))
        .collect();
    others.iter_mut().for_each(|other| assert_eq!(other.rest(), ""));
    assert!(used.is_open() && newer.iter_mut().all(RawConnection::is_open));
    let mut elsewhere = RawConnection::open_from(&server, "127.0.0.2");
    elsewhere.send(HEALTH);
    assert!(
        elsewhere.response().0.starts_with("HTTP/1.1 200"),
        "another address has its own share"
    );
    assert!(used.is_open());
}

#[test]
fn address_with_the_most_connections_makes_room_for_others() {
    let server = Running::new(|_| {});
    let mut few: Vec<_> = (0..2)
        .map(|_| RawConnection::open_from(&server, "127.0.0.3"))
        .collect();
    let mut many: Vec<_> = (0..20)
        .map(|_| RawConnection::open_from(&server, "127.0.0.2"))
        .collect();
    for address in ["127.0.0.4", "127.0.0.5", "127.0.0.6"] {
        let mut player = RawConnection::open_from(&server, address);
        player.send(HEALTH);
        assert!(player.response().0.starts_with("HTTP/1.1 200"), "{address}");
    }
    assert!(
        few.iter_mut().all(RawConnection::is_open),
        "older, but of an address with few"
    );
    assert_eq!(many[0].rest(), "");
    assert!(many[19].is_open());
}

#[test]
fn rate_of_connections_of_a_remote_address_is_limited() {
    let server = Running::new(|config| {
        config.proxies = Some(vec![("192.0.2.1".parse().unwrap(), 32)]);
        config.request_rate = 1;
    });
    let mut connections: Vec<_> = (0..12).map(|_| RawConnection::open(&server)).collect();
    assert_eq!(connections[11].rest(), "", "ten at once, and one a second");
    assert!(connections[0].is_open());
}

#[test]
fn silent_connection_is_ended() {
    let server = hurried();
    assert_eq!(RawConnection::open(&server).rest(), "");
    server.wait_for("connections_timed_out", 1);
}

#[test]
fn head_that_arrives_byte_by_byte_is_ended() {
    let server = hurried();
    let head = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n";
    assert_eq!(RawConnection::open(&server).drip(head, PAUSE), "");
    let headers = format!("{head}{}", "X-More: 1\r\n".repeat(10_000));
    let mut connection = RawConnection::open(&server);
    connection.send(head);
    assert_eq!(connection.drip(&headers[head.len()..], PAUSE), "");
    let blank = RawConnection::open(&server).drip("\r\n", PAUSE);
    assert!(blank.is_empty() || blank.starts_with("HTTP/1.1 4"), "{blank}");
}

#[test]
fn body_that_arrives_byte_by_byte_is_refused_in_time() {
    let server = hurried();
    let head = "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for (kind, text) in [
        ("Content-Length: 4000\r\n\r\n", " "),
        ("Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n", "0"),
        ("Transfer-Encoding: chunked\r\n\r\n1;", "x"),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-Trailer: 1\r\n"),
        ("Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", " "),
    ] {
        let mut connection = RawConnection::open(&server);
        connection.send(&format!("{head}{kind}"));
        let received = connection.drip(text, PAUSE);
        let received = received
            .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
            .unwrap_or(&received);
        assert!(
            received.starts_with("HTTP/1.1 408") || received.starts_with("HTTP/1.1 400"),
            "{kind}: {received}"
        );
    }
    assert!(server.figures()["timed_out"] >= 4, "{:?}", server.figures());
}

#[test]
fn kept_alive_connection_is_ended_when_it_is_idle() {
    let server = hurried();
    let mut connection = RawConnection::open(&server);
    for _ in 0..3 {
        connection.send(HEALTH);
        assert!(connection.response().0.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(connection.rest(), "");
    let mut connection = RawConnection::open(&server);
    connection.send(&format!("{HEALTH}GET /v1"));
    assert!(connection.response().0.starts_with("HTTP/1.1 200"));
    assert_eq!(connection.rest(), "", "half a head after a response");
}

/// Keeps requests waiting and reads this many bytes after each pause, until the server ends the connection.
fn read_slowly(server: &Running, bytes: usize) {
    let mut connection = RawConnection::open(server);
    connection.0.set_nonblocking(true).unwrap();
    let requests = "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let (mut sent, mut buffer, begun) = (0, vec![0; bytes], now());
    loop {
        match connection.0.write(&requests.as_bytes()[sent..]) {
            Ok(more) => sent = (sent + more) % requests.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if bytes > 0 && matches!(connection.0.read(&mut buffer), Ok(0)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the connection is still open");
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn reader_that_never_reads_is_ended() {
    read_slowly(&hurried(), 0);
}

#[test]
fn reader_that_reads_a_little_now_and_then_is_ended() {
    let server = hurried();
    read_slowly(&server, 1);
    read_slowly(&server, 1_000);
}

#[test]
fn tls_handshake_that_stops_is_ended() {
    let server = Running::new(|config| {
        config.tls = Some((identity("cert.pem"), identity("key.pem")));
        config.times.request = SHORT;
    });
    // The head of a record with a client's hello, whose rest never comes.
    for begin in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(begin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(RawConnection(stream).rest(), "");
    }
}

#[test]
fn silent_tls_connections_at_the_limit_make_room_at_once() {
    let tls = Some((identity("cert.pem"), identity("key.pem")));
    let server = Running::new(|config| config.tls = tls);
    let silent: Vec<_> = (0..16).map(|_| RawConnection::open(&server)).collect();
    let client = kinds::tls_client(&[b"http/1.1"]);
    let mut stream = kinds::tls_stream(&server, client);
    stream.write_all(HEALTH.as_bytes()).unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    drop(silent);
}

#[test]
fn half_closed_connection_receives_its_response() {
    let server = Running::new(|_| {});
    let mut connection = RawConnection::open(&server);
    connection.send(HEALTH);
    connection.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(connection.rest().starts_with("HTTP/1.1 200"));
    let mut connection = RawConnection::open(&server);
    connection.send("POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    connection.send("Content-Length: 100\r\n\r\n{");
    connection.0.shutdown(std::net::Shutdown::Write).unwrap();
    let received = connection.rest();
    assert!(
        received.is_empty() || received.starts_with("HTTP/1.1 400"),
        "{received}"
    );
}

#[test]
fn refusal_reaches_a_client_that_is_still_sending() {
    let server = Running::new(|_| {});
    for _ in 0..20 {
        let head = "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let body = " ".repeat(100_000);
        let received = exchange(&server, &format!("{head}Content-Length: 100000\r\n\r\n{body}"));
        assert!(received.starts_with("HTTP/1.1 413"), "{received}");
    }
}
