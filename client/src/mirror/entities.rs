//! The entities in view, by short id.

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::snapshot::{ComponentsHead, Enter, ShortId};
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

use super::groups::locate;
use super::numbers::NumberBaselines;
use super::observer::{ComponentBytes, MirrorEntity, MirrorObserver, ShownPose};

/// The entity that an update refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateTarget {
    /// The entity in view.
    Present,
    /// The entity that had the id before: the packet is older than the id's last enter or leave.
    Past,
    /// An entity that never entered.
    Unknown,
}

/// Describes an entity's components in one packet, without their values.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketComponents {
    pub(super) id: ShortId,
    pub(super) tick: Tick,
    /// Number of the packet.
    pub(super) sequence: u64,
    pub(super) head: ComponentsHead,
    /// The oldest tick to whose state a packet can still refer.
    pub(super) oldest: Tick,
}

/// The newest state of an entity.
#[derive(Clone, Copy, Debug, Default)]
struct State<P> {
    pose: P,
    tick: Tick,
}

/// The newest states of 64 ids. Kept apart from the rest because most packets update most entities, and an update
/// touches only these states.
// `repr(C)` keeps the bits before the states: a group is read from its start.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct States<P> {
    /// Bits of the ids in view.
    in_view: u64,
    list: [State<P>; 64],
}

impl<P: Copy + Default> Default for States<P> {
    fn default() -> Self {
        Self {
            in_view: 0,
            list: [State::default(); 64],
        }
    }
}

/// The entity to which a short id is assigned, or was last.
#[derive(Clone, Copy, Debug, Default)]
struct Assignment {
    global: GlobalId,
    /// Number of the packet in which the id last entered or left; older packets refer to the id's former
    /// entity.
    since: u64,
}

/// The mirrored entities in view, by short id. Grows to the highest id received, which the packets' id width
/// bounds.
#[derive(Debug, Default)]
pub(super) struct Entities<P> {
    states: Vec<States<P>>,
    /// One per short id: 64 for each group in `states`.
    assignments: Vec<Assignment>,
    /// By short id, up to the highest id that has had components.
    components: Vec<Vec<ComponentBytes>>,
    /// Has the same length as `components`.
    numbers: Vec<NumberBaselines>,
    /// The newest of all `since`s: a packet that is not older refers to the present assignments.
    newest_since: u64,
}

impl<P: ShownPose> Entities<P> {
    pub(super) fn len(&self) -> usize {
        let in_view = self.states.iter().map(|states| states.in_view.count_ones());
        in_view.sum::<u32>() as usize
    }

    #[inline]
    fn is_in_view(&self, id: ShortId) -> bool {
        let (group, bit) = locate(id);
        let states = self.states.get(group);
        states.is_some_and(|states| states.in_view >> bit & 1 == 1)
    }

    /// Returns the number of the packet in which `id` last entered or left; 0 when there was none.
    #[inline]
    pub(super) fn since(&self, id: ShortId) -> u64 {
        self.assignments
            .get(id.index())
            .map_or(0, |assignment| assignment.since)
    }

    /// Returns the entity that an update of `id` in packet `sequence` refers to.
    #[inline(always)]
    pub(super) fn target(&self, id: ShortId, sequence: u64) -> UpdateTarget {
        if self.since(id) > sequence {
            UpdateTarget::Past
        } else if self.is_in_view(id) {
            UpdateTarget::Present
        } else {
            UpdateTarget::Unknown
        }
    }

    /// Returns whether updates of `ids` (a bit mask within the group) all refer to entities in view.
    #[inline(always)]
    pub(super) fn are_present(&self, group: usize, ids: u64, sequence: u64) -> bool {
        let in_view = self.states.get(group).map_or(0, |states| states.in_view);
        sequence >= self.newest_since && ids & !in_view == 0
    }

    #[inline]
    pub(super) fn get(&self, id: ShortId, own: Option<ShortId>) -> Option<MirrorEntity> {
        self.is_in_view(id).then(|| self.entity(id, own))
    }

    pub(super) fn iter(&self, own: Option<ShortId>) -> impl Iterator<Item = MirrorEntity> + '_ {
        let ids = (0..self.assignments.len()).map(|id| ShortId(id as u16));
        ids.filter_map(move |id| self.get(id, own))
    }

    /// Returns the state of an id that has been in view.
    #[inline]
    fn state(&self, id: ShortId) -> &State<P> {
        let (group, bit) = locate(id);
        &self.states[group].list[bit]
    }

    /// Returns an entity in view as the mirror shows it.
    #[inline]
    fn entity(&self, id: ShortId, own: Option<ShortId>) -> MirrorEntity {
        let State { pose, tick } = *self.state(id);
        let (pose, pose_3d) = pose.shown();
        MirrorEntity {
            id,
            global: self.assignments[id.index()].global,
            pose,
            pose_3d,
            tick,
            is_own: own == Some(id),
        }
    }

    pub(super) fn components(&self, id: ShortId) -> &[ComponentBytes] {
        self.components.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// Removes the entity with the short id `id` from view. Returns the entity that had it; `None` if there was
    /// none or a newer packet has changed the id already.
    pub(super) fn leave(&mut self, id: ShortId, sequence: u64) -> Option<GlobalId> {
        self.grow(id);
        let assignment = &mut self.assignments[id.index()];
        if assignment.since > sequence {
            return None;
        }
        assignment.since = sequence;
        let global = assignment.global;
        self.newest_since = self.newest_since.max(sequence);
        if !self.is_in_view(id) {
            return None;
        }
        let (group, bit) = locate(id);
        self.states[group].in_view &= !(1 << bit);
        self.clear_components(id);
        Some(global)
    }

    /// Adds an entity to view. The packet must not be older than the id's last enter or leave. Returns the
    /// entity that had the id until now, if that was another one, and whether this one is new.
    pub(super) fn enter(&mut self, enter: &Enter<P>, tick: Tick, sequence: u64) -> (Option<GlobalId>, bool) {
        let id = enter.id;
        self.grow(id);
        let was_in_view = self.is_in_view(id);
        let (group, bit) = locate(id);
        let (states, assignment) = (&mut self.states[group], &mut self.assignments[id.index()]);
        let state = &mut states.list[bit];
        let replaced = (was_in_view && assignment.global != enter.global).then_some(assignment.global);
        let is_new = !was_in_view || replaced.is_some();
        if is_new || !state.tick.is_after(tick) {
            *state = State {
                pose: enter.pose,
                tick,
            };
        }
        *assignment = Assignment {
            global: enter.global,
            since: sequence,
        };
        self.newest_since = self.newest_since.max(sequence);
        states.in_view |= 1 << bit;
        if replaced.is_some() {
            self.clear_components(id);
        }
        (replaced, is_new)
    }

    /// Replaces the states of `ids` (a bit mask within the group) where `tick` is newer than what is held.
    /// Calls `updated` for each replaced state.
    #[inline]
    pub(super) fn update(
        &mut self,
        group: usize,
        ids: u64,
        poses: &[P; 64],
        tick: Tick,
        mut updated: impl FnMut(&Self, ShortId),
    ) {
        // The lowest bit gives the next id; `left & (left - 1)` clears it.
        let mut left = ids & self.states.get(group).map_or(0, |states| states.in_view);
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            let state = &mut self.states[group].list[bit];
            if tick.is_after(state.tick) {
                *state = State {
                    pose: poses[bit],
                    tick,
                };
                updated(self, ShortId((group * 64 + bit) as u16));
            }
        }
    }

    /// Returns the numbers of a component in the state of `tick`: those received last at or before it.
    pub(super) fn numbers_at(&self, id: ShortId, component: ComponentId, tick: Tick) -> Option<&Steps> {
        self.numbers.get(id.index())?.newest_at(component, tick)
    }

    /// Stores components that arrived with a state of the entity. Numbers are kept as baselines for later
    /// packets; the components themselves are replaced only if no newer state is held.
    pub(super) fn set_components<'a>(
        &mut self,
        received: PacketComponents,
        values: impl Iterator<Item = (&'a [u8], Option<Steps>)>,
        observer: &mut impl MirrorObserver,
    ) {
        let PacketComponents { id, tick, head, .. } = received;
        if self.target(id, received.sequence) != UpdateTarget::Present {
            return;
        }
        let is_newest = self.state(id).tick == tick;
        if self.components.len() <= id.index() {
            self.components.resize_with(id.index() + 1, Vec::new);
            self.numbers.resize_with(id.index() + 1, NumberBaselines::default);
        }
        let components = &mut self.components[id.index()];
        components.retain(|component| {
            let is_kept = !is_newest || head.present & component.id.bit() != 0;
            if !is_kept {
                observer.component_removed(id, component.id);
            }
            is_kept
        });
        let mut left = head.included;
        for (bytes, steps) in values {
            let component = ComponentId(left.trailing_zeros() as u8);
            left &= left.wrapping_sub(1);
            if let Some(steps) = steps {
                self.numbers[id.index()].record(component, tick, steps, received.oldest);
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

    fn clear_components(&mut self, id: ShortId) {
        if let Some(components) = self.components.get_mut(id.index()) {
            components.clear();
            self.numbers[id.index()].clear();
        }
    }

    fn grow(&mut self, id: ShortId) {
        let groups = locate(id).0 + 1;
        if groups > self.states.len() {
            self.states.resize(groups, States::default());
            self.assignments.resize(groups * 64, Assignment::default());
        }
    }
}
