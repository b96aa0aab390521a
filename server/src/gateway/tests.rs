//! The HTTP API over real sockets of the loopback interface.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::netcode::{ConnectToken, KEY_BYTES};
use throng_shared::protocol::guest::{ErrorBody, GuestResponse};
use throng_shared::protocol::version::{ProtocolHash, Release};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::*;
use crate::net::assign::{AssignStrategy, Assigner, WorkerLoad};
use crate::observe::{ServerStatus, StatsReport, StatusSender, advance_status, status_channel};

const HASH: ProtocolHash = ProtocolHash(0x0123_4567_89ab_cdef);

/// A gateway of a server without a world.
struct Running {
    gateway: Option<Gateway>,
    status: StatusSender,
    stats: Arc<ServerStats>,
    sink: audit::AuditSink,
    agent: ureq::Agent,
}

impl Running {
    fn new(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::with_sessions(10, change)
    }

    fn with_sessions(sessions_max: u32, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let mut config = GatewayConfig {
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            behind_tls_proxy: false,
            join_rate: 2,
            join_rate_loopback: 1_000,
            connections_max: 16,
        };
        change(&mut config);
        let (status, receiver) = status_channel();
        advance_status(&status, ServerStatus::Running);
        let stats = Arc::new(ServerStats::new(1, 20));
        let loads: Arc<[WorkerLoad]> = Arc::new([WorkerLoad::default()]);
        let issuer = TokenIssuer::new(IssuerConfig {
            addresses: vec!["[2001:db8::7]:5000".parse().unwrap()],
            private_key: [7; KEY_BYTES],
            assigner: Assigner::new(AssignStrategy::RoundRobin, loads, sessions_max),
        });
        let (sink, frames) = audit::audit();
        let parts = GatewayParts {
            issuer: issuer.unwrap(),
            stats: Arc::clone(&stats),
            status: receiver,
            origin: Instant::now(),
            protocol: ProtocolVersion {
                hash: HASH,
                release: Release::CURRENT,
            },
            audit: Some(frames),
        };
        let gateway = Some(Gateway::start(&config, parts).unwrap());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            gateway,
            status,
            stats,
            sink,
            agent,
        }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().address()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    fn post(&self, body: &str) -> (u16, String) {
        self.post_forwarded(body, None)
    }

    fn post_forwarded(&self, body: &str, forwarded: Option<&str>) -> (u16, String) {
        let mut request = self.agent.post(self.url("/v1/guest"));
        if let Some(forwarded) = forwarded {
            request = request.header("X-Forwarded-For", forwarded);
        }
        let mut answer = request.send(body).unwrap();
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        )
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut answer = self.agent.get(self.url(path)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    /// Status, code and message of a refused join.
    fn refusal(&self, body: &str) -> (u16, String, String) {
        let (status, answer) = self.post(body);
        let error = serde_json::from_str::<ErrorBody>(&answer)
            .expect("errors are JSON")
            .error;
        (status, error.code, error.message)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        advance_status(&self.status, ServerStatus::Stopped);
        // Kept-alive connections would be waited for.
        self.agent = ureq::agent();
        self.gateway.take().unwrap().join();
    }
}

fn guest(name: &str) -> String {
    serde_json::json!({ "name": name, "protocol_hash": HASH.to_string(), "version": "0.1.0" }).to_string()
}

fn parsed_token(response: &GuestResponse) -> ConnectToken {
    ConnectToken::from_bytes(&BASE64.decode(&response.token).unwrap()).unwrap()
}

#[test]
fn a_guest_is_given_a_token_for_its_worker() {
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
}

#[test]
fn a_guest_comes_back_as_itself_and_a_stale_proof_is_a_new_guest() {
    let server = Running::new(|_| {});
    let first: GuestResponse = serde_json::from_str(&server.post(&guest("Ada")).1).unwrap();
    let come_back = |resume: &str| -> GuestResponse {
        let body = serde_json::json!({ "name": "Ada", "protocol_hash": HASH.to_string(), "resume": resume });
        serde_json::from_str(&server.post(&body.to_string()).1).unwrap()
    };
    let again = come_back(&first.resume);
    assert_eq!(again.client_id, first.client_id);
    assert_ne!(again.token, first.token);
    assert_ne!(come_back("of an earlier server").client_id, first.client_id);
}

#[test]
fn another_protocol_is_refused_naming_both_versions() {
    let server = Running::new(|_| {});
    let body = r#"{"name": "Ada", "protocol_hash": "00000000000000ff", "version": "0.0.9"}"#;
    let (status, code, message) = server.refusal(body);
    assert_eq!((status, code.as_str()), (409, "protocol_mismatch"));
    let ours = format!("{} (hash 0123456789abcdef)", env!("CARGO_PKG_VERSION"));
    assert!(
        message.contains("0.0.9 (hash 00000000000000ff)") && message.contains(&ours),
        "{message}"
    );

    let hostile = r#"{"name": "Ada", "protocol_hash": "00000000000000ff", "version": "\u001b[2J"}"#;
    assert!(server.refusal(hostile).2.contains("an unnamed version"));
}

#[test]
fn a_malformed_body_is_refused_naming_the_field() {
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
fn names_have_1_to_32_bytes_and_no_control_characters() {
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
    ] {
        let (status, code, message) = server.refusal(&guest(bad));
        assert_eq!((status, code.as_str()), (400, "bad_name"), "{bad:?}");
        assert!(message.starts_with("`name` must"), "{message}");
    }
}

#[test]
fn an_oversized_body_is_refused_unread() {
    let server = Running::new(|_| {});
    let (status, code, message) = server.refusal(&guest(&"x".repeat(5_000)));
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
    assert!(message.contains("4096"), "{message}");

    // A length that is only announced is not waited for either.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"POST /v1/guest HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");

    // One that never says how long it is ends at the bound.
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"POST /v1/guest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"400\r\n".as_slice(), &[b' '; 1_024], b"\r\n"].concat();
    (0..5).for_each(|_| stream.write_all(&chunk).unwrap());
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[test]
fn a_full_server_says_so() {
    let server = Running::with_sessions(2, |_| {});
    assert_eq!(server.post(&guest("Ada")).0, 200);
    assert_eq!(server.post(&guest("Bob")).0, 200);
    let (status, code, _) = server.refusal(&guest("Eve"));
    assert_eq!((status, code.as_str()), (503, "server_full"));
}

#[test]
fn a_starting_or_stopping_server_takes_nobody() {
    let server = Running::new(|_| {});
    advance_status(&server.status, ServerStatus::Stopping);
    let (status, code, message) = server.refusal(&guest("Ada"));
    assert_eq!((status, code.as_str()), (503, "not_running"));
    assert_eq!(message, "the server is shutting down");
}

#[test]
fn joins_of_one_address_are_limited_and_a_local_swarm_is_not() {
    let server = Running::with_sessions(1_000, |config| config.behind_tls_proxy = true);
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
        "what the client says itself does not count"
    );
    assert!(joins("203.0.113.8") >= 20, "another address has its own");
    let (status, body) = server.post_forwarded(&guest("Ada"), Some("203.0.113.7"));
    assert_eq!(status, 429);
    assert_eq!(
        serde_json::from_str::<ErrorBody>(&body).unwrap().error.code,
        "rate_limited"
    );

    let local = Running::with_sessions(1_000, |_| {});
    let spoofed = (0..200).filter(|_| local.post_forwarded(&guest("Ada"), Some("203.0.113.7")).0 == 200);
    assert_eq!(
        spoofed.count(),
        200,
        "without a proxy nobody's word is taken, and loopback is generous"
    );
}

#[test]
fn unknown_paths_and_methods_are_json_errors() {
    let server = Running::new(|_| {});
    for (path, status, code) in [
        ("/", 404, "not_found"),
        ("/v1/guests", 404, "not_found"),
        ("/v1/guest", 405, "method_not_allowed"),
    ] {
        let (got, body) = server.get(path);
        let error = serde_json::from_slice::<ErrorBody>(&body).unwrap().error;
        assert_eq!((got, error.code.as_str()), (status, code), "{path}");
    }
}

#[test]
fn stats_are_the_server_s() {
    let server = Running::new(|_| {});
    server.stats.tick_ended(7, Duration::from_millis(3));
    let (status, body) = server.get("/v1/stats");
    assert_eq!(status, 200);
    let report: StatsReport = serde_json::from_slice(&body).unwrap();
    assert_eq!((report.tick, report.tick_rate, report.ticks), (7, 20, 1));
    assert_eq!(report.tick_time.max(), Duration::from_millis(3));
}

#[test]
fn health_follows_the_ticks_and_the_status() {
    let server = Running::new(|_| {});
    server.stats.tick_ended(7, Duration::from_millis(3));
    let (status, body) = server.get("/v1/health");
    assert_eq!(
        (status, String::from_utf8(body).unwrap().as_str()),
        (200, r#"{"status":"running","alive":true,"tick":7}"#)
    );
    advance_status(&server.status, ServerStatus::Stopping);
    let (status, body) = server.get("/v1/health");
    assert_eq!(
        (status, String::from_utf8(body).unwrap().as_str()),
        (503, r#"{"status":"stopping","alive":false,"tick":7}"#)
    );
}

#[test]
fn an_audit_of_a_tick_that_is_not_kept_says_which_are() {
    let mut server = Running::new(|_| {});
    let message = |(status, body): (u16, Vec<u8>)| {
        (
            status,
            serde_json::from_slice::<ErrorBody>(&body).unwrap().error.message,
        )
    };
    assert_eq!(
        message(server.get("/v1/audit?tick=7")),
        (404, "tick 7 is not kept: no tick is yet".to_owned())
    );
    for bad in [
        "/v1/audit",
        "/v1/audit?tick=",
        "/v1/audit?tick=-1",
        "/v1/audit?tock=7",
    ] {
        assert_eq!(message(server.get(bad)).0, 400, "{bad}");
    }
    let frame = audit::tests::frame_of(100);
    server.sink.offer(&frame);
    let (status, body) = server.get("/v1/audit?tick=100");
    assert_eq!((status, &body[..4]), (200, &audit::AUDIT_MAGIC[..]));
    assert_eq!(
        message(server.get("/v1/audit?tick=99")).1,
        "tick 99 is not kept: 100 to 100 are"
    );
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let server = Running::new(|_| {});
    let error = serve::listen(server.address()).unwrap_err();
    assert!(matches!(error, GatewayError::PortInUse { .. }));
    let expected = format!(
        "HTTP port {} at 127.0.0.1 is in use: stop the other program or choose another --http",
        server.address().port()
    );
    assert_eq!(error.to_string(), expected);
    let error = serve::listen("203.0.113.7:8080".parse().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen for HTTP on 203.0.113.7:8080: "),
        "{error}"
    );
}

#[test]
fn http_works_over_ipv6() {
    // A machine without IPv6 has nothing to test.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = Running::new(|config| config.http = "[::1]:0".parse().unwrap());
    assert_eq!(server.post(&guest("Ada")).0, 200);
}

fn identity(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/gateway/test_identity")
        .join(file)
}

#[test]
fn guests_join_over_tls() {
    let tls = Some((identity("cert.pem"), identity("key.pem")));
    let server = Running::new(|config| config.tls = tls);
    let certificate = Certificate::from_pem(&std::fs::read(identity("cert.pem")).unwrap()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let mut answer = agent
        .post(format!("https://{}/v1/guest", server.address()))
        .send(guest("Ada"))
        .unwrap();
    let response: GuestResponse = answer.body_mut().read_json().unwrap();
    assert_eq!(parsed_token(&response).addresses().len(), 1);

    // Plain HTTP on a TLS port, and a client that does not trust the certificate, get nothing.
    assert!(ureq::get(server.url("/v1/health")).call().is_err());
    assert!(
        ureq::get(format!("https://{}/v1/health", server.address()))
            .call()
            .is_err()
    );
}

#[test]
fn an_unusable_identity_names_the_file() {
    let missing = PathBuf::from("/nowhere/cert.pem");
    let error = tls::load(&missing, &identity("key.pem")).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot use /nowhere/cert.pem for TLS: "),
        "{error}"
    );
    let error = tls::load(&identity("key.pem"), &identity("key.pem"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no certificate in it"), "{error}");
    let error = tls::load(&identity("cert.pem"), &identity("cert.pem"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cert.pem for TLS: "), "{error}");
}

#[test]
fn connections_above_the_bound_are_closed_and_the_others_are_served() {
    let server = Running::new(|config| config.connections_max = 2);
    let idle: Vec<TcpStream> = (0..2)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    // Whether the accept loop has seen both is visible only in that a third is turned away.
    let turned_away = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let mut third = TcpStream::connect(server.address()).unwrap();
        let _ = third.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
        third.read(&mut [0; 1]).map_or(true, |read| read == 0)
    });
    assert!(turned_away);
    drop(idle);
    let served = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        server.agent.get(server.url("/v1/health")).call().is_ok()
    });
    assert!(served);
}

#[test]
fn the_gateway_ends_when_the_server_has_stopped() {
    let mut server = Running::new(|_| {});
    let _idle = TcpStream::connect(server.address()).unwrap();
    let address = server.address();
    advance_status(&server.status, ServerStatus::Stopped);
    let gateway = server.gateway.take().unwrap();
    gateway.join();
    assert!(TcpStream::connect(address).is_err());
    server.gateway = Some(Gateway {
        address,
        thread: std::thread::spawn(|| {}),
    });
}
