//! Joining over HTTP: a name and a protocol hash go to the server, a connect token comes back.
//!
//! Blocking, for a thread of its own; connections are kept alive between calls. Every failure is a typed
//! [`JoinError`] that also says whether trying again makes sense. Answers are bounded in size and time.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::netcode::{ConnectToken, TokenError};
use throng_shared::protocol::guest::{ErrorBody, GuestRequest, GuestResponse};
use throng_shared::protocol::version::ProtocolVersion;
use throng_shared::tick::Tick;

use crate::reconnect::Retry;

/// Bytes of the longest answer that is read; a longer one is [`JoinError::BadAnswer`].
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why joining failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The two ends speak different protocols.
    #[error(
        "this client speaks {client}, {server} speaks {spoken}: one of them has to be updated, or \
             registers other types, or in another order"
    )]
    WrongVersion {
        /// What this client speaks.
        client: ProtocolVersion,
        /// The server.
        server: String,
        /// What it speaks, as `0.2.0 (hash 1f2e3d4c5b6a7988)`.
        spoken: String,
    },
    /// Every worker of the server is full.
    #[error("the server {server} is full")]
    Full {
        /// The server.
        server: String,
    },
    /// The server is starting or stopping, or this address joins too often.
    #[error("the server {server} does not take players now: {message}")]
    Busy {
        /// The server.
        server: String,
        /// Its sentence.
        message: String,
    },
    /// The server refused the request, such as for the name.
    #[error("the server {server} refused ({code}): {message}")]
    Refused {
        /// The server.
        server: String,
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from {server} within {} s: is the address right, and does the server run?", timeout.as_secs_f32())]
    TimedOut {
        /// The server.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot reach {server}: {}", plain(source))]
    Unreachable {
        /// The server.
        server: String,
        /// What the network said.
        source: Box<ureq::Error>,
    },
    /// What was given as the address is none.
    #[error("`{server}` is no address: one is written like play.example.org:8080")]
    BadAddress {
        /// What was given.
        server: String,
    },
    /// What answered is not a Throng server, or one that this client does not understand.
    #[error("what answers at {server} is no Throng server: {problem}")]
    BadAnswer {
        /// The server.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl JoinError {
    /// Whether a later attempt may succeed.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Full { .. } | Self::Busy { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => {
                Retry::Worthwhile
            }
            Self::WrongVersion { .. }
            | Self::Refused { .. }
            | Self::BadAddress { .. }
            | Self::BadAnswer { .. } => Retry::Pointless,
        }
    }
}

/// What the network said, in words for players where there are some.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if is_unknown_host(error) => NO_SUCH_HOST.to_owned(),
        ureq::Error::HostNotFound => NO_SUCH_HOST.to_owned(),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "no server listens there".to_owned(),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no way to it from here: is this machine online?".to_owned()
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                "the connection broke before there was an answer".to_owned()
            }
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

const NO_SUCH_HOST: &str = "no host of that name is known: is it spelled right, and is this machine online?";

/// Whether a name could not be looked up. The standard library has no kind for that; what it writes on Unix is
/// its own, on Windows it is the system's error.
fn is_unknown_host(error: &io::Error) -> bool {
    (cfg!(windows) && matches!(error.raw_os_error(), Some(11_001 | 11_004)))
        || error
            .to_string()
            .starts_with("failed to lookup address information")
}

/// Whether the port in this URL is a number that a port can have, or left out. Whoever looks the host up would
/// tell of another port as of an unknown host. What is no URL at all is left for the request to refuse.
fn has_usable_port(url: &str) -> bool {
    let uri = url.parse::<ureq::http::Uri>().ok();
    let Some(authority) = uri.as_ref().and_then(|uri| uri.authority()) else {
        return true;
    };
    let user_ends = authority.as_str().rfind('@').map_or(0, |at| at + 1);
    let after_host = &authority.as_str()[user_ends + authority.host().len()..];
    after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0)
}

/// The way into a session.
pub struct Joined {
    /// Opens one session; see [`ClientCore::new`](crate::connection::ClientCore::new).
    pub token: ConnectToken,
    /// The net worker's UDP address.
    pub address: SocketAddr,
    /// The server's newest tick when it answered.
    pub tick: Tick,
    /// Ticks a second.
    pub tick_rate_hz: u16,
    /// Who the client is, the same after a resumed join.
    pub client_id: u64,
    /// Given to the next join to come back as the same client, whose new session takes over the old one.
    pub resume: String,
    /// The server's version.
    pub server_version: String,
}

impl fmt::Debug for Joined {
    /// Leaves out the token and the resume proof: both are secrets that must not reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Joined")
            .field("address", &self.address)
            .field("tick", &self.tick)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Joins one server, as often as needed.
#[derive(Debug, Clone)]
pub struct Joiner {
    agent: ureq::Agent,
    server: String,
    timeout: Duration,
}

impl Joiner {
    /// For the server at `server`: `ADDRESS:PORT`, or a URL that begins with `http://` or `https://`. No
    /// call takes longer than `timeout`.
    pub fn new(server: &str, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("throng-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let server = if server.contains("://") {
            server.to_owned()
        } else {
            format!("http://{server}")
        };
        Self {
            agent,
            server: server.trim_end_matches('/').to_owned(),
            timeout,
        }
    }

    /// Joins as a guest called `name`; `resume` is what an earlier join was answered, to come back as the
    /// same client.
    ///
    /// # Errors
    /// A [`JoinError`] that says what went wrong.
    pub fn join(
        &self,
        name: &str,
        version: &ProtocolVersion,
        resume: Option<&str>,
    ) -> Result<Joined, JoinError> {
        let request = GuestRequest {
            name: name.to_owned(),
            protocol_hash: version.hash.to_string(),
            version: Some(version.release.to_string()),
            resume: resume.map(str::to_owned),
        };
        let url = format!("{}/v1/guest", self.server);
        if !has_usable_port(&url) {
            return Err(JoinError::BadAddress { server: self.named() });
        }
        let mut answer = self
            .agent
            .post(&url)
            .send_json(&request)
            .map_err(|error| self.unanswered(error))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let body = body.map_err(|error| self.unanswered(error))?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &body, version));
        }
        let response: GuestResponse =
            serde_json::from_slice(&body).map_err(|error| self.bad_answer(error.to_string()))?;
        self.joined(response)
    }

    fn joined(&self, response: GuestResponse) -> Result<Joined, JoinError> {
        let token = BASE64
            .decode(&response.token)
            .map_err(|error| self.bad_answer(format!("token: {error}")))?;
        let token = ConnectToken::from_bytes(&token)
            .map_err(|error: TokenError| self.bad_answer(format!("token: {error}")))?;
        Ok(Joined {
            token,
            address: response.address,
            tick: Tick(response.tick),
            tick_rate_hz: response.tick_rate,
            client_id: response.client_id,
            resume: response.resume,
            server_version: response.server_version,
        })
    }

    /// The server as people write it.
    fn named(&self) -> String {
        self.server.trim_start_matches("http://").to_owned()
    }

    fn refused(&self, status: u16, body: &[u8], version: &ProtocolVersion) -> JoinError {
        let server = self.named();
        let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
            return self.bad_answer(format!("status {status} without a reason"));
        };
        match error.code.as_str() {
            "protocol_mismatch" => {
                let spoken = error
                    .versions
                    .map_or_else(|| "another protocol".to_owned(), |both| both.server);
                JoinError::WrongVersion {
                    client: *version,
                    server,
                    spoken,
                }
            }
            "server_full" => JoinError::Full { server },
            "rate_limited" | "not_running" | "timed_out" => JoinError::Busy {
                server,
                message: error.message,
            },
            _ => JoinError::Refused {
                server,
                code: error.code,
                message: error.message,
            },
        }
    }

    fn unanswered(&self, error: ureq::Error) -> JoinError {
        let server = self.named();
        match error {
            ureq::Error::Timeout(_) => JoinError::TimedOut {
                server,
                timeout: self.timeout,
            },
            ureq::Error::BodyExceedsLimit(limit) => self.bad_answer(format!("longer than {limit} bytes")),
            ureq::Error::Protocol(error) => self.bad_answer(error.to_string()),
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => JoinError::BadAddress { server },
            error => JoinError::Unreachable {
                server,
                source: Box::new(error),
            },
        }
    }

    fn bad_answer(&self, problem: String) -> JoinError {
        JoinError::BadAnswer {
            server: self.named(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
