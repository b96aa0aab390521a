//! The snapshot stream of one client.

use throng_shared::limits::{
    BASELINE_AGE_MAX, DATAGRAM_BYTES_MAX, HISTORY_TICKS, NETCODE_OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX,
};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::{
    OwnerBlock, PACKET_BITS_MAX, SECTION_BITS_MAX, SNAPSHOT_PARTS_MAX, ShortId, short_id_bits,
};
use throng_shared::tick::Tick;

use super::SIMULATIONS_MAX;
use super::budget::Budget;
use super::collect::Collect;
use super::components::ViewerIdentity;
use super::config::ReplicationConfig;
use super::known::{Known, each_id};
use super::pack::{PacketSink, Packing, Written};
use super::scratch::ReplicationScratch;
use super::select::Weight;
use super::sent::SentPackets;
use super::simulation_view::SimulationView;
use super::verlet_list::VerletList;
use crate::boundary::frame::FrameHistory;

/// Seconds after which a client that knows no entity is sent a packet although nothing has changed.
const IDLE_SECONDS: u32 = 5;
/// Ticks after which a packet is sent although nothing has changed, before the first acknowledgement.
const UNACKED_TICKS: u32 = 4;

/// The data from which a client's packets are written.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationView<'a> {
    /// The configuration; the same for every call with the same client and scratch.
    pub config: &'a ReplicationConfig,
    /// The protocol; the same for every call with the same client and scratch.
    pub protocol: &'a Protocol,
    /// The frames of each simulation, always in the same order; only the first eight are read.
    pub histories: &'a [FrameHistory],
    /// The worker's number, as the players in frames have it.
    pub worker: u8,
    /// The session of the client.
    pub session: SessionId,
}

/// The state of one client's snapshot stream: about 5 KiB with up to a hundred entities in view, 11 KiB with
/// the default known set full.
#[derive(Debug)]
pub struct ClientReplication {
    pub(super) known: Known,
    pub(super) sent: SentPackets,
    verlet_list: VerletList,
    budget: Budget,
    id_bits: u32,
    viewer: ViewerIdentity,
    last_tick: Option<Tick>,
    last_packet: Tick,
    last_input: Tick,
    last_margin_16: i16,
}

impl ClientReplication {
    /// Creates the state of a client that was sent nothing yet.
    #[must_use]
    pub fn new(config: &ReplicationConfig) -> Self {
        let ids = config.short_ids();
        Self {
            known: Known::new(ids),
            sent: SentPackets::default(),
            verlet_list: VerletList::new(),
            budget: Budget::new(config.bytes_per_second, config.tick_rate.max(1)),
            id_bits: short_id_bits(ids).expect("a validated configuration has a width for its short ids"),
            viewer: ViewerIdentity::default(),
            last_tick: None,
            last_packet: Tick(0),
            last_input: Tick(0),
            last_margin_16: 0,
        }
    }

    /// Processes a client's acknowledgement of packets. An invalid one is ignored.
    pub fn acknowledge(&mut self, ack: SnapshotAck) {
        let outcome = self.sent.acknowledge(ack, &mut self.known);
        self.budget.count_acked(outcome.acked);
        self.budget.count_lost(outcome.lost);
    }

    /// Prefetches the state that [`write`](Self::write) reads first.
    #[inline]
    pub fn prefetch(&self) {
        self.verlet_list.prefetch();
        self.known.prefetch();
        self.sent.prefetch();
    }

    /// Returns whether the next write is likely to examine all entities in reach, and so to read the player's
    /// area.
    #[inline]
    #[must_use]
    pub fn may_scan(&self) -> bool {
        self.verlet_list.was_scanned()
    }

    /// Prefetches the state that an acknowledgement of the newest packets reads.
    #[inline]
    pub fn prefetch_ack(&self) {
        self.known.prefetch_groups();
        self.sent.prefetch();
    }

    /// Returns the number of entities that the client is to have at present.
    #[must_use]
    pub fn known_count(&self) -> usize {
        self.known.live_len()
    }

    /// Returns whether the client has acknowledged any packet.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.sent.has_acked()
    }

    /// Returns the bytes a second that the session may be sent at present: of the configured ones, less where packets are
    /// lost.
    #[must_use]
    pub fn bytes_per_second(&self) -> u32 {
        self.budget.rate()
    }

    /// Writes the client's packets of the newest frames. Call once after every new frame.
    ///
    /// `used_bytes` is the number of bytes that other code has sent to the session since the last call; they are
    /// charged to the same budget. Nothing is written as long as no frame contains a player of the session.
    pub fn write(
        &mut self,
        scratch: &mut ReplicationScratch,
        view: &ReplicationView<'_>,
        used_bytes: usize,
        sink: &mut impl PacketSink,
    ) -> Written {
        let config = view.config;
        let tick_rate = config.tick_rate.max(1);
        let newest = view
            .histories
            .iter()
            .take(SIMULATIONS_MAX)
            .filter_map(FrameHistory::newest);
        let Some(tick) = newest
            .map(|frame| frame.tick)
            .reduce(|a, b| if b.is_after(a) { b } else { a })
        else {
            return Written::default();
        };
        let elapsed = self.last_tick.map_or(1, |last| tick.since(last).max(0) as u32);
        self.last_tick = Some(tick);
        scratch.begin_tick(tick);
        self.budget.refill(elapsed, config.bytes_per_second, tick_rate);
        self.budget.spend(used_bytes, tick_rate);

        let mut found = simulation_views(view, tick);
        let Some(first) = found.next() else {
            return Written::default();
        };
        let mut simulation_views = [first; SIMULATIONS_MAX];
        let mut count = 1;
        for simulation_view in found {
            simulation_views[count] = simulation_view;
            count += 1;
        }
        let simulation_views = &simulation_views[..count];
        self.update_viewer(&first, elapsed, tick);
        let own = self.update_interest(scratch, config, simulation_views, tick);
        self.collect(scratch, view, simulation_views, own, tick);
        let written = self.send(scratch, simulation_views, own, tick, tick_rate, sink);
        let counters = &mut scratch.counters;
        counters.packets += u64::from(written.packets);
        counters.bytes += written.bytes as u64;
        counters.updates += u64::from(written.updates);
        counters.enters += u64::from(written.entered);
        counters.leaves += u64::from(written.left);
        counters.deferred += u64::from(written.deferred);
        counters.absolutes += u64::from(written.absolutes);
        written
    }

    /// Sends all entities again when the player or its team has changed (which changes what may be seen), or
    /// when so many ticks were missed that slots may have been reused.
    fn update_viewer(&mut self, simulation_view: &SimulationView<'_>, elapsed: u32, tick: Tick) {
        let viewer = ViewerIdentity {
            player: simulation_view.player.player,
            team: simulation_view.player.team,
        };
        let is_same = std::mem::replace(&mut self.viewer, viewer) == viewer;
        if is_same && (elapsed as usize) < HISTORY_TICKS {
            return;
        }
        self.verlet_list.forget();
        for at in 0..self.known.groups().len() {
            let live = self.known.groups()[at].live;
            each_id(at, live, |id| self.known.enter_as(id, self.known.key(id), tick));
        }
    }

    /// Updates the known set; returns the short id of the player's entity.
    fn update_interest(
        &mut self,
        scratch: &mut ReplicationScratch,
        config: &ReplicationConfig,
        simulation_views: &[SimulationView<'_>],
        tick: Tick,
    ) -> Option<usize> {
        let Self {
            known, verlet_list, ..
        } = self;
        let interest = &mut scratch.interest;
        let (gathered, own) = interest.update(known, verlet_list, simulation_views, config.known, tick);
        scratch.counters.gathered += gathered as u64;
        own
    }

    fn collect(
        &mut self,
        scratch: &mut ReplicationScratch,
        view: &ReplicationView<'_>,
        simulation_views: &[SimulationView<'_>],
        own: Option<usize>,
        tick: Tick,
    ) {
        let is_thinning = view.config.far_fraction < 1.0;
        let distances2 = match is_thinning {
            true => scratch.interest.distances2(&self.known, simulation_views, own),
            false => &[],
        };
        let queue = &mut scratch.queue;
        queue.clear();
        for simulation_view in simulation_views {
            let far = view.config.far_fraction * simulation_view.player.radius;
            let input = Collect {
                simulation: simulation_view.simulation,
                frame: simulation_view.frame,
                history: &view.histories[simulation_view.simulation],
                older: tick.since(simulation_view.frame.tick) as u32,
                id_bits: self.id_bits,
                is_thinning,
                turn: scratch.turn,
                far2: far * far,
                distances2,
                poses: &scratch.poses,
                viewer: self.viewer,
                viewers: &scratch.viewers,
                protocol: view.protocol,
            };
            let cache = &mut scratch.caches[simulation_view.simulation];
            queue.collect(
                &self.known,
                cache,
                &input,
                &mut scratch.counters.components_refused,
            );
        }
    }

    fn send(
        &mut self,
        scratch: &mut ReplicationScratch,
        simulation_views: &[SimulationView<'_>],
        own: Option<usize>,
        tick: Tick,
        tick_rate: u16,
        sink: &mut impl PacketSink,
    ) -> Written {
        let acting = simulation_views
            .iter()
            .find(|simulation_view| simulation_view.player.entity.is_some());
        let acting = acting.or(simulation_views.first());
        let newest_input = acting.and_then(|view| {
            let ahead = Some(view.player.newest_ahead).filter(|&ahead| ahead != i8::MIN)?;
            Some(Tick(view.frame.tick.0.wrapping_add_signed(ahead.into())))
        });
        let player = acting.map(|simulation_view| simulation_view.player);
        let last_input = player.map_or(self.last_input, |player| player.last_input);
        let margin_16 = player.map_or(0, |player| player.margin_16);
        // Late inputs are not used: without this, a client with nothing to be sent would learn late that its
        // inputs are late.
        let is_due = !scratch.queue.is_empty()
            || self.known.leaving_len() > 0
            || last_input != self.last_input
            || (margin_16 < 0 && margin_16 != self.last_margin_16)
            || self.is_silent_for_long(tick, tick_rate);
        let room = self.budget.bytes(tick_rate);
        let waiting = scratch.queue.enters.len() + scratch.queue.updates.len();
        if !is_due || room == 0 {
            return Written {
                deferred: waiting as u32,
                ..Written::default()
            };
        }
        let deferred = self.fit(scratch, simulation_views, own, room);
        let says_nothing = scratch.queue.is_empty() && self.known.leaving_len() == 0;
        if deferred > 0 && says_nothing && !self.is_silent_for_long(tick, tick_rate) {
            // A packet without content would use up the budget that has to be saved for the next item, again
            // and again.
            return Written {
                deferred: deferred as u32,
                ..Written::default()
            };
        }
        let packing = Packing {
            tick,
            id_bits: self.id_bits,
            owner: OwnerBlock {
                last_input: (last_input != Tick(0)).then_some(last_input),
                newest_input,
                margin_16,
                own: own.map(|id| ShortId(id as u16)),
            },
            queue: &scratch.queue,
            poses: &scratch.poses,
            simulation_views,
            components: scratch.viewers.formats.count(),
        };
        let (mut written, outcome) = packing.pack(&mut self.known, &mut self.sent, sink);
        self.budget.count_lost(outcome.lost);
        self.budget.spend(
            written.bytes + written.packets as usize * NETCODE_OVERHEAD_BYTES_MAX,
            tick_rate,
        );
        if written.packets > 0 {
            self.last_packet = tick;
            (self.last_input, self.last_margin_16) = (last_input, margin_16);
        }
        written.deferred = deferred as u32;
        written
    }

    /// Reduces the queue to what fits `room` bytes. Returns the number of items that wait.
    fn fit(
        &mut self,
        scratch: &mut ReplicationScratch,
        simulation_views: &[SimulationView<'_>],
        own: Option<usize>,
        room: usize,
    ) -> u64 {
        let queue = &mut scratch.queue;
        let leaves = self.known.leaving_len() * (1 + self.id_bits as usize);
        let ids = self.known.id_end();
        let sections = queue.plans.len() * SECTION_BITS_MAX + ids / 8 + self.id_bits as usize;
        let head = NETCODE_OVERHEAD_BYTES_MAX * 8 + PACKET_BITS_MAX;
        let bits = leaves + queue.plans.iter().map(|plan| plan.bits).sum::<usize>();
        let packets = (bits / (PAYLOAD_BYTES_MAX * 8 - head - sections) + 1).min(SNAPSHOT_PARTS_MAX);
        if bits + packets * (head + sections) <= room * 8 {
            return 0;
        }
        let packets = (room / DATAGRAM_BYTES_MAX + 1).min(SNAPSHOT_PARTS_MAX);
        let room = (room * 8).saturating_sub(packets * (head + sections) + leaves);
        let mut simulations = [None; SIMULATIONS_MAX];
        for simulation_view in simulation_views {
            simulations[simulation_view.simulation] = Some(simulation_view);
        }
        let distances2 = scratch.interest.distances2(&self.known, simulation_views, own);
        scratch
            .buckets
            .select(queue, &mut self.known, own, room, |id, key| {
                let simulation_view = simulations[usize::from(key.simulation().0)];
                simulation_view.map_or(Weight::default(), |simulation_view| Weight {
                    importance: simulation_view.frame.identity(key.slot()).importance,
                    nearness: 1.0
                        - distances2[id] / (simulation_view.player.radius * simulation_view.player.radius),
                })
            })
    }

    fn is_silent_for_long(&self, tick: Tick, tick_rate: u16) -> bool {
        let ticks = match (self.sent.has_acked(), self.known.live_len()) {
            (false, _) => UNACKED_TICKS,
            (true, 0) => u32::from(tick_rate) * IDLE_SECONDS,
            (true, _) => u32::from(tick_rate),
        };
        tick.since(self.last_packet).unsigned_abs() >= ticks
    }
}

/// Returns the newest frames that have a player for the session and are not too far behind `tick`.
fn simulation_views<'a>(view: &ReplicationView<'a>, tick: Tick) -> impl Iterator<Item = SimulationView<'a>> {
    let (worker, session) = (view.worker, view.session);
    let histories = view.histories.iter().take(SIMULATIONS_MAX).enumerate();
    histories.filter_map(move |(simulation, history)| {
        let frame = history.newest()?;
        let player = frame.players.get(worker, session)?;
        (tick.since(frame.tick) < BASELINE_AGE_MAX as i32).then_some(SimulationView {
            simulation,
            frame,
            player,
            height_quantum: view.protocol.quanta_3d().map(|quanta| quanta.position()),
        })
    })
}
