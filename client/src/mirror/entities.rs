//! The entities in view, by short id.

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{ComponentsHead, Enter, ShortId};
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

use super::MirrorObserver;
use super::numbers::ToldNumbers;

/// An entity as the client last heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorEntity {
    /// Its name in this session; given to another entity some time after it left.
    pub id: ShortId,
    /// Its identity.
    pub global: GlobalId,
    /// Its state at `tick`.
    pub pose: Pose,
    /// The newest tick whose state is here. The state has not changed since, or the change is on its way.
    pub tick: Tick,
    /// Whether the player acts through it.
    pub is_own: bool,
}

/// A component's encoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentBytes {
    /// Which component.
    pub id: ComponentId,
    /// What the registry decodes.
    pub bytes: Vec<u8>,
}

/// Whom an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The entity in view.
    Present,
    /// The id's last tenant: the packet is older than what is known of the id.
    Past,
    /// An entity that never entered.
    Nobody,
}

/// An entity's components in one packet, beside their values.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToldComponents {
    pub(super) id: ShortId,
    pub(super) tick: Tick,
    /// Number of the packet.
    pub(super) sequence: u64,
    pub(super) head: ComponentsHead,
    /// The oldest tick to whose state a packet can still refer.
    pub(super) oldest: Tick,
}

/// What is kept for a short id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    global: GlobalId,
    /// Number of the packet that said last whether the entity is in view; older packets are about the
    /// id's last tenant.
    since: u64,
    pose: Pose,
    tick: Tick,
    is_in_view: bool,
}

impl Entry {
    #[inline]
    pub(super) fn seen(&self, id: ShortId, own: Option<ShortId>) -> MirrorEntity {
        MirrorEntity {
            id,
            global: self.global,
            pose: self.pose,
            tick: self.tick,
            is_own: own == Some(id),
        }
    }
}

/// Entries by short id. Grows to the highest id heard of, which the packets' id width bounds.
#[derive(Debug, Default)]
pub(super) struct Entities {
    entries: Vec<Entry>,
    components: Vec<Vec<ComponentBytes>>,
    /// As long as `components`.
    numbers: Vec<ToldNumbers>,
    in_view: usize,
}

impl Entities {
    pub(super) fn len(&self) -> usize {
        self.in_view
    }

    /// Number of the packet that said last whether `id` is in view; 0 when none did.
    #[inline]
    pub(super) fn since(&self, id: ShortId) -> u64 {
        self.entries.get(id.index()).map_or(0, |entry| entry.since)
    }

    /// Whom an update of `id` in the packet with this number is about.
    #[inline(always)]
    pub(super) fn subject(&self, id: ShortId, sequence: u64) -> Subject {
        match self.entries.get(id.index()) {
            Some(entry) if entry.since > sequence => Subject::Past,
            Some(entry) if entry.is_in_view => Subject::Present,
            _ => Subject::Nobody,
        }
    }

    #[inline]
    pub(super) fn get(&self, id: ShortId, own: Option<ShortId>) -> Option<MirrorEntity> {
        let entry = self.entries.get(id.index()).filter(|entry| entry.is_in_view)?;
        Some(entry.seen(id, own))
    }

    pub(super) fn iter(&self, own: Option<ShortId>) -> impl Iterator<Item = MirrorEntity> + '_ {
        let entries = self.entries.iter().enumerate();
        let in_view = entries.filter(|(_, entry)| entry.is_in_view);
        in_view.map(move |(id, entry)| entry.seen(ShortId(id as u16), own))
    }

    pub(super) fn components(&self, id: ShortId) -> &[ComponentBytes] {
        self.components.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// Takes `id` out of view; answers who that was, unless a newer packet has said otherwise already.
    pub(super) fn leave(&mut self, id: ShortId, sequence: u64) -> Option<GlobalId> {
        self.grow(id);
        let entry = &mut self.entries[id.index()];
        if entry.since > sequence {
            return None;
        }
        entry.since = sequence;
        if !std::mem::take(&mut entry.is_in_view) {
            return None;
        }
        self.in_view -= 1;
        let global = entry.global;
        self.forget_components(id);
        Some(global)
    }

    /// Takes an entity into view, in a packet that is not older than what is known of the id. Answers who
    /// had the id until now, if that was another entity, and whether this one is new.
    pub(super) fn enter(&mut self, enter: &Enter, tick: Tick, sequence: u64) -> (Option<GlobalId>, bool) {
        self.grow(enter.id);
        let entry = &mut self.entries[enter.id.index()];
        let replaced = (entry.is_in_view && entry.global != enter.global).then_some(entry.global);
        let is_new = !entry.is_in_view || replaced.is_some();
        self.in_view += usize::from(!entry.is_in_view);
        if is_new || !entry.tick.is_after(tick) {
            entry.pose = enter.pose;
            entry.tick = tick;
        }
        entry.global = enter.global;
        entry.since = sequence;
        entry.is_in_view = true;
        if replaced.is_some() {
            self.forget_components(enter.id);
        }
        (replaced, is_new)
    }

    /// Takes over a state that is newer than the one here; answers the entity then.
    #[inline]
    pub(super) fn update(&mut self, id: ShortId, pose: Pose, tick: Tick) -> Option<&Entry> {
        let entry = self.entries.get_mut(id.index())?;
        if !entry.is_in_view || !tick.is_after(entry.tick) {
            return None;
        }
        entry.pose = pose;
        entry.tick = tick;
        Some(entry)
    }

    /// The numbers of a component in the state of `tick`, or what they were when they were last told before it.
    pub(super) fn told(&self, id: ShortId, component: ComponentId, tick: Tick) -> Option<&Steps> {
        self.numbers.get(id.index())?.told(component, tick)
    }

    /// Takes over components that came with a state of the entity: their numbers, for later packets to differ
    /// from, and the components themselves if no newer state is here.
    pub(super) fn set_components<'a>(
        &mut self,
        told: ToldComponents,
        values: impl Iterator<Item = (&'a [u8], Option<Steps>)>,
        observer: &mut impl MirrorObserver,
    ) {
        let ToldComponents { id, tick, head, .. } = told;
        let entry = self.entries.get(id.index());
        let Some(entry) = entry.filter(|entry| entry.is_in_view && entry.since <= told.sequence) else {
            return;
        };
        let is_newest = entry.tick == tick;
        if self.components.len() <= id.index() {
            self.components.resize_with(id.index() + 1, Vec::new);
            self.numbers.resize_with(id.index() + 1, ToldNumbers::default);
        }
        let components = &mut self.components[id.index()];
        components.retain(|component| {
            let stays = !is_newest || head.present & component.id.bit() != 0;
            if !stays {
                observer.component_removed(id, component.id);
            }
            stays
        });
        let mut left = head.included;
        for (bytes, steps) in values {
            let component = ComponentId(left.trailing_zeros() as u8);
            left &= left.wrapping_sub(1);
            if let Some(steps) = steps {
                self.numbers[id.index()].tell(component, tick, steps, told.oldest);
            }
            if !is_newest {
                continue;
            }
            match components.iter_mut().find(|known| known.id == component) {
                // Sent again before it was acknowledged: nothing new.
                Some(known) if known.bytes == bytes => continue,
                Some(known) => {
                    known.bytes.clear();
                    known.bytes.extend_from_slice(bytes);
                }
                None => components.push(ComponentBytes {
                    id: component,
                    bytes: bytes.to_vec(),
                }),
            }
            observer.component(id, component, bytes);
        }
    }

    fn forget_components(&mut self, id: ShortId) {
        if let Some(components) = self.components.get_mut(id.index()) {
            components.clear();
            self.numbers[id.index()].clear();
        }
    }

    fn grow(&mut self, id: ShortId) {
        if id.index() >= self.entries.len() {
            self.entries.resize((id.index() / 64 + 1) * 64, Entry::default());
        }
    }
}
