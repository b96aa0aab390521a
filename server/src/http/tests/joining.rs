//! Joining over `POST /v1/guest`: tokens, refusals and limits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use throng_shared::protocol::guest::{ErrorBody, GuestResponse};

use super::*;

#[test]
fn guest_receives_a_token_for_its_worker() {
    let server = Running::new(|_| {});
    server.stats.tick_ended(41, Duration::from_millis(1));
    let (status, body) = server.post(&guest("Ada"));
    assert_eq!(status, 200, "{body}");
    let response: GuestResponse = serde_json::from_str(&body).unwrap();
    assert_eq!((response.tick, response.tick_rate), (41, 20));
    assert_eq!(response.server_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(response.address.to_string(), "[2001:db8::7]:5000");
    let token = parsed_token(&response);
    assert_eq!(token.addresses(), [response.address]);
    assert_eq!(token.client_id(), response.client_id);
    let lives_until_s = token.expire_unix_s() - UNIX_ORIGIN.as_secs();
    assert!(
        (30..60).contains(&lives_until_s),
        "dated by the server's own clock, not {lives_until_s}"
    );
}

#[test]
fn guest_resumes_its_identity_and_a_stale_proof_makes_a_new_guest() {
    let server = Running::new(|_| {});
    let first: GuestResponse = serde_json::from_str(&server.post(&guest("Ada")).1).unwrap();
    let rejoin = |resume: &str| -> GuestResponse {
        let body = serde_json::json!({ "name": "Ada", "protocol_hash": HASH.to_string(), "resume": resume });
        serde_json::from_str(&server.post(&body.to_string()).1).unwrap()
    };
    let again = rejoin(&first.resume);
    assert_eq!(again.client_id, first.client_id);
    assert_ne!(again.token, first.token);
    assert_ne!(rejoin("of an earlier server").client_id, first.client_id);
}

#[test]
fn client_with_another_protocol_is_refused_with_both_versions() {
    let server = Running::new(|_| {});
    let body = r#"{"name": "Ada", "protocol_hash": "00000000000000ff", "version": "0.0.9"}"#;
    let (status, code, message) = server.refusal(body);
    assert_eq!((status, code.as_str()), (409, "protocol_mismatch"));
    let ours = format!("{} (hash 0123456789abcdef)", env!("CARGO_PKG_VERSION"));
    assert!(
        message.contains("0.0.9 (hash 00000000000000ff)") && message.contains(&ours),
        "{message}"
    );

    // The server of the test has two parts: Throng's packets and the game's version.
    let with_parts = |parts: &str| {
        let body = format!(r#"{{"name": "Ada", "protocol_hash": "00000000000000ff", "parts": "{parts}"}}"#);
        server.refusal(&body).2
    };
    assert!(with_parts("AAA=").ends_with("part 0 of the protocol, at the server Throng's packets"));
    for unusable in ["", "AA==", "!", "AAAA"] {
        let message = with_parts(unusable);
        let is_named = message.contains("the first difference is at part");
        assert_eq!(is_named, unusable.is_empty(), "{unusable:?}: {message}");
    }

    let hostile = r#"{"name": "Ada", "protocol_hash": "00000000000000ff", "version": "\u001b[2J"}"#;
    assert!(server.refusal(hostile).2.contains("an unnamed version"));
}

#[test]
fn malformed_guest_request_is_refused_with_the_field() {
    let server = Running::new(|_| {});
    for (body, named) in [
        ("", "EOF"),
        ("nonsense", "expected"),
        ("[]", "GuestRequest"),
        (r#"{"protocol_hash": "0123456789abcdef"}"#, "`name`"),
        (r#"{"name": "Ada"}"#, "`protocol_hash`"),
        (
            r#"{"name": 7, "protocol_hash": "0123456789abcdef"}"#,
            "name: invalid type",
        ),
        (
            r#"{"name": "Ada", "protocol_hash": 81985529216486895}"#,
            "protocol_hash: invalid type",
        ),
        (
            r#"{"name": "Ada", "protocol_hash": "0123456789abcdef", "resume": {}}"#,
            "resume: invalid type",
        ),
        (
            r#"{"name": "Ada", "protocol_hash": "0123456789abcdef", "name": "Bob"}"#,
            "duplicate field `name`",
        ),
    ] {
        let (status, code, message) = server.refusal(body);
        assert_eq!((status, code.as_str()), (400, "bad_body"), "{body}");
        assert!(message.contains(named), "{message} for {body}");
    }
    let (status, code, message) = server.refusal(r#"{"name": "Ada", "protocol_hash": "ff"}"#);
    assert_eq!((status, code.as_str()), (400, "bad_field"));
    assert!(
        message.contains("`protocol_hash` must be 16 hexadecimal digits"),
        "{message}"
    );
}

#[test]
fn guest_names_have_1_to_32_bytes_and_can_be_seen() {
    let server = Running::new(|_| {});
    for good in ["A", "Ada Lovelace", &"x".repeat(32), "Ωμέγα", &"ü".repeat(16)] {
        assert_eq!(server.post(&guest(good)).0, 200, "{good}");
    }
    for bad in [
        "",
        "   ",
        &"x".repeat(33),
        &"ü".repeat(17),
        "two\nlines",
        "bell\u{7}",
        "\u{9b}2J",
        "\u{200b}",
        "\u{2060}\u{feff}",
        "\u{202e}adA",
        "Ada\u{2066}",
        "A\u{200b}da",
        "\u{3164}",
        "Z\u{301}\u{301}\u{301}\u{301}\u{301}",
    ] {
        let (status, code, message) = server.refusal(&guest(bad));
        assert_eq!((status, code.as_str()), (400, "bad_name"), "{bad:?}");
        assert!(message.starts_with("`name` must"), "{message}");
    }
    let (_, _, message) = server.refusal(&guest("\u{202e}adA"));
    let reason = "must not have characters that turn the direction of text (U+202E)";
    assert_eq!(message, format!("`name` {reason}"));
}

#[test]
fn oversized_body_is_refused_unread() {
    let server = Running::new(|_| {});
    let (status, code, message) = server.refusal(&guest(&"x".repeat(5_000)));
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
    assert!(message.contains("4096"), "{message}");

    // The server does not wait for a body that is only announced.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");

    // A body without an announced length is refused at the limit.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"400\r\n".as_slice(), &[b' '; 1_024], b"\r\n"].concat();
    (0..5).for_each(|_| stream.write_all(&chunk).unwrap());
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[test]
fn full_server_refuses_guests_with_503() {
    let server = Running::with_sessions(2, |_| {});
    for name in ["Ada", "Bob"] {
        let (status, body) = server.post(&guest(name));
        assert_eq!(status, 200);
        server.connect(&serde_json::from_str(&body).unwrap());
    }
    assert_eq!(server.figures()["tokens_issued"], 2);
    let (status, code, _) = server.refusal(&guest("Eve"));
    assert_eq!((status, code.as_str()), (503, "server_full"));
}

#[test]
fn tokens_that_are_never_used_leave_half_of_the_places_and_keep_no_address_out() {
    let server = Running::with_sessions(100, |config| {
        config.proxies = Some(PROXIES_DEFAULT.to_vec());
        config.joins.remote = 100;
    });
    let join = |address: &str| server.post_forwarded(&guest("Ada"), Some(address));
    let mut issued = 0;
    for n in 0..200 {
        let (status, body) = join(&format!("203.0.113.{}", n % 5));
        issued += u32::from(status == 200);
        assert!(status == 200 || body.contains("server_full"), "{body}");
    }
    assert_eq!(issued, 50, "half of 100 places");
    for n in 0..10 {
        let (status, body) = join(&format!("198.51.100.{n}"));
        assert_eq!(status, 200, "a player from another address: {body}");
    }
}

#[test]
fn places_of_one_address_are_limited_and_an_ipv6_64_is_one_address() {
    let server = Running::with_sessions(1_000, |config| {
        config.proxies = Some(PROXIES_DEFAULT.to_vec());
        config.joins.remote = 100;
    });
    let join = |address: &str| server.post_forwarded(&guest("Ada"), Some(address));
    for (first, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
    ] {
        let issued = (0..60).filter(|_| join(first).0 == 200).count();
        assert_eq!(issued as u32, ADDRESS_MAX, "{first}");
        let (status, body) = join(same);
        let error = serde_json::from_str::<ErrorBody>(&body).unwrap().error;
        assert_eq!((status, error.code.as_str()), (429, "address_full"), "{same}");
        assert!(
            error.message.contains("--sessions-per-address"),
            "{}",
            error.message
        );
        assert_eq!(join(other).0, 200, "{other}");
    }
}

#[test]
fn starting_or_stopping_server_refuses_guests() {
    let server = Running::new(|_| {});
    advance_status(&server.status, ServerStatus::Stopping);
    let (status, code, message) = server.refusal(&guest("Ada"));
    assert_eq!((status, code.as_str()), (503, "not_running"));
    assert_eq!(message, "the server is shutting down");
}

#[test]
fn joins_of_one_remote_address_are_limited_and_loopback_is_not() {
    let server = Running::with_sessions(1_000, |config| config.proxies = Some(PROXIES_DEFAULT.to_vec()));
    let joins = |forwarded: &str| {
        (0..30)
            .filter(|_| server.post_forwarded(&guest("Ada"), Some(forwarded)).0 == 200)
            .count()
    };
    let first = joins("203.0.113.7");
    assert!(
        (20..=24).contains(&first),
        "a burst of ten seconds' worth, not {first}"
    );
    assert!(
        joins("198.51.100.1, 203.0.113.7") <= 4,
        "entries that the client added itself are ignored"
    );
    assert!(joins("203.0.113.8") >= 20, "another address has its own limit");
    let mut tries = (0..100).map(|_| server.post_forwarded(&guest("Ada"), Some("203.0.113.7")));
    let (_, body) = tries.find(|&(status, _)| status == 429).expect("one is refused");
    assert_eq!(
        serde_json::from_str::<ErrorBody>(&body).unwrap().error.code,
        "rate_limited"
    );

    let local = Running::with_sessions(1_000, |_| {});
    let spoofed = (0..200).filter(|_| local.post_forwarded(&guest("Ada"), Some("203.0.113.7")).0 == 200);
    assert_eq!(
        spoofed.count(),
        200,
        "without a proxy X-Forwarded-For is ignored, and the limit of loopback is high"
    );
}
