//! Sessions that have ended for the game, while their clients still receive what they were sent before the end.
//!
//! Owns the last words: the reliable messages that a session had queued when the game or the server's stop ended it.
//! Guarantees that they are sent, and sent again while they are not acknowledged, before the goodbye: for
//! [`LAST_WORDS`] beyond the time that they take at the client's bandwidth, longer while the client acknowledges more of
//! them, and at most for [`RESENDS_MAX`] times that. For everything else the session has ended:
//! the simulation knows it, no input or message of the client is forwarded, and no snapshot is sent. A session without
//! such messages, and one that ends for another reason, ends at once.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use throng_shared::netcode::SessionId;
use throng_shared::protocol::PayloadKind;
use throng_shared::protocol::hello::Goodbye;

use super::closing::ClosingSession;
use super::{WorkerCore, send};
use crate::boundary::link::LeaveReason;
use crate::net::transmit::Transmit;

/// Time for which a session's last messages are sent again until they are acknowledged, beyond the time that sending
/// them once takes.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Largest multiple of the time that the last messages take at the client's bandwidth: they are sent again where packets
/// are lost.
const RESENDS_MAX: u32 = 4;
/// Time by which packets may be sent late and still count as sent in time, because they are sent in intervals.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);

impl WorkerCore {
    /// Returns whether clients are still sent their last messages, for which [`WorkerCore::update`] is called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !self.closing.is_empty()
    }

    /// Ends a session for the game, and its transport when the client has acknowledged all reliable messages.
    pub(super) fn close(&mut self, now: Duration, id: SessionId, reason: LeaveReason, goodbye: Goodbye) {
        let Some(session) = self.depart(id, reason) else {
            return;
        };
        let bytes = session.reliable.undelivered_bytes() as f64;
        let sending = Duration::from_secs_f64(bytes / self.bytes_per_second());
        let closing = ClosingSession {
            goodbye,
            until: now + LAST_WORDS + sending,
            latest: now + LAST_WORDS + sending * RESENDS_MAX,
            acknowledged: session.reliable.acknowledged_packets(),
            session,
            next_at: now,
        };
        self.closing.insert(id, closing);
    }

    /// Sends the last messages that are due, and ends the transport of sessions that have received theirs, or that had
    /// their time for it.
    pub(super) fn serve_closing(&mut self, now: Duration, out: &mut impl Transmit) {
        let rate = self.bytes_per_second();
        let (netcode, mut finished) = (&mut self.netcode, Vec::new());
        for (&id, closing) in &mut self.closing {
            let mut sent_bytes = 0;
            let polled = if now < closing.next_at {
                Ok(())
            } else {
                // The smallest budget: one packet of each channel.
                closing.session.reliable.poll(now, 1, |packet| {
                    sent_bytes += packet.len();
                    send(netcode, id, now, packet, out);
                })
            };
            if sent_bytes > 0 {
                let start = closing.next_at.max(now.saturating_sub(CATCH_UP_MAX));
                closing.next_at = start + Duration::from_secs_f64(sent_bytes as f64 / rate);
            }
            let acknowledged = closing.session.reliable.acknowledged_packets();
            if acknowledged != closing.acknowledged {
                closing.acknowledged = acknowledged;
                closing.until = closing.until.max(now + LAST_WORDS).min(closing.latest);
            }
            if polled.is_err() || closing.session.reliable.is_delivered() || now >= closing.until {
                finished.push(id);
            }
        }
        for id in finished {
            self.finish_closing_session(now, id, out);
        }
    }

    /// Ends the transport of all closing sessions now.
    pub fn finish_closing(&mut self, now: Duration, out: &mut impl Transmit) {
        while let Some((_, closing)) = self.closing.pop_first() {
            self.finish(now, closing, out);
        }
    }

    /// Ends the transport of a closing session now. Does nothing for other sessions.
    pub(super) fn finish_closing_session(&mut self, now: Duration, id: SessionId, out: &mut impl Transmit) {
        if let Some(closing) = self.closing.remove(&id) {
            self.finish(now, closing, out);
        }
    }

    /// Forgets a closing session, whose transport has ended.
    pub(super) fn forget_closing(&mut self, id: SessionId) {
        if self.closing.remove(&id).is_some() {
            self.shared.stats.load().sessions.fetch_sub(1, Relaxed);
        }
    }

    /// Processes a payload of a session that has ended for the game: only its acknowledgements count.
    pub(super) fn take_closing_payload(&mut self, now: Duration, id: SessionId, payload: &[u8]) {
        let other_pace = self.other_pace;
        let Some(closing) = self.closing.get_mut(&id) else {
            return;
        };
        let session = &mut closing.session;
        if PayloadKind::of(payload) != Some(PayloadKind::Renet)
            || !session.other_pace.admits(now, &other_pace)
        {
            return;
        }
        if session.reliable.receive(payload).is_err() {
            (closing.until, closing.latest) = (now, now);
        }
        while closing.session.reliable.pop().is_some() {}
    }

    /// Returns whether a session has ended for the game, and its client is sent its last messages.
    pub(super) fn is_session_closing(&self, id: SessionId) -> bool {
        self.closing.contains_key(&id)
    }

    fn finish(&mut self, now: Duration, closing: ClosingSession, out: &mut impl Transmit) {
        let id = closing.session.id;
        if closing.session.is_throng() {
            self.send_goodbye(now, id, &closing.goodbye, out);
        }
        self.netcode
            .disconnect(id, &mut |to, packet| out.copy(to, packet));
        self.shared.stats.load().sessions.fetch_sub(1, Relaxed);
    }

    fn bytes_per_second(&self) -> f64 {
        f64::from(self.replication.bytes_per_second.max(1))
    }
}
