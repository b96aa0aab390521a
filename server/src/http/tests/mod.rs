//! Tests of the HTTP API over real loopback sockets, on a server that has no simulation.

mod connections;
mod doors;
mod joining;
mod kinds;
mod raw;
mod serving;

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::netcode::{ConnectToken, KEY_BYTES, SessionId};
use throng_shared::protocol::guest::{ErrorBody, GuestResponse};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::{ProtocolHash, Release};

use super::*;
use crate::boundary::address_group::AddressGroup;
use crate::boundary::link::SessionKey;
use crate::net::assign::AssignStrategy;
use crate::net::places::{PlaceLimits, Places};
use crate::observe::{ServerStatus, StatsReport, StatusSender, advance_status, status_channel};

const HASH: ProtocolHash = ProtocolHash(0x0123_4567_89ab_cdef);

/// The most time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The operator's token, where a test configures it with [`token_file`].
const TOKEN: &str = "a-token-of-the-tests";

/// Start time of the servers of these tests, since 1970.
const UNIX_ORIGIN: Duration = Duration::from_secs(1_700_000_000);

#[expect(
    clippy::disallowed_methods,
    reason = "sockets and their timeouts are the subject"
)]
fn now() -> Instant {
    Instant::now()
}

/// Places of one address that is not trusted.
const ADDRESS_MAX: u32 = 40;

/// Returns settings with long times and, but for joins, high rates.
fn http_config(clients_max: u32) -> HttpConfig {
    HttpConfig {
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        proxies: None,
        names: Vec::new(),
        operator_token: None,
        joins: AddressRates {
            remote: 2,
            local: 1_000,
        },
        figures: AddressRates {
            remote: 1,
            local: 10_000,
        },
        request_rate: 10_000,
        connections: ConnectionLimits {
            total: 16,
            per_address: 16,
            per_loopback: 16,
        },
        times: TimeLimits {
            request: Duration::from_secs(10),
            response: Duration::from_secs(10),
            idle: Duration::from_secs(10),
        },
        clients_max,
    }
}

/// A running HTTP API of a server that has no simulation.
struct Running {
    http_server: Option<HttpServer>,
    status: StatusSender,
    stats: Arc<ServerStats>,
    places: Arc<Places>,
    places_taken: Cell<u32>,
    sink: audit::AuditSink,
    agent: ureq::Agent,
}

impl Running {
    fn new(change: impl FnOnce(&mut HttpConfig)) -> Self {
        Self::with_sessions(10, change)
    }

    fn with_sessions(sessions_max: u32, change: impl FnOnce(&mut HttpConfig)) -> Self {
        let mut config = http_config(sessions_max);
        change(&mut config);
        let (status, receiver) = status_channel();
        advance_status(&status, ServerStatus::Running);
        let stats = Arc::new(ServerStats::new(1, 20));
        let limits = PlaceLimits {
            places_max: sessions_max,
            worker_max: sessions_max,
            address_max: ADDRESS_MAX,
            trusts_loopback: config.proxies.is_none(),
            hello_timeout: None,
        };
        let places = Arc::new(Places::new(1, AssignStrategy::RoundRobin, limits));
        let issuer = TokenIssuer::new(IssuerConfig {
            addresses: vec!["[2001:db8::7]:5000".parse().unwrap()],
            private_key: [7; KEY_BYTES],
            places: Arc::clone(&places),
        });
        let (mut sinks, frames) = audit::audit(1);
        let sink = sinks.remove(0);
        let parts = HttpParts {
            issuer: issuer.unwrap(),
            stats: Arc::clone(&stats),
            status: receiver,
            origin: now(),
            unix_origin: UNIX_ORIGIN,
            protocol: ProtocolVersion {
                hash: HASH,
                release: Release::CURRENT,
            },
            protocol_parts: Protocol::default().parts(),
            audit: Some(frames),
        };
        let http_server = Some(HttpServer::start(&config, parts).unwrap());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            http_server,
            status,
            stats,
            places,
            places_taken: Cell::new(0),
            sink,
            agent,
        }
    }

    fn address(&self) -> SocketAddr {
        self.http_server.as_ref().unwrap().address()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    fn post(&self, body: &str) -> (u16, String) {
        self.post_forwarded(body, None)
    }

    fn post_forwarded(&self, body: &str, forwarded: Option<&str>) -> (u16, String) {
        let request = self.agent.post(self.url("/v1/guest"));
        let mut request = request.header("Content-Type", "application/json");
        if let Some(forwarded) = forwarded {
            request = request.header("X-Forwarded-For", forwarded);
        }
        let mut response = request.send(body).unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_string().unwrap(),
        )
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let request = self.agent.get(self.url(path));
        let request = request.header("Authorization", format!("Bearer {TOKEN}"));
        let mut response = request.call().unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_vec().unwrap(),
        )
    }

    /// Begins the session of a client that received this response, as the worker does.
    fn connect(&self, response: &GuestResponse) {
        let session = SessionId {
            index: self.places_taken.get(),
            generation: 0,
        };
        self.places_taken.set(session.index + 1);
        let key = SessionKey { worker: 0, session };
        let loopback = AddressGroup::of(self.address().ip());
        self.places
            .claim(response.client_id, u64::MAX, loopback, key, Duration::ZERO)
            .unwrap();
    }

    /// Waits until a count has reached `least`.
    fn wait_for(&self, count: &str, least: u64) {
        let begun = now();
        while self.figures()[count] < least {
            assert!(begun.elapsed() < PATIENCE, "{count}: {:?}", self.figures());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the counts of responses so far.
    fn figures(&self) -> BTreeMap<String, u64> {
        let (_, body) = self.get("/v1/stats");
        serde_json::from_slice::<StatsReport>(&body).unwrap().http
    }

    /// Returns status, code and message of a refused join, and checks that it was counted.
    fn refusal(&self, body: &str) -> (u16, String, String) {
        let (status, response) = self.post(body);
        let error = serde_json::from_str::<ErrorBody>(&response)
            .expect("errors are JSON")
            .error;
        assert!(self.figures()[&error.code] > 0, "{} is not counted", error.code);
        (status, error.code, error.message)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        advance_status(&self.status, ServerStatus::Stopped);
        // Closes the kept-alive connections, for which the server would wait.
        self.agent = ureq::agent();
        self.http_server.take().unwrap().join();
    }
}

/// Writes the operator's token to a file, which is removed when dropped.
fn token_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    file
}

fn guest(name: &str) -> String {
    serde_json::json!({ "name": name, "protocol_hash": HASH.to_string(), "version": "0.1.0" }).to_string()
}

fn parsed_token(response: &GuestResponse) -> ConnectToken {
    ConnectToken::from_bytes(&BASE64.decode(&response.token).unwrap()).unwrap()
}
