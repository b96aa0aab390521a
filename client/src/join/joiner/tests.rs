//! A server of prepared answers, and what a client makes of them.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use throng_shared::netcode::{Entropy, PROTOCOL_ID, TokenRequest};
use throng_shared::protocol::guest::{BothVersions, ErrorDetail};
use throng_shared::protocol::version::{ProtocolHash, Release};

use crate::join::Retry;
use crate::join::error::NO_SUCH_HOST;

const VERSION: ProtocolVersion = ProtocolVersion {
    hash: ProtocolHash(0x1f2e),
    release: Release::CURRENT,
};
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that gives each connection one prepared answer and tells what it was asked.
fn serve(answer: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 4_096];
        // The body is one JSON object, so the request ends with its brace.
        while !asked.ends_with(b"}") {
            let read = stream.read(&mut buffer).unwrap();
            asked.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(&answer).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (address, server)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn failure(status: &str, code: &str, message: &str) -> Vec<u8> {
    let versions = (code == "protocol_mismatch").then(|| BothVersions {
        client: VERSION.to_string(),
        server: "0.2.0 (hash 2)".to_owned(),
    });
    let error = ErrorDetail {
        code: code.to_owned(),
        message: message.to_owned(),
        versions,
    };
    http(status, &serde_json::to_string(&ErrorBody { error }).unwrap())
}

fn join_answered(answer: Vec<u8>) -> Result<Joined, JoinError> {
    let (address, server) = serve(answer);
    let joined = Joiner::new(&address, PATIENCE).join("Ada", &VERSION, None);
    server.join().unwrap();
    joined
}

fn token() -> ConnectToken {
    let request = TokenRequest {
        protocol_id: PROTOCOL_ID,
        client_id: 42,
        addresses: &["127.0.0.1:5000".parse().unwrap()],
        expire_s: 30,
        timeout_s: 20,
        user_data: &[0; 256],
        private_key: &[7; 32],
    };
    ConnectToken::generate(1_000, &request, &mut Entropy::from_seed([1; 32])).unwrap()
}

#[test]
fn a_guest_joins_and_says_who_it_was() {
    let response = GuestResponse {
        token: BASE64.encode(token().to_bytes().as_slice()),
        address: "127.0.0.1:5000".parse().unwrap(),
        tick: 77,
        tick_rate: 20,
        client_id: 42,
        server_version: "0.1.0".to_owned(),
        resume: "proof".to_owned(),
    };
    let (address, server) = serve(http("200 OK", &serde_json::to_string(&response).unwrap()));
    let joined = Joiner::new(&address, PATIENCE)
        .join("Ada", &VERSION, Some("earlier"))
        .unwrap();
    assert_eq!(
        (joined.tick, joined.tick_rate_hz, joined.client_id),
        (Tick(77), 20, 42)
    );
    assert_eq!(joined.token.addresses(), ["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(joined.resume, "proof");
    let asked = server.join().unwrap();
    assert!(asked.starts_with("POST /v1/guest HTTP/1.1\r\n"), "{asked}");
    let body = &asked[asked.find("\r\n\r\n").unwrap()..];
    let request: GuestRequest = serde_json::from_str(body.trim()).unwrap();
    assert_eq!(
        (request.name.as_str(), request.protocol_hash.as_str()),
        ("Ada", "0000000000001f2e")
    );
    assert_eq!(request.resume.as_deref(), Some("earlier"));
}

#[test]
fn refusals_are_told_apart() {
    let error = join_answered(failure("409 Conflict", "protocol_mismatch", "they differ")).unwrap_err();
    let JoinError::WrongVersion { client, spoken, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*client, spoken.as_str()), (VERSION, "0.2.0 (hash 2)"));
    let shown = error.to_string();
    assert!(
        shown.contains(&VERSION.to_string()) && shown.contains("0.2.0 (hash 2)"),
        "{shown}"
    );
    assert_eq!(error.retry(), Retry::Pointless);

    let error = join_answered(failure("503 Unavailable", "server_full", "the server is full")).unwrap_err();
    assert!(matches!(error, JoinError::Full { .. }));
    assert_eq!(error.retry(), Retry::Worthwhile);

    let error = join_answered(failure("429 Too Many", "rate_limited", "slowly")).unwrap_err();
    assert!(matches!(&error, JoinError::Busy { message, .. } if message == "slowly"));

    let error = join_answered(failure("400 Bad Request", "bad_name", "`name` is empty")).unwrap_err();
    assert!(matches!(&error, JoinError::Refused { code, .. } if code == "bad_name"));
    assert!(error.to_string().contains("`name` is empty"));
    assert_eq!(error.retry(), Retry::Pointless);
}

#[test]
fn other_servers_are_recognized() {
    let long = http("200 OK", &" ".repeat(ANSWER_BYTES_MAX as usize + 1));
    for answer in [
        http("200 OK", "<html>"),
        http("200 OK", "{}"),
        http("404 Not Found", "nothing here"),
        b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(),
        long,
    ] {
        let error = join_answered(answer.clone()).unwrap_err();
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        assert!(
            matches!(error, JoinError::BadAnswer { .. }),
            "{shown:?}: {error:?}"
        );
    }
}

#[test]
fn silence_times_out_and_a_closed_port_is_unreachable() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let patience = Duration::from_millis(100);
    let error = Joiner::new(&address, patience)
        .join("Ada", &VERSION, None)
        .unwrap_err();
    assert!(
        matches!(error, JoinError::TimedOut { timeout, .. } if timeout == patience),
        "{error:?}"
    );
    let asked = "is the address right, and does the server run?";
    assert_eq!(
        error.to_string(),
        format!("no answer from {address} within 0.1 s: {asked}")
    );
    drop(silent);
    let error = Joiner::new(&address, PATIENCE)
        .join("Ada", &VERSION, None)
        .unwrap_err();
    assert!(matches!(&error, JoinError::Unreachable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot reach {address}: no server listens there")
    );
    assert_eq!(error.retry(), Retry::Worthwhile);
}

#[test]
fn what_is_no_host_and_what_is_no_address_is_said_in_words() {
    // No label of a name is that long, so this one is unknown without asking anybody.
    let unknown = format!("{}.example.org:8080", "x".repeat(64));
    let error = Joiner::new(&unknown, PATIENCE)
        .join("Ada", &VERSION, None)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot reach {unknown}: {NO_SUCH_HOST}")
    );
    assert_eq!(error.retry(), Retry::Worthwhile);
    for address in [
        "",
        "two words:80",
        "ftp://example.org",
        "localhost:http",
        "localhost:99999",
        "localhost:0",
        "localhost:",
        ":99999",
        "http://ada@[::1]:99999",
    ] {
        let error = Joiner::new(address, PATIENCE)
            .join("Ada", &VERSION, None)
            .unwrap_err();
        assert!(
            matches!(error, JoinError::BadAddress { .. }),
            "{address:?}: {error:?}"
        );
        assert_eq!(error.retry(), Retry::Pointless, "{address:?}");
    }
}

#[test]
fn ports_are_checked_wherever_they_stand() {
    for url in [
        "http://localhost",
        "http://localhost:8080/v1/guest",
        "https://ada:secret@play.example.org/v1",
        "http://[::1]/v1",
        "http://ada@[::1]:65535/v1",
        "no url",
    ] {
        assert!(has_usable_port(url), "{url}");
    }
    for url in [
        "http://localhost:65536/v1",
        "http://[::1]:http",
        "http://ada@host:-1/",
    ] {
        assert!(!has_usable_port(url), "{url}");
    }
}
