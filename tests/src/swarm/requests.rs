//! Requests to the server while the bots play, for its figures and for audits, sent from a separate thread.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use throng_server::observe::StatsReport;
use throng_shared::tick::Tick;

use super::audit::{AuditedTick, Findings, MirroredState, compare};

/// The most time that one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest response that is read, which has room for two million entities. A longer one is an error.
const RESPONSE_BYTES_MAX: u64 = 64 << 20;

/// A request to the server.
#[derive(Debug)]
pub enum ServerRequest {
    /// Requests the server's figures: `GET /v1/stats`.
    Stats,
    /// `GET /v1/audit` of one tick, compared with mirrors of that tick.
    Audit {
        /// The audited tick.
        tick: Tick,
        /// The bots' mirrors at this tick.
        mirrors: Vec<Vec<MirroredState>>,
    },
}

/// The outcome of a request. Every [`ServerRequest`] has one, in the same order.
#[derive(Debug)]
pub enum RequestOutcome {
    /// The server's current figures.
    Stats(Box<StatsReport>),
    /// The findings of the comparison, or `None` if the server does not log this tick.
    Audited(Option<Findings>),
    /// The request failed or its response is invalid, for this reason.
    Failed(String),
}

/// Sends requests in the background. Dropping it ends the thread.
pub struct ServerRequests {
    requests: Sender<ServerRequest>,
    outcomes: Receiver<RequestOutcome>,
    waiting: u32,
}

impl ServerRequests {
    /// Starts a thread for requests to `server`, which is `ADDRESS:PORT` or a URL. A server elsewhere shows its statistics
    /// and audits only with the operator's token.
    #[must_use]
    pub fn new(server: &str, token: Option<&str>) -> Self {
        let (requests, received) = channel::<ServerRequest>();
        let (sender, outcomes) = channel();
        let base = if server.contains("://") {
            server.to_owned()
        } else {
            format!("http://{server}")
        };
        let bearer = token.map(|token| format!("Bearer {}", token.lines().next().unwrap_or_default().trim()));
        thread::spawn(move || {
            let agent = ureq::Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .http_status_as_error(false);
            let server = AskedServer {
                agent: agent.proxy(None).build().into(),
                base,
                bearer,
            };
            for request in received {
                // The swarm is over once the receiver is dropped.
                if sender.send(server.send(request)).is_err() {
                    return;
                }
            }
        });
        Self {
            requests,
            outcomes,
            waiting: 0,
        }
    }

    /// Sends a request without waiting for its outcome.
    pub fn send(&mut self, request: ServerRequest) {
        // The thread lives as long as this end does. If it panicked, `next_outcome` returns an error.
        if self.requests.send(request).is_ok() {
            self.waiting += 1;
        }
    }

    /// Returns the next outcome, if there is one.
    pub fn next_outcome(&mut self) -> Option<RequestOutcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                self.waiting -= 1;
                Some(outcome)
            }
            Err(TryRecvError::Disconnected) if self.waiting > 0 => {
                self.waiting = 0;
                Some(RequestOutcome::Failed("the thread for requests ended".to_owned()))
            }
            Err(_) => None,
        }
    }

    /// Returns the number of requests whose outcome is not known yet.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Requests the server's figures and waits for them.
    ///
    /// # Errors
    /// If the request fails or the response is invalid. The error is a sentence.
    pub fn stats_now(&mut self) -> Result<StatsReport, String> {
        self.send(ServerRequest::Stats);
        loop {
            let outcome = self
                .outcomes
                .recv()
                .map_err(|_| "the thread for requests ended".to_owned())?;
            self.waiting -= 1;
            match outcome {
                RequestOutcome::Stats(stats) => return Ok(*stats),
                RequestOutcome::Failed(problem) => return Err(problem),
                RequestOutcome::Audited(_) => {}
            }
        }
    }
}

/// The server to which requests are sent.
struct AskedServer {
    agent: ureq::Agent,
    base: String,
    /// The header with the operator's token.
    bearer: Option<String>,
}

impl AskedServer {
    /// Sends one request and waits for its outcome.
    fn send(&self, request: ServerRequest) -> RequestOutcome {
        let outcome = match request {
            ServerRequest::Stats => self.stats(),
            ServerRequest::Audit { tick, mirrors } => self.audit(tick, &mirrors).map(RequestOutcome::Audited),
        };
        outcome.unwrap_or_else(RequestOutcome::Failed)
    }

    fn stats(&self) -> Result<RequestOutcome, String> {
        let (_, body) = self.get("/v1/stats")?;
        let report = serde_json::from_slice(&body).map_err(|error| {
            format!("/v1/stats: {error}; all of them are for the server's own machine or --operator-token")
        })?;
        Ok(RequestOutcome::Stats(report))
    }

    fn audit(&self, tick: Tick, mirrors: &[Vec<MirroredState>]) -> Result<Option<Findings>, String> {
        let (status, body) = self.get(&format!("/v1/audit?tick={tick}"))?;
        if status == 404 {
            return Ok(None);
        }
        let audited = AuditedTick::read(&body).map_err(|error| error.to_string())?;
        let mut findings = Findings::default();
        mirrors
            .iter()
            .for_each(|mirror| findings.add(compare(&audited, mirror)));
        Ok(Some(findings))
    }

    fn get(&self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let url = format!("{}{path}", self.base);
        let call = || {
            let request = self.agent.get(&url);
            let request = match &self.bearer {
                Some(bearer) => request.header("Authorization", bearer),
                None => request,
            };
            request.call()
        };
        // The server may have closed the connection of the last request meanwhile.
        let response = call().or_else(|error| match error {
            ureq::Error::Io(_) => call(),
            error => Err(error),
        });
        let mut response = response.map_err(|error| format!("{url}: {error}"))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(RESPONSE_BYTES_MAX)
            .read_to_vec();
        Ok((
            response.status().as_u16(),
            body.map_err(|error| format!("{url}: {error}"))?,
        ))
    }
}
