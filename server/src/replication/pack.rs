//! Writes the queue into packets of one client.

use throng_shared::limits::PAYLOAD_BYTES_MAX;
use throng_shared::protocol::snapshot::{
    OwnerBlock, Presence, PresenceSize, SECTION_BITS_MAX, SNAPSHOT_PARTS_MAX, SectionHead, ShortId,
    SnapshotHeader, SnapshotWriter,
};
use throng_shared::tick::Tick;

use super::collect::{Item, Plan, SendQueue};
use super::components::SentValue;
use super::known::Known;
use super::poses::Poses;
use super::sent::{AckOutcome, SentPackets};
use super::simulation_view::SimulationView;

/// The receiver of a client's packets. A packet is written into the buffer that was begun last.
pub trait PacketSink {
    /// Returns room for the next packet's payload, at best `PAYLOAD_BYTES_MAX` bytes; `None` when there is none.
    fn begin(&mut self) -> Option<&mut [u8]>;
    /// Sends the first `len` bytes of the buffer that [`begin`](Self::begin) returned last as a packet.
    fn commit(&mut self, len: usize);
}

/// Counts of what one call of [`ClientReplication::write`](super::client::ClientReplication::write) wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u32,
    /// Their bytes, without the transport's.
    pub bytes: usize,
    /// Enters, repeats included.
    pub entered: u32,
    /// Updates.
    pub updates: u32,
    /// Leaves, repeats included.
    pub left: u32,
    /// Enters and updates that have to wait for budget.
    pub deferred: u32,
    /// Updates without a baseline.
    pub absolutes: u32,
}

/// The inputs of packing one client's packets.
pub(super) struct Packing<'a> {
    pub(super) tick: Tick,
    pub(super) id_bits: u32,
    pub(super) owner: OwnerBlock,
    pub(super) queue: &'a SendQueue,
    pub(super) poses: &'a Poses,
    /// In the order of the plans.
    pub(super) simulation_views: &'a [SimulationView<'a>],
    /// Number of registered components.
    pub(super) components: u32,
}

/// The position of packing in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PackCursor {
    plan: usize,
    enter: usize,
    update: usize,
    /// Leaves below this short id are written.
    leave: usize,
}

impl Packing<'_> {
    /// Writes everything and records it as sent. Stops early when the sink has no room for more packets.
    pub(super) fn pack(
        &self,
        known: &mut Known,
        sent: &mut SentPackets,
        sink: &mut impl PacketSink,
    ) -> (Written, AckOutcome) {
        let (mut written, mut outcome) = (Written::default(), AckOutcome::default());
        let mut cursor = PackCursor {
            leave: next_leave(known, 0),
            ..PackCursor::default()
        };
        for part in 0..SNAPSHOT_PARTS_MAX as u8 {
            if part > 0 && self.is_done(&cursor, known) {
                break;
            }
            let Some(buffer) = sink.begin() else {
                break;
            };
            let room = buffer.len().min(PAYLOAD_BYTES_MAX);
            let sequence = sent.next();
            outcome.lost += sent.push(self.tick, known).lost;
            let header = SnapshotHeader {
                sequence,
                tick: self.tick,
                part,
                id_bits: self.id_bits,
            };
            let owner = (part == 0).then_some(&self.owner);
            let mut writer = SnapshotWriter::new(&mut buffer[..room], header, owner);
            let before = cursor;
            while cursor.plan < self.queue.plans.len()
                && self.write_section(&mut writer, &mut cursor, known, sent, &mut written)
            {}
            if part > 0 && cursor == before {
                self.skip(&mut cursor);
            }
            // Sizes were checked while writing; an oversized packet is never sent.
            let Some(bytes) = writer.finish() else {
                break;
            };
            sink.commit(bytes);
            written.packets += 1;
            written.bytes += bytes;
        }
        (written, outcome)
    }

    /// Writes the part of the plan at the cursor that fits; returns whether all of it did.
    fn write_section(
        &self,
        writer: &mut SnapshotWriter<'_>,
        cursor: &mut PackCursor,
        known: &mut Known,
        sent: &mut SentPackets,
        written: &mut Written,
    ) -> bool {
        let plan = &self.queue.plans[cursor.plan];
        let has_leaves = cursor.leave < known.id_end();
        if !has_leaves && cursor.enter == plan.enters.end && cursor.update == plan.updates.end {
            cursor.plan += 1;
            return true;
        }
        let simulation_view = &self.simulation_views[cursor.plan];
        // One bit is needed to end the packet.
        let Some(mut room) = writer.bits_left().checked_sub(1 + SECTION_BITS_MAX) else {
            return false;
        };
        let empty = PresenceSize::new(self.id_bits).bits();
        if room < empty {
            return false;
        }
        let is_begun = cursor.enter > plan.enters.start || cursor.update > plan.updates.start;
        let leaves = known.leaving_len() * (1 + self.id_bits as usize);
        let is_fitting = !is_begun && !self.queue.is_reduced && plan.bits + leaves <= room;
        room -= empty;
        writer.section(SectionHead {
            simulation: simulation_view.frame.simulation,
            tick: simulation_view.frame.tick,
            age: plan.age,
            has_exceptions: plan.has_exceptions,
            has_components: plan.has_components,
        });
        sent.set_older(plan.simulation, self.tick.since(simulation_view.frame.tick) as u8);
        self.write_leaves(writer, cursor, known, sent, &mut room, written);
        self.write_enters(writer, cursor, known, sent, &mut room, written);

        let start = cursor.update;
        if is_fitting {
            cursor.update = plan.updates.end;
            write_presence(writer, &plan.presence, simulation_view.frame.tick, known, sent);
        } else {
            let presence = self.choose(cursor, room);
            write_presence(writer, &presence, simulation_view.frame.tick, known, sent);
        }
        let items = &self.queue.updates[start..cursor.update];
        if plan.has_exceptions || plan.has_components || plan.age == 0 {
            written.absolutes += self.write_updates(writer, cursor.plan, items, known);
        } else {
            self.poses
                .write_differences(writer, items.iter().map(|item| item.delta()));
        }
        if known.has_priorities {
            items.iter().for_each(|item| known.priority[item.id()] = 0);
        }
        written.updates += (cursor.update - start) as u32;
        let is_whole = cursor.leave >= known.id_end()
            && cursor.enter == plan.enters.end
            && cursor.update == plan.updates.end;
        cursor.plan += usize::from(is_whole);
        is_whole
    }

    /// Writes updates of any kind; returns how many were absolute.
    fn write_updates(
        &self,
        writer: &mut SnapshotWriter<'_>,
        plan: usize,
        items: &[Item],
        known: &Known,
    ) -> u32 {
        let (plan, frame) = (&self.queue.plans[plan], self.simulation_views[plan].frame);
        let mut absolutes = 0;
        for &item in items {
            if item.delta().len > 0 {
                writer.difference(item.age(), item.delta());
            } else {
                let slot = known.key(item.id()).slot();
                self.poses.write_absolute(writer, frame, slot);
                absolutes += 1;
            }
            self.write_components(writer, plan, item);
        }
        absolutes
    }

    /// Moves the cursor over the updates that fit `room` bits beside an empty presence; returns their ids.
    fn choose(&self, cursor: &mut PackCursor, mut room: usize) -> Presence {
        let plan = &self.queue.plans[cursor.plan];
        let mut presence = Presence::default();
        let mut size = PresenceSize::new(self.id_bits);
        let empty = size.bits();
        for &item in &self.queue.updates[cursor.update..plan.updates.end] {
            let id = ShortId(item.id() as u16);
            size.push(id);
            let bits = plan.update_bits(item);
            if bits + size.bits() - empty > room {
                break;
            }
            room -= bits;
            presence.insert(id);
            cursor.update += 1;
        }
        presence
    }

    fn write_leaves(
        &self,
        writer: &mut SnapshotWriter<'_>,
        cursor: &mut PackCursor,
        known: &Known,
        sent: &mut SentPackets,
        room: &mut usize,
        written: &mut Written,
    ) {
        let bits = 1 + self.id_bits as usize;
        while cursor.leave < known.id_end() && bits <= *room {
            *room -= bits;
            writer.leave(ShortId(cursor.leave as u16));
            mark(sent, cursor.leave);
            written.left += 1;
            cursor.leave = next_leave(known, cursor.leave + 1);
        }
        writer.end_list();
    }

    fn write_enters(
        &self,
        writer: &mut SnapshotWriter<'_>,
        cursor: &mut PackCursor,
        known: &mut Known,
        sent: &mut SentPackets,
        room: &mut usize,
        written: &mut Written,
    ) {
        let plan = &self.queue.plans[cursor.plan];
        let frame = self.simulation_views[cursor.plan].frame;
        while cursor.enter < plan.enters.end {
            let item = self.queue.enters[cursor.enter];
            let bits = plan.enter_bits(item);
            if bits > *room {
                break;
            }
            *room -= bits;
            let id = item.id();
            let slot = known.key(id).slot();
            self.poses.write_enter(writer, ShortId(id as u16), frame, slot);
            self.write_components(writer, plan, item);
            known.note_sent(id / 64, 1 << (id % 64), frame.tick);
            known.priority[id] = 0;
            mark(sent, id);
            written.entered += 1;
            cursor.enter += 1;
        }
        writer.end_list();
    }

    #[inline(always)]
    fn write_components(&self, writer: &mut SnapshotWriter<'_>, plan: &Plan, item: Item) {
        if !plan.has_components {
            return;
        }
        let Some(place) = item.components() else {
            writer.no_components();
            return;
        };
        let (head, values) = self.queue.encoded.get(place);
        writer.components(head, self.components);
        for value in values {
            match value {
                SentValue::Bytes(bytes) => writer.component(bytes),
                SentValue::Steps(sent) => writer.steps(sent, item.age() > 0),
            }
        }
    }

    fn is_done(&self, cursor: &PackCursor, known: &Known) -> bool {
        cursor.enter == self.queue.enters.len()
            && cursor.update == self.queue.updates.len()
            && cursor.leave >= known.id_end()
    }

    /// Skips an item that does not even fit a packet of its own; it stays to be sent later.
    fn skip(&self, cursor: &mut PackCursor) {
        let plan = &self.queue.plans[cursor.plan.min(self.queue.plans.len() - 1)];
        if cursor.enter < plan.enters.end {
            cursor.enter += 1;
        } else if cursor.update < plan.updates.end {
            cursor.update += 1;
        }
    }
}

/// Returns the first leaving short id from `from` on; beyond all ids when there is none.
fn next_leave(known: &Known, from: usize) -> usize {
    let mut at = from / 64;
    let leaving = |at: usize| known.groups().get(at).map(|group| group.leaving);
    let Some(first) = leaving(at) else {
        return usize::MAX;
    };
    let mut word = first & (u64::MAX << (from % 64));
    while word == 0 {
        at += 1;
        let Some(next) = leaving(at) else {
            return usize::MAX;
        };
        word = next;
    }
    at * 64 + word.trailing_zeros() as usize
}

/// Writes which ids are updated, and records them as sent in their state of tick `state`.
fn write_presence(
    writer: &mut SnapshotWriter<'_>,
    presence: &Presence,
    state: Tick,
    known: &mut Known,
    sent: &mut SentPackets,
) {
    writer.presence(presence);
    for (at, (ids, &updated)) in sent.ids().iter_mut().zip(presence.words()).enumerate() {
        *ids |= updated;
        known.note_sent(at, updated, state);
    }
}

fn mark(sent: &mut SentPackets, id: usize) {
    if let Some(word) = sent.ids().get_mut(id / 64) {
        *word |= 1 << (id % 64);
    }
}
