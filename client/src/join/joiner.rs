//! The HTTP request for a session, and its response.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::netcode::{ConnectToken, TokenError};
use throng_shared::protocol::guest::{DifferentPart, ErrorBody, GuestRequest, GuestResponse};
use throng_shared::protocol::registry::ProtocolParts;
use throng_shared::protocol::version::ProtocolVersion;
use throng_shared::tick::Tick;

use super::credential::{self, CredentialError};
use super::error::JoinError;

/// Bytes of the longest response that is read; a longer one is [`JoinError::BadAnswer`].
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;

/// Time after which a connection is not used for another join.
const IDLE_AGE_MAX: Duration = Duration::from_secs(1);

/// Returns whether the port in this URL is valid or absent. The name lookup would report an invalid port as an
/// unknown host. Text that is not a URL passes, and the request rejects it.
fn has_usable_port(url: &str) -> bool {
    let uri = url.parse::<ureq::http::Uri>().ok();
    let Some(authority) = uri.as_ref().and_then(|uri| uri.authority()) else {
        return true;
    };
    let user_ends = authority.as_str().rfind('@').map_or(0, |index| index + 1);
    let after_host = &authority.as_str()[user_ends + authority.host().len()..];
    after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0)
}

/// A successful join: everything needed to open a session.
pub struct Joined {
    /// Opens one session; see [`ClientCore::new`](crate::connection::ClientCore::new).
    pub token: ConnectToken,
    /// The net worker's UDP address.
    pub address: SocketAddr,
    /// The server's newest tick when it responded.
    pub tick: Tick,
    /// The server's tick rate, in Hz.
    pub tick_rate_hz: u16,
    /// The client's id, the same after a resumed join.
    pub client_id: u64,
    /// The proof for the next join, to come back as the same client. The new session then replaces the old one.
    pub resume: String,
    /// The server's version.
    pub server_version: String,
    /// Why the credential was not read from its file, or not written to it.
    pub credential_problem: Option<CredentialError>,
}

impl fmt::Debug for Joined {
    /// Omits the token and the resume proof: both are secrets that must not reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Joined")
            .field("address", &self.address)
            .field("tick", &self.tick)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Joins one server, any number of times.
#[derive(Debug, Clone)]
pub struct Joiner {
    agent: ureq::Agent,
    server: String,
    timeout: Duration,
    credential_file: Option<PathBuf>,
    connect_within: Option<Duration>,
    parts: Option<Arc<ProtocolParts>>,
}

impl Joiner {
    /// Creates a joiner for `server`: `ADDRESS:PORT`, or a URL that begins with `http://` or `https://`. No
    /// call takes longer than `timeout`.
    pub fn new(server: &str, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A connection that was made before the client's network changed leads nowhere, and says so by a time-out.
            .max_idle_age(IDLE_AGE_MAX)
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
            credential_file: None,
            connect_within: None,
            parts: None,
        }
    }

    /// Sends the hashes of the protocol's parts with every join, so that a refusal names the first that differs.
    #[must_use]
    pub fn with_parts(mut self, parts: ProtocolParts) -> Self {
        self.parts = Some(Arc::new(parts));
        self
    }

    /// Keeps the proof of every join in this file, and uses it in a join without a proof. Two clients with the same file
    /// are one client to the server: the session of the second replaces that of the first.
    #[must_use]
    pub fn with_credential_file(mut self, file: Option<PathBuf>) -> Self {
        self.credential_file = file;
        self
    }

    /// Limits the time for the connection, TLS included, below the limit of the whole call.
    #[must_use]
    pub fn connecting_within(mut self, limit: Duration) -> Self {
        self.connect_within = Some(limit.min(self.timeout));
        self
    }

    /// Joins as a guest called `name`. `resume` is the proof from an earlier join, to come back as the same
    /// client; without it, the proof is read from the credential file, if there is one.
    ///
    /// # Errors
    /// A [`JoinError`] with the reason of the failure. A problem with the credential file is none; it is returned with
    /// the join.
    pub fn join(
        &self,
        name: &str,
        version: &ProtocolVersion,
        resume: Option<&str>,
    ) -> Result<Joined, JoinError> {
        let Some(file) = &self.credential_file else {
            return self.request(name, version, resume);
        };
        let kept = credential::load(file, &self.server);
        let known = kept.as_ref().ok().and_then(Option::as_deref);
        let used = resume.or(known);
        let mut joined = self.request(name, version, used)?;
        let is_known = known == Some(joined.resume.as_str());
        let is_refused = used.is_some_and(|used| used != joined.resume);
        let mut problem = match kept {
            Err(problem) => Some(problem),
            Ok(_) if is_refused => Some(CredentialError::Unknown { path: file.clone() }),
            Ok(_) => None,
        };
        if !is_known && !matches!(problem, Some(CredentialError::Foreign { .. })) {
            let saved = credential::save(file, &self.server, &joined.resume);
            problem = saved.err().or(problem);
        }
        joined.credential_problem = problem;
        Ok(joined)
    }

    fn request(
        &self,
        name: &str,
        version: &ProtocolVersion,
        resume: Option<&str>,
    ) -> Result<Joined, JoinError> {
        let request = GuestRequest {
            name: name.to_owned(),
            protocol_hash: version.hash.to_string(),
            version: Some(version.release.to_string()),
            parts: self.parts.as_ref().map(|parts| BASE64.encode(parts.hashes())),
            resume: resume.map(str::to_owned),
        };
        let url = format!("{}/v1/guest", self.server);
        if !has_usable_port(&url) {
            return Err(JoinError::BadAddress {
                server: self.display_address(),
            });
        }
        let post = self.agent.post(&url).config();
        let mut response = post
            .timeout_connect(self.connect_within)
            .build()
            .send_json(&request)
            .map_err(|error| self.request_error(error))?;
        let status = response.status();
        let body = response
            .body_mut()
            .with_config()
            .limit(RESPONSE_BYTES_MAX)
            .read_to_vec();
        let body = body.map_err(|error| self.request_error(error))?;
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &body, version));
        }
        let response: GuestResponse =
            serde_json::from_slice(&body).map_err(|error| self.bad_response(error.to_string()))?;
        self.joined(response)
    }

    fn joined(&self, response: GuestResponse) -> Result<Joined, JoinError> {
        let token = BASE64
            .decode(&response.token)
            .map_err(|error| self.bad_response(format!("token: {error}")))?;
        let token = ConnectToken::from_bytes(&token)
            .map_err(|error: TokenError| self.bad_response(format!("token: {error}")))?;
        Ok(Joined {
            token,
            address: response.address,
            tick: Tick(response.tick),
            tick_rate_hz: response.tick_rate,
            client_id: response.client_id,
            resume: response.resume,
            server_version: response.server_version,
            credential_problem: None,
        })
    }

    /// Returns the server's address as players write it.
    fn display_address(&self) -> String {
        self.server.trim_start_matches("http://").to_owned()
    }

    fn refused(&self, status: u16, body: &[u8], version: &ProtocolVersion) -> JoinError {
        let server = self.display_address();
        let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
            let problem = format!("status {status} without a reason");
            // A proxy responds like this for a server that is being restarted.
            return match status {
                500.. => JoinError::NotRunning {
                    server,
                    message: problem,
                },
                _ => self.bad_response(problem),
            };
        };
        match error.code.as_str() {
            "protocol_mismatch" => {
                let (spoken, part) = match error.versions {
                    Some(both) => (both.server, both.first_difference),
                    None => ("another protocol".to_owned(), None),
                };
                let words = |parts: &Arc<ProtocolParts>, part: DifferentPart| {
                    parts.difference_in_words(part.index as usize, part.name.as_deref())
                };
                JoinError::WrongVersion {
                    client: *version,
                    server,
                    spoken,
                    difference: self
                        .parts
                        .as_ref()
                        .zip(part)
                        .map(|(parts, part)| words(parts, part)),
                }
            }
            "server_full" => JoinError::Full { server },
            _ if status == 429 => JoinError::Busy {
                server,
                message: error.message,
            },
            _ if status == 408 || status >= 500 => JoinError::NotRunning {
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

    fn request_error(&self, error: ureq::Error) -> JoinError {
        let server = self.display_address();
        match error {
            ureq::Error::Timeout(phase) => JoinError::TimedOut {
                server,
                timeout: match phase {
                    ureq::Timeout::Connect => self.connect_within.unwrap_or(self.timeout),
                    _ => self.timeout,
                },
            },
            ureq::Error::BodyExceedsLimit(limit) => self.bad_response(format!("longer than {limit} bytes")),
            ureq::Error::Protocol(error) => self.bad_response(error.to_string()),
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => JoinError::BadAddress { server },
            error => JoinError::Unreachable {
                server,
                source: Box::new(error),
            },
        }
    }

    fn bad_response(&self, problem: String) -> JoinError {
        JoinError::BadAnswer {
            server: self.display_address(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests;
