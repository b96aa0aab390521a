//! Questions to the server while the bots play, asked from a thread of its own: its figures, and audits.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use throng_server::observe::StatsReport;
use throng_shared::tick::Tick;

use super::audit::{AuditedTick, Believed, Findings, compare};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A world of two million entities; a longer answer is an error.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What can be asked.
#[derive(Debug)]
pub enum Question {
    /// `GET /v1/stats`.
    Stats,
    /// `GET /v1/audit` of one tick, compared with mirrors of that tick.
    Audit {
        /// The tick.
        tick: Tick,
        /// The mirrors.
        mirrors: Vec<Vec<Believed>>,
    },
}

/// What comes back. Every question has one answer, in order.
#[derive(Debug)]
pub enum Answer {
    /// The server's figures.
    Stats(Box<StatsReport>),
    /// What the comparison found; `None` when the server does not log this tick.
    Audited(Option<Findings>),
    /// The server gave no answer that can be used.
    Failed(String),
}

/// Asks in the background. Dropping it ends the thread.
pub struct Watch {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
    waiting: u32,
}

impl Watch {
    /// For the server at `server`: `ADDRESS:PORT` or a URL.
    #[must_use]
    pub fn new(server: &str) -> Self {
        let (questions, asked) = channel::<Question>();
        let (told, answers) = channel();
        let base = if server.contains("://") {
            server.to_owned()
        } else {
            format!("http://{server}")
        };
        thread::spawn(move || {
            let agent = ureq::Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .http_status_as_error(false);
            let agent = agent.proxy(None).build().into();
            for question in asked {
                // The swarm is over when nobody listens any more.
                if told.send(answer(&agent, &base, question)).is_err() {
                    return;
                }
            }
        });
        Self {
            questions,
            answers,
            waiting: 0,
        }
    }

    /// Asks, without waiting.
    pub fn ask(&mut self, question: Question) {
        // The thread lives as long as this end does; if it panicked, an answer says so.
        if self.questions.send(question).is_ok() {
            self.waiting += 1;
        }
    }

    /// An answer, if one has come.
    pub fn answer(&mut self) -> Option<Answer> {
        match self.answers.try_recv() {
            Ok(answer) => {
                self.waiting -= 1;
                Some(answer)
            }
            Err(TryRecvError::Disconnected) if self.waiting > 0 => {
                self.waiting = 0;
                Some(Answer::Failed("the asking thread ended".to_owned()))
            }
            Err(_) => None,
        }
    }

    /// Questions not yet answered.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Asks for the server's figures and waits for them.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    pub fn stats_now(&mut self) -> Result<StatsReport, String> {
        self.ask(Question::Stats);
        loop {
            let answer = self
                .answers
                .recv()
                .map_err(|_| "the asking thread ended".to_owned())?;
            self.waiting -= 1;
            match answer {
                Answer::Stats(stats) => return Ok(*stats),
                Answer::Failed(problem) => return Err(problem),
                Answer::Audited(_) => {}
            }
        }
    }
}

fn answer(agent: &ureq::Agent, base: &str, question: Question) -> Answer {
    let answered = match question {
        Question::Stats => get(agent, &format!("{base}/v1/stats")).and_then(|(_, body)| {
            let report = serde_json::from_slice(&body).map_err(|error| format!("/v1/stats: {error}"))?;
            Ok(Answer::Stats(report))
        }),
        Question::Audit { tick, mirrors } => audit(agent, base, tick, &mirrors).map(Answer::Audited),
    };
    answered.unwrap_or_else(Answer::Failed)
}

fn audit(
    agent: &ureq::Agent,
    base: &str,
    tick: Tick,
    mirrors: &[Vec<Believed>],
) -> Result<Option<Findings>, String> {
    let (status, body) = get(agent, &format!("{base}/v1/audit?tick={tick}"))?;
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

fn get(agent: &ureq::Agent, url: &str) -> Result<(u16, Vec<u8>), String> {
    let mut answer = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let body = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec();
    Ok((
        answer.status().as_u16(),
        body.map_err(|error| format!("{url}: {error}"))?,
    ))
}
