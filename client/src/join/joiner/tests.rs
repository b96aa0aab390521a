//! Tests joining against a local server with prepared responses.

use super::*;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use throng_shared::netcode::{Entropy, PROTOCOL_ID, TokenRequest};
use throng_shared::protocol::guest::{BothVersions, DifferentPart, ErrorDetail};
use throng_shared::protocol::version::{ProtocolHash, Release};

use crate::join::Retry;
use crate::join::error::NO_SUCH_HOST;

const VERSION: ProtocolVersion = ProtocolVersion {
    hash: ProtocolHash(0x1f2e),
    release: Release::CURRENT,
};
const TIMEOUT: Duration = Duration::from_secs(5);

/// Starts a server that sends one prepared response and returns the request it received.
fn serve(response: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 4_096];
        // The body is one JSON object, so the request ends with its brace.
        while !received.ends_with(b"}") {
            let read = stream.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(&response).unwrap();
        String::from_utf8(received).unwrap()
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
        first_difference: Some(DifferentPart {
            index: 0,
            name: Some("component game::Hull".to_owned()),
        }),
    });
    let error = ErrorDetail {
        code: code.to_owned(),
        message: message.to_owned(),
        versions,
    };
    http(status, &serde_json::to_string(&ErrorBody { error }).unwrap())
}

fn join_with_response(response: Vec<u8>) -> Result<Joined, JoinError> {
    let (address, server) = serve(response);
    let joined = Joiner::new(&address, TIMEOUT).join("Ada", &VERSION, None);
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

/// Returns a server's response to a join, with this proof.
fn response(proof: &str) -> GuestResponse {
    GuestResponse {
        token: BASE64.encode(token().to_bytes().as_slice()),
        address: "127.0.0.1:5000".parse().unwrap(),
        tick: 77,
        tick_rate: 20,
        client_id: 42,
        server_version: "0.1.0".to_owned(),
        resume: proof.to_owned(),
    }
}

#[test]
fn guest_join_sends_name_hash_and_resume_proof() {
    let response = response("proof");
    let (address, server) = serve(http("200 OK", &serde_json::to_string(&response).unwrap()));
    let joined = Joiner::new(&address, TIMEOUT)
        .join("Ada", &VERSION, Some("earlier"))
        .unwrap();
    assert_eq!(
        (joined.tick, joined.tick_rate_hz, joined.client_id),
        (Tick(77), 20, 42)
    );
    assert_eq!(joined.token.addresses(), ["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(joined.resume, "proof");
    let received = server.join().unwrap();
    assert!(received.starts_with("POST /v1/guest HTTP/1.1\r\n"), "{received}");
    let body = &received[received.find("\r\n\r\n").unwrap()..];
    let request: GuestRequest = serde_json::from_str(body.trim()).unwrap();
    assert_eq!(
        (request.name.as_str(), request.protocol_hash.as_str()),
        ("Ada", "0000000000001f2e")
    );
    assert_eq!(request.resume.as_deref(), Some("earlier"));
}

#[test]
fn join_refusals_have_distinct_errors() {
    let error = join_with_response(failure("409 Conflict", "protocol_mismatch", "they differ")).unwrap_err();
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

    let error =
        join_with_response(failure("503 Unavailable", "server_full", "the server is full")).unwrap_err();
    assert!(matches!(error, JoinError::Full { .. }));
    assert_eq!(error.retry(), Retry::Later);

    let error = join_with_response(failure("429 Too Many", "rate_limited", "slowly")).unwrap_err();
    assert!(matches!(&error, JoinError::Busy { message, .. } if message == "slowly"));
    assert_eq!(error.retry(), Retry::Later);

    let error = join_with_response(failure("400 Bad Request", "bad_name", "`name` is empty")).unwrap_err();
    assert!(matches!(&error, JoinError::Refused { code, .. } if code == "bad_name"));
    assert!(error.to_string().contains("`name` is empty"));
    assert_eq!(error.retry(), Retry::Pointless);
}

#[test]
fn server_that_is_restarted_is_worth_another_attempt_also_behind_a_proxy() {
    for response in [
        failure("503 Unavailable", "not_running", "starting"),
        failure("500 Internal Server Error", "internal", "try again"),
        http("502 Bad Gateway", "<html>nginx</html>"),
        http("503 Service Unavailable", ""),
        http("504 Gateway Timeout", "upstream"),
    ] {
        let shown = String::from_utf8_lossy(&response).into_owned();
        let error = join_with_response(response).unwrap_err();
        assert!(
            matches!(error, JoinError::NotRunning { .. }),
            "{shown}: {error:?}"
        );
        assert_eq!(error.retry(), Retry::Worthwhile, "{shown}");
    }
}

#[test]
fn response_of_another_server_is_a_bad_answer() {
    let long = http("200 OK", &" ".repeat(RESPONSE_BYTES_MAX as usize + 1));
    for response in [
        http("200 OK", "<html>"),
        http("200 OK", "{}"),
        http("404 Not Found", "nothing here"),
        b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(),
        long,
    ] {
        let error = join_with_response(response.clone()).unwrap_err();
        let shown = String::from_utf8_lossy(&response[..response.len().min(80)]).into_owned();
        assert!(
            matches!(error, JoinError::BadAnswer { .. }),
            "{shown:?}: {error:?}"
        );
    }
}

#[test]
fn join_times_out_without_response_and_reports_a_closed_port() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let limit = Duration::from_millis(100);
    let error = Joiner::new(&address, limit)
        .join("Ada", &VERSION, None)
        .unwrap_err();
    assert!(
        matches!(error, JoinError::TimedOut { timeout, .. } if timeout == limit),
        "{error:?}"
    );
    let question = "is the address right, and does the server run?";
    assert_eq!(
        error.to_string(),
        format!("no answer from {address} within 0.1 s: {question}")
    );
    drop(silent);
    let error = Joiner::new(&address, TIMEOUT)
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
fn unknown_host_and_invalid_address_have_plain_messages() {
    // No label of a host name is that long, so the name is unknown without a query.
    let unknown = format!("{}.example.org:8080", "x".repeat(64));
    let error = Joiner::new(&unknown, TIMEOUT)
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
        let error = Joiner::new(address, TIMEOUT)
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
fn invalid_port_in_a_server_url_is_detected() {
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

/// Joins a server that returns `proof`, with a credential file. Returns the proof that the server received, and the
/// problem with the file.
fn join_with_file(file: &Path, proof: &str) -> (Option<String>, Option<String>) {
    let (address, server) = serve(http("200 OK", &serde_json::to_string(&response(proof)).unwrap()));
    // The file names the server, whose port differs in each call.
    let kept = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = kept.lines().collect();
    if let [first, _, proof] = lines[..] {
        fs::write(file, format!("{first}\nhttp://{address}\n{proof}\n")).unwrap();
    }
    let joiner = Joiner::new(&address, TIMEOUT).with_credential_file(Some(file.to_owned()));
    let joined = joiner.join("Ada", &VERSION, None).unwrap();
    assert_eq!(joined.resume, proof);
    let received = server.join().unwrap();
    let body = &received[received.find("\r\n\r\n").unwrap()..];
    let request: GuestRequest = serde_json::from_str(body.trim()).unwrap();
    (
        request.resume,
        joined.credential_problem.map(|problem| problem.to_string()),
    )
}

#[test]
fn a_client_that_starts_again_joins_with_the_credential_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credential");
    assert_eq!(join_with_file(&file, "AAAA"), (None, None));
    assert_eq!(join_with_file(&file, "AAAA"), (Some("AAAA".to_owned()), None));
    // The server was restarted: it knows no earlier client.
    let (sent, problem) = join_with_file(&file, "BBBB");
    assert_eq!(sent.as_deref(), Some("AAAA"));
    assert!(problem.unwrap().contains("does not know the credential"));
    assert_eq!(join_with_file(&file, "BBBB"), (Some("BBBB".to_owned()), None));
}

#[test]
fn a_damaged_credential_is_replaced_and_a_foreign_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credential");
    fs::write(&file, "throng credential 1\nhttp://somewh").unwrap();
    let (sent, problem) = join_with_file(&file, "AAAA");
    assert!(sent.is_none() && problem.unwrap().contains("is damaged"));
    assert_eq!(join_with_file(&file, "AAAA"), (Some("AAAA".to_owned()), None));
    fs::write(&file, "my diary\n").unwrap();
    let (sent, problem) = join_with_file(&file, "AAAA");
    assert!(sent.is_none() && problem.unwrap().contains("is not a credential file"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "my diary\n");
}
