//! Joins bots over HTTP from a few threads with keep-alive connections.
//!
//! The threads push into a short bounded queue, so that the swarm sets the pace: it removes a token only when it is
//! ready for another handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use throng_client::join::Retry;
use throng_client::join::{JoinError, Joined, Joiner};
use throng_shared::protocol::version::ProtocolVersion;

/// Threads that send join requests.
const THREADS: u32 = 4;
/// The most tokens in the queue. They expire, so there must not be many.
const READY_MAX: usize = 64;
/// The most attempts of one bot, if a retry can succeed.
const ATTEMPTS: u32 = 5;
/// Time between two attempts of a bot.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The most time that one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A bot's index with its token or the error of its last attempt.
pub type JoinOutcome = (u32, Result<Joined, JoinError>);

/// Starts to join bots `0..clients`. Returns one outcome for each bot, in any order. Dropping the receiver ends the
/// threads.
pub fn join_all(server: &str, version: ProtocolVersion, clients: u32) -> Receiver<JoinOutcome> {
    let (ready, outcomes) = sync_channel(READY_MAX);
    let next = Arc::new(AtomicU32::new(0));
    for _ in 0..THREADS.min(clients) {
        let (joiner, next, ready) = (Joiner::new(server, TIMEOUT), Arc::clone(&next), ready.clone());
        thread::spawn(move || join_some(&joiner, version, clients, &next, &ready));
    }
    outcomes
}

/// Returns the player name of the bot with this index.
#[must_use]
pub fn bot_name(bot: u32) -> String {
    format!("bot-{:05}", bot + 1)
}

/// Joins bots until none is left or the receiver is dropped.
fn join_some(
    joiner: &Joiner,
    version: ProtocolVersion,
    clients: u32,
    next: &AtomicU32,
    ready: &SyncSender<JoinOutcome>,
) {
    loop {
        let bot = next.fetch_add(1, Relaxed);
        if bot >= clients {
            return;
        }
        let name = bot_name(bot);
        let mut outcome = joiner.join(&name, &version, None);
        for _ in 1..ATTEMPTS {
            match &outcome {
                Err(error) if error.retry() != Retry::Pointless => thread::sleep(RETRY_AFTER),
                _ => break,
            }
            outcome = joiner.join(&name, &version, None);
        }
        // The swarm is over once the receiver is dropped.
        if ready.send((bot, outcome)).is_err() {
            return;
        }
    }
}
