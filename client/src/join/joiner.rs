//! One request for a session, and its answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::netcode::{ConnectToken, TokenError};
use throng_shared::protocol::guest::{ErrorBody, GuestRequest, GuestResponse};
use throng_shared::protocol::version::ProtocolVersion;
use throng_shared::tick::Tick;

use super::error::JoinError;

/// Bytes of the longest answer that is read; a longer one is [`JoinError::BadAnswer`].
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

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
