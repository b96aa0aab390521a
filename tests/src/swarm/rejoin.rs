//! Bots that come back: with `--reconnect`, a bot joins again when its server is silent or has ended its session, as a
//! player's client does.
//!
//! Owns when a bot joins again, by the client library's rules ([`Reconnect`]), the threads that request tokens, and the
//! *outages*: the times in which a bot's inputs had no effect. An outage begins with the last sign of life of the server,
//! and ends when the server has applied an input again.
//!
//! Unlike a player's client, a bot has one socket: it gives its silent session up when it has a token for another one.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use throng_client::join::{Joiner, Reconnect, ReconnectConfig, ReconnectState, Retry};
use throng_shared::protocol::version::ProtocolVersion;

use super::joining::{JoinOutcome, bot_name};

/// The most threads that request tokens. A request to a server that was stopped takes up to [`TIMEOUT`].
const THREADS_MAX: u32 = 64;
/// The most time that one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When one bot joins again.
#[derive(Debug)]
pub struct Comeback {
    reconnect: Reconnect,
    /// The proof by which the bot comes back as the same client.
    resume: Option<String>,
    is_requested: bool,
    down_since: Option<Duration>,
}

impl Comeback {
    /// Creates the rules of a bot that is about to connect. Equal seeds give equal delays.
    #[must_use]
    pub fn new(seed: u64, resume: String) -> Self {
        Self {
            reconnect: Reconnect::new(ReconnectConfig::default(), seed),
            resume: Some(resume),
            is_requested: false,
            down_since: None,
        }
    }

    /// Records that the server has not replied since the time `since`: in a session, or in its handshake.
    pub fn silent(&mut self, now: Duration, since: Duration) {
        match self.reconnect.state() {
            ReconnectState::Joining if !self.is_requested => {
                self.reconnect.lost(now, Retry::Worthwhile);
            }
            _ => {
                self.down_since.get_or_insert(since);
                self.reconnect.silent(now);
            }
        }
    }

    /// Records that the session has ended. Returns whether the bot joins again.
    pub fn ended(&mut self, now: Duration, retry: Retry) -> bool {
        self.down_since.get_or_insert(now);
        match self.reconnect.state() {
            ReconnectState::Joining if self.is_requested => true,
            _ => self.reconnect.lost(now, retry).is_some(),
        }
    }

    /// Records that the server has applied an input. Returns the length of the outage that has ended, if there was one.
    #[inline]
    pub fn acted(&mut self, now: Duration) -> Option<Duration> {
        if !matches!(self.reconnect.state(), ReconnectState::Connected { .. }) {
            self.reconnect.connected(now);
        }
        Some(now.saturating_sub(self.down_since.take()?))
    }

    /// Returns true when a token has to be requested.
    pub fn poll(&mut self, now: Duration) -> bool {
        let is_due = self.reconnect.poll(now) && !self.is_requested;
        self.is_requested |= is_due;
        is_due
    }

    /// Records the outcome of the request. Returns whether its token is of use: not if the session has recovered.
    pub fn requested(&mut self, now: Duration, outcome: Result<&str, Retry>) -> bool {
        self.is_requested = false;
        if self.reconnect.state() != ReconnectState::Joining {
            return false;
        }
        match outcome {
            Ok(resume) => {
                self.resume = Some(resume.to_owned());
                true
            }
            Err(retry) => {
                self.reconnect.lost(now, retry);
                false
            }
        }
    }

    /// Returns the proof of the bot's identity.
    #[must_use]
    pub fn resume(&self) -> Option<String> {
        self.resume.clone()
    }
}

/// The threads that request tokens for bots that come back. Dropping it ends them.
#[derive(Debug)]
pub struct Rejoins {
    requests: Sender<(u32, Option<String>)>,
    outcomes: Receiver<JoinOutcome>,
}

impl Rejoins {
    /// Starts the threads for `clients` bots.
    #[must_use]
    pub fn start(server: &str, version: ProtocolVersion, clients: u32) -> Self {
        let (requests, received) = channel::<(u32, Option<String>)>();
        let (sender, outcomes) = channel();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..clients.min(THREADS_MAX) {
            let (joiner, received, sender) = (
                Joiner::new(server, TIMEOUT),
                Arc::clone(&received),
                sender.clone(),
            );
            thread::spawn(move || {
                loop {
                    let next = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((bot, resume)) = next else { return };
                    let outcome = joiner.join(&bot_name(bot), &version, resume.as_deref());
                    if sender.send((bot, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        Self { requests, outcomes }
    }

    /// Requests a token for a bot.
    pub fn request(&self, bot: u32, resume: Option<String>) {
        // The threads live as long as this end does.
        let _ = self.requests.send((bot, resume));
    }

    /// Returns the next outcome, if there is one.
    pub fn next_outcome(&self) -> Option<JoinOutcome> {
        self.outcomes.try_recv().ok()
    }
}

/// Returns the outages in words: their number, median and longest.
#[must_use]
pub fn outages_in_words(outages: &[Duration], bots: u32) -> String {
    let mut sorted = outages.to_vec();
    sorted.sort_unstable();
    let seconds = |index: usize| sorted.get(index).map_or(0.0, Duration::as_secs_f64);
    format!(
        "{} outages of {bots} bots: p50 {:.2} s, max {:.2} s from the server's last sign of life to the next applied input",
        sorted.len(),
        seconds(sorted.len() / 2),
        seconds(sorted.len().saturating_sub(1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn playing() -> Comeback {
        let mut comeback = Comeback::new(1, "proof".to_owned());
        assert_eq!(comeback.acted(SECOND), None);
        comeback
    }

    fn requested(comeback: &mut Comeback, from: Duration) -> Duration {
        let mut now = from;
        while !comeback.poll(now) {
            now += SECOND / 100;
            assert!(now < from + 10 * SECOND, "{comeback:?}");
        }
        now
    }

    #[test]
    fn an_outage_lasts_from_the_last_sign_of_life_to_the_next_applied_input() {
        let mut comeback = playing();
        comeback.silent(30 * SECOND, 28 * SECOND);
        let now = requested(&mut comeback, 30 * SECOND);
        assert!(!comeback.poll(now + SECOND), "one request at a time");
        assert!(!comeback.requested(now, Err(Retry::Worthwhile)));
        let now = requested(&mut comeback, now);
        assert!(comeback.requested(now, Ok("new proof")));
        assert_eq!(comeback.resume().as_deref(), Some("new proof"));
        assert_eq!(comeback.acted(40 * SECOND), Some(12 * SECOND));
        assert_eq!(comeback.acted(41 * SECOND), None);
    }

    #[test]
    fn a_token_is_of_no_use_once_the_session_has_recovered() {
        let mut comeback = playing();
        comeback.silent(30 * SECOND, 28 * SECOND);
        let now = requested(&mut comeback, 30 * SECOND);
        assert_eq!(comeback.acted(now), Some(now - 28 * SECOND));
        assert!(!comeback.requested(now, Ok("another proof")));
        assert_eq!(comeback.resume().as_deref(), Some("proof"));
    }

    #[test]
    fn a_handshake_without_reply_and_a_session_that_ended_lead_to_another_request() {
        let mut comeback = playing();
        assert!(comeback.ended(30 * SECOND, Retry::Worthwhile));
        let now = requested(&mut comeback, 30 * SECOND);
        assert!(comeback.requested(now, Ok("proof")));
        comeback.silent(now + SECOND, now);
        let now = requested(&mut comeback, now + SECOND);
        assert!(comeback.requested(now, Ok("proof")));
        assert_eq!(comeback.acted(60 * SECOND), Some(30 * SECOND));
        assert!(!comeback.ended(61 * SECOND, Retry::Pointless));
    }

    #[test]
    fn outages_are_summed_up_by_their_median_and_the_longest() {
        let outages: Vec<_> = (1..=5).rev().map(|seconds| seconds * SECOND).collect();
        let words = outages_in_words(&outages, 50);
        assert!(
            words.starts_with("5 outages of 50 bots: p50 3.00 s, max 5.00 s"),
            "{words}"
        );
        assert!(outages_in_words(&[], 50).starts_with("0 outages of 50 bots: p50 0.00 s"));
    }
}
