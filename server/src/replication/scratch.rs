//! Buffers and encodings of a net worker that its clients share while it writes their packets.

use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::SIMULATIONS_MAX;
use super::cache::EncodeCache;
use super::collect::SendQueue;
use super::components::Viewers;
use super::config::ReplicationConfig;
use super::interest::Interest;
use super::poses::Poses;
use super::select::Buckets;

/// Buffers and shared encodings of one net worker. Grows to what the worker's clients need.
#[derive(Debug)]
pub struct ReplicationScratch {
    pub(super) poses: Poses,
    pub(super) viewers: Viewers,
    pub(super) caches: [EncodeCache; SIMULATIONS_MAX],
    pub(super) interest: Interest,
    pub(super) queue: SendQueue,
    pub(super) buckets: Buckets,
    pub(super) counters: ReplicationCounters,
    tick: Option<Tick>,
    /// Number of ticks that were served; wraps.
    pub(super) turn: u32,
}

/// Counts of what a worker's replication did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplicationCounters {
    /// Packets written.
    pub packets: u64,
    /// Bytes of these packets, without the transport's.
    pub bytes: u64,
    /// Updates written.
    pub updates: u64,
    /// Enters written, repeats included.
    pub enters: u64,
    /// Leaves written, repeats included.
    pub leaves: u64,
    /// Updates and enters that had to wait for budget.
    pub deferred: u64,
    /// Updates and enters written without a baseline.
    pub absolutes: u64,
    /// Differences taken from the cache.
    pub cache_hits: u64,
    /// Differences that had to be encoded.
    pub cache_misses: u64,
    /// Times that all entities in reach of a client were examined; otherwise only those that might cross a
    /// border.
    pub full_scans: u64,
    /// Entities that interest management examined.
    pub examined: u64,
    /// Examined entities that were within reach.
    pub gathered: u64,
    /// Components not sent, because they cannot be encoded or because an entity's do not fit one packet.
    pub components_refused: u64,
}

impl ReplicationScratch {
    /// Creates the buffers of a worker whose sessions share `config` and `protocol`.
    #[must_use]
    pub fn new(config: &ReplicationConfig, protocol: &Protocol) -> Self {
        Self {
            poses: Poses::new(config.tick_rate, protocol),
            viewers: Viewers::new(protocol),
            caches: std::array::from_fn(|_| EncodeCache::default()),
            interest: Interest::default(),
            queue: SendQueue::default(),
            buckets: Buckets::default(),
            counters: ReplicationCounters::default(),
            tick: None,
            turn: 0,
        }
    }

    /// Counts the tick that is served to the worker's clients, once for all of them.
    #[inline]
    pub(super) fn begin_tick(&mut self, tick: Tick) {
        if self.tick != Some(tick) {
            self.tick = Some(tick);
            self.turn = self.turn.wrapping_add(1);
        }
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counters(&self) -> ReplicationCounters {
        ReplicationCounters {
            cache_hits: self.caches.iter().map(|cache| cache.hits).sum(),
            full_scans: self.interest.full_scans,
            examined: self.interest.examined,
            cache_misses: self.caches.iter().map(|cache| cache.misses).sum(),
            ..self.counters
        }
    }
}
