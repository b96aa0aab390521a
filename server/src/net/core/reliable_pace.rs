//! The pace of a session's reliable messages beside its snapshots.
//!
//! Owns the rule that messages take at most half of the client's bandwidth on average, so that a flood of them never stops
//! the snapshots, also where packets are lost and the bandwidth is reduced. A packet is sent whole: where it has more bytes
//! than a tick's part, later ticks make up for it.

use std::time::Duration;

use throng_shared::limits::NETCODE_OVERHEAD_BYTES_MAX;
use throng_shared::reliable::GuardError;

use super::session::WorkerSession;
use crate::replication::{ClientReplication, ReplicationConfig};

/// Part of a client's bandwidth that reliable messages may take, in percent.
const SHARE_PERCENT: u32 = 50;

/// The bandwidth that clients have where no packet is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReliablePace {
    bytes_per_second: u32,
    tick_rate: u32,
}

impl ReliablePace {
    pub(super) fn new(config: &ReplicationConfig) -> Self {
        Self {
            bytes_per_second: config.bytes_per_second,
            tick_rate: u32::from(config.tick_rate.max(1)),
        }
    }

    /// Passes the packets of messages that are due in this tick to `emit`. Returns the bytes that they have on the network.
    ///
    /// # Errors
    /// A [`GuardError`]; the session must be ended then.
    #[inline]
    pub(super) fn send(
        self,
        session: &mut WorkerSession,
        now: Duration,
        emit: impl FnMut(&[u8]),
    ) -> Result<usize, GuardError> {
        if session.reliable.is_idle() && session.overspent == 0 {
            return Ok(0);
        }
        self.send_some(session, now, emit)
    }

    fn send_some(
        self,
        session: &mut WorkerSession,
        now: Duration,
        mut emit: impl FnMut(&[u8]),
    ) -> Result<usize, GuardError> {
        let replication = session.replication.as_ref();
        let rate = replication.map_or(self.bytes_per_second, ClientReplication::bytes_per_second);
        let share = (rate / 100 * SHARE_PERCENT / self.tick_rate).max(1) as usize;
        let mut sent_bytes = 0;
        let allowed = share.saturating_sub(session.overspent);
        session.reliable.poll(now, allowed, |packet| {
            sent_bytes += packet.len() + NETCODE_OVERHEAD_BYTES_MAX;
            emit(packet);
        })?;
        session.overspent = (session.overspent + sent_bytes).saturating_sub(share);
        Ok(sent_bytes)
    }
}
