//! A net worker's figures: written by the worker alone, read by the gateway at any time.
//!
//! Owns one atomic per figure and their names. Guarantees that writing is a plain load and store, never a
//! locked instruction: each figure has one writer. Refuses rates: a reader takes two reports and divides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use throng_shared::netcode::{DropReason, NetcodeCounters};

use super::assign::WorkerLoad;
use super::transmit::SocketCounters;
use crate::boundary::link::LinkCounters;
use crate::observe::WorkerReport;
use crate::replication::ReplicationCounters;

/// A count with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only from the thread that owns the figure.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed) + amount, Relaxed);
    }

    /// Replaces the value; only from the thread that owns the figure.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Declares counts once, so that their fields and their names cannot fall out of step.
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
    /// What a worker's core did with its sessions.
    CoreCounts {
        /// Clients refused for another protocol hash.
        protocol_mismatches,
        /// Sessions refused because the simulation does not keep up with arrivals.
        sessions_refused,
        /// Sessions ended for breaking the protocol.
        sessions_abused,
        /// Sessions ended because too many messages waited for them.
        sessions_overflowed,
        /// Sessions ended by a defect of ours.
        sessions_faulted,
        /// Payloads whose kind, or whose contents, no client of ours sends.
        payloads_malformed,
        /// Input packets taken.
        input_packets,
        /// Input packets beyond the rate limit, dropped.
        input_packets_limited,
        /// Other packets beyond theirs, dropped.
        other_packets_limited,
        /// Inputs that the protocol's registry refused: undecodable, not a number, out of range.
        inputs_invalid,
        /// Inputs handed to a simulation.
        inputs_forwarded,
        /// Messages handed to a simulation.
        messages_in,
        /// Messages accepted from a simulation.
        messages_out,
        /// Ticks fanned out to all sessions.
        ticks,
        /// Ticks that no client of this worker got, because it was too far behind.
        ticks_skipped,
        /// Snapshot packets.
        snapshot_packets,
        /// Their bytes, without the transport's.
        snapshot_bytes,
        /// Updates and enters in them.
        entities_sent,
        /// Updates and enters that had to wait for budget.
        entities_deferred,
        /// Updates without a baseline.
        absolutes,
        /// Components that were not sent, because they are too large or cannot be encoded.
        components_refused,
        /// Encodings found in the cache.
        cache_hits,
        /// Encodings made.
        cache_misses,
        /// Index entries looked at.
        entries_examined,
        /// Of those, entries inside the client's view.
        entries_gathered,
    }
}

/// All figures of one worker.
#[derive(Debug)]
pub struct WorkerStats {
    /// The socket's.
    pub socket: Arc<SocketCounters>,
    /// The core's.
    pub core: CoreCounts,
    /// Of the transport, in the order of [`DropReason::ALL`].
    drops: [Count; DropReason::ALL.len()],
    challenges: Count,
    keep_alives: Count,
    timed_out: Count,
    links: Vec<Arc<LinkCounters>>,
    loads: Arc<[WorkerLoad]>,
    worker: u8,
}

impl WorkerStats {
    /// Figures of the worker `worker`, whose load is `loads[worker]`.
    #[must_use]
    pub fn new(worker: u8, loads: Arc<[WorkerLoad]>, links: Vec<Arc<LinkCounters>>) -> Self {
        Self {
            socket: Arc::default(),
            core: CoreCounts::default(),
            drops: std::array::from_fn(|_| Count::default()),
            challenges: Count::default(),
            keep_alives: Count::default(),
            timed_out: Count::default(),
            links,
            loads,
            worker,
        }
    }

    /// Sessions of this worker, for the acceptor.
    #[must_use]
    pub fn load(&self) -> &WorkerLoad {
        &self.loads[usize::from(self.worker)]
    }

    pub(super) fn show_netcode(&self, counters: &NetcodeCounters) {
        for (count, (_, dropped)) in self.drops.iter().zip(counters.drops()) {
            count.set(dropped);
        }
        self.challenges.set(counters.challenges);
        self.keep_alives.set(counters.keep_alives);
        self.timed_out.set(counters.timed_out);
    }

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
    fn every_figure_has_its_own_name() {
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
