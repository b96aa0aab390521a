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
    #[error("this client speaks {client}, {server} speaks {spoken}: one of them has to be updated")]
    WrongVersion {
        /// What this client speaks.
        client: ProtocolVersion,
        /// The server.
        server: String,
        /// What it speaks, as `0.2.0 (hash 1f2e3d4c5b6a7988)`.
        spoken: String,
    },
    /// Every worker of the server is full.
    #[error("{server} is full")]
    Full {
        /// The server.
        server: String,
    },
    /// The server is starting or stopping, or this address joins too often.
    #[error("{server} does not take players now: {message}")]
    Busy {
        /// The server.
        server: String,
        /// Its sentence.
        message: String,
    },
    /// The server refused the request, such as for the name.
    #[error("{server} refused ({code}): {message}")]
    Refused {
        /// The server.
        server: String,
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// No answer in time.
    #[error("{server} did not answer within {timeout:?}")]
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
    /// What answered is not a Throng server, or one that this client does not understand.
    #[error("{server} gave an answer that is not a Throng server's: {problem}")]
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
            Self::WrongVersion { .. } | Self::Refused { .. } | Self::BadAnswer { .. } => Retry::Pointless,
        }
    }
}

/// What the network said, in words for players where there are some.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "no server listens there".to_owned()
        }
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => "there is no such host".to_owned(),
        error => error.to_string(),
    }
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
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;
    use throng_shared::netcode::{Entropy, PROTOCOL_ID, TokenRequest};
    use throng_shared::protocol::guest::{BothVersions, ErrorDetail};
    use throng_shared::protocol::version::{ProtocolHash, Release};

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
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
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

        let error =
            join_answered(failure("503 Unavailable", "server_full", "the server is full")).unwrap_err();
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
}
