//! The statistics of a net worker: written only by the worker, read by the HTTP server at any time.
//!
//! Owns one atomic per figure and its name. Guarantees that each figure has one writer, so that a write is a plain
//! load and store and never a locked instruction. Computes no rates: a reader takes two reports and divides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use throng_shared::netcode::{DropReason, NetcodeCounters};

use super::assign::WorkerLoad;
use super::transmit::SocketCounters;
use crate::boundary::link::LinkCounters;
use crate::observe::WorkerReport;
use crate::replication::ReplicationCounters;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `amount` to the counter. Must be called only by the thread that owns the counter.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed) + amount, Relaxed);
    }

    /// Replaces the value of the gauge. Must be called only by the thread that owns the counter.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Returns the current value of the counter.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Declares each counter once and derives its field and its name from that, so that the two always match.
macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: Count,)* }

        impl $name {
            fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$((stringify!($field), self.$field.get()),)*].into_iter()
            }
        }
    };
}

counts! {
    /// Counters of a worker's core since the start.
    CoreCounts {
        /// Clients refused because of a different protocol hash.
        protocol_mismatches,
        /// Sessions refused because the simulation did not keep up with arrivals, or because the server or the address
        /// had no place left when the token was used.
        sessions_refused,
        /// Sessions ended because they sent no hello in time.
        sessions_silent,
        /// Sessions ended because the client broke the protocol.
        sessions_abused,
        /// Sessions ended because too many messages waited for the client.
        sessions_overflowed,
        /// Sessions ended because the client acknowledged no reliable message for too long.
        sessions_unacknowledged,
        /// Sessions ended by a defect of ours.
        sessions_faulted,
        /// Payloads of an unknown kind or with malformed contents.
        payloads_malformed,
        /// Input packets accepted within the rate limit.
        input_packets,
        /// Input packets beyond the rate limit, dropped.
        input_packets_limited,
        /// Other packets beyond their rate limit, dropped.
        other_packets_limited,
        /// Probes of clients that asked for a reply, and received one.
        probes,
        /// Inputs that the protocol's registry refused: undecodable, not a number, out of range.
        inputs_invalid,
        /// Inputs forwarded to a simulation.
        inputs_forwarded,
        /// Messages forwarded to a simulation.
        messages_in,
        /// Messages accepted from a simulation to be sent to a client.
        messages_out,
        /// Ticks served to all sessions.
        ticks,
        /// Ticks that this worker served to no client, because it was too far behind.
        ticks_skipped,
        /// Snapshot packets sent to all clients.
        snapshot_packets,
        /// Bytes of snapshot packets, without the transport's overhead.
        snapshot_bytes,
        /// Updates and enters in snapshot packets.
        entities_sent,
        /// Updates and enters deferred because the budget was used up.
        entities_deferred,
        /// Updates sent without a baseline.
        absolutes,
        /// Components not sent because they are too large or cannot be encoded.
        components_refused,
        /// Encodings found in the cache.
        cache_hits,
        /// Encodings made because the cache did not have them.
        cache_misses,
        /// Index entries examined for clients' views.
        entries_examined,
        /// Examined index entries that were inside the client's view.
        entries_gathered,
    }
}

/// All statistics of one worker.
#[derive(Debug)]
pub struct WorkerStats {
    /// Counters of the worker's socket.
    pub socket: Arc<SocketCounters>,
    /// Counters of the worker's core.
    pub core: CoreCounts,
    /// Datagrams that netcode dropped, by reason, in the order of [`DropReason::ALL`].
    drops: [Count; DropReason::ALL.len()],
    challenges: Count,
    handshakes_evicted: Count,
    keep_alives: Count,
    timed_out: Count,
    links: Vec<Arc<LinkCounters>>,
    loads: Arc<[WorkerLoad]>,
    worker: u8,
}

impl WorkerStats {
    /// Creates the statistics of the worker `worker`, whose load is `loads[worker]`.
    #[must_use]
    pub fn new(worker: u8, loads: Arc<[WorkerLoad]>, links: Vec<Arc<LinkCounters>>) -> Self {
        Self {
            socket: Arc::default(),
            core: CoreCounts::default(),
            drops: std::array::from_fn(|_| Count::default()),
            challenges: Count::default(),
            handshakes_evicted: Count::default(),
            keep_alives: Count::default(),
            timed_out: Count::default(),
            links,
            loads,
            worker,
        }
    }

    /// Returns this worker's load, which the acceptor reads.
    #[must_use]
    pub fn load(&self) -> &WorkerLoad {
        &self.loads[usize::from(self.worker)]
    }

    /// Copies the counters of the transport.
    pub(super) fn show_netcode(&self, counters: &NetcodeCounters) {
        for (count, (_, dropped)) in self.drops.iter().zip(counters.drops()) {
            count.set(dropped);
        }
        self.challenges.set(counters.challenges);
        self.handshakes_evicted.set(counters.handshakes_evicted);
        self.keep_alives.set(counters.keep_alives);
        self.timed_out.set(counters.timed_out);
    }

    /// Copies the counters of the replication.
    pub(super) fn show_replication(&self, counters: &ReplicationCounters) {
        self.core.snapshot_packets.set(counters.packets);
        self.core.snapshot_bytes.set(counters.bytes);
        self.core.entities_sent.set(counters.updates + counters.enters);
        self.core.entities_deferred.set(counters.deferred);
        self.core.absolutes.set(counters.absolutes);
        self.core.components_refused.set(counters.components_refused);
        self.core.cache_hits.set(counters.cache_hits);
        self.core.cache_misses.set(counters.cache_misses);
        self.core.entries_examined.set(counters.examined);
        self.core.entries_gathered.set(counters.gathered);
    }
}

impl WorkerReport for WorkerStats {
    fn clients(&self) -> u64 {
        u64::from(self.load().sessions.load(Relaxed))
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        let socket = &self.socket;
        let read = |count: &AtomicU64| count.load(Relaxed);
        let links = |pick: fn(&LinkCounters) -> &AtomicU64| {
            self.links.iter().map(|link| pick(link).load(Relaxed)).sum()
        };
        let mut figures = vec![
            ("sessions", self.clients()),
            ("datagrams_in", read(&socket.datagrams_in)),
            ("bytes_in", read(&socket.bytes_in)),
            ("batches_in", read(&socket.batches_in)),
            ("datagrams_oversized", read(&socket.oversized)),
            ("datagrams_overflowed", read(&socket.overflowed)),
            ("datagrams_out", read(&socket.datagrams_out)),
            ("bytes_out", read(&socket.bytes_out)),
            ("batches_out", read(&socket.batches_out)),
            ("send_retries", read(&socket.send_retries)),
            ("send_failures", read(&socket.send_failures)),
            ("challenges", self.challenges.get()),
            ("handshakes_evicted", self.handshakes_evicted.get()),
            ("keep_alives", self.keep_alives.get()),
            ("timed_out", self.timed_out.get()),
            ("inputs_dropped", links(|link| &link.inputs_dropped)),
            ("frames_skipped", links(|link| &link.frames_skipped)),
            ("broadcasts_dropped", links(|link| &link.broadcasts_dropped)),
            ("broadcasts_overflowed", links(|link| &link.broadcasts_overflowed)),
            ("to_simulation_depth", links(|link| &link.to_simulation_depth)),
            ("to_worker_depth", links(|link| &link.to_worker_depth)),
        ];
        figures.extend(self.core.figures());
        let drops = DropReason::ALL.iter().zip(&self.drops);
        figures.extend(drops.map(|(reason, count)| (reason.label(), count.get())));
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_unique_name() {
        let loads: Arc<[WorkerLoad]> = Arc::from([WorkerLoad::default()]);
        let stats = WorkerStats::new(0, Arc::clone(&loads), vec![Arc::default()]);
        loads[0].sessions.store(3, Relaxed);
        stats.core.input_packets.add(5);
        let figures = stats.figures();
        let mut names: Vec<_> = figures.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), figures.len());
        assert!(figures.contains(&("sessions", 3)) && figures.contains(&("input_packets", 5)));
    }
}
