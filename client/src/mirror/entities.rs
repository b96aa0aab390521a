//! The entities in view, by short id.

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{ComponentsHead, Enter, ShortId};
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

use super::groups::locate;
use super::numbers::NumberBaselines;
use super::observer::{ComponentBytes, MirrorEntity, MirrorObserver};

/// Whom an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateTarget {
    /// The entity in view.
    Present,
    /// The id's last tenant: the packet is older than what is known of the id.
    Past,
    /// An entity that never entered.
    Nobody,
}

/// An entity's components in one packet, beside their values.
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

/// What is kept of an entity's state.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    pose: Pose,
    tick: Tick,
}

/// What is kept of the states of 64 ids. Most packets update most entities, and that takes these alone.
// In this order: it is read from its beginning on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct States {
    /// Bits of the ids in view.
    in_view: u64,
    list: [State; 64],
}

impl Default for States {
    fn default() -> Self {
        Self {
            in_view: 0,
            list: [State::default(); 64],
        }
    }
}

/// Whom a short id belongs to.
#[derive(Clone, Copy, Debug, Default)]
struct Tenant {
    global: GlobalId,
    /// Number of the packet that said last whether the entity is in view; older packets are about the
    /// id's last tenant.
    since: u64,
}

/// Entities by short id. Grows to the highest id heard of, which the packets' id width bounds.
#[derive(Debug, Default)]
pub(super) struct Entities {
    states: Vec<States>,
    /// 64 for each of `states`.
    tenants: Vec<Tenant>,
    /// As many as the highest id with components needs.
    components: Vec<Vec<ComponentBytes>>,
    /// As long as `components`.
    numbers: Vec<NumberBaselines>,
    /// The newest of all `since`s: a packet that is not older is about present tenants.
    newest_since: u64,
}

impl Entities {
    pub(super) fn len(&self) -> usize {
        let in_view = self.states.iter().map(|states| states.in_view.count_ones());
        in_view.sum::<u32>() as usize
    }

    #[inline]
    fn is_in_view(&self, id: ShortId) -> bool {
        let (at, bit) = locate(id);
        let states = self.states.get(at);
        states.is_some_and(|states| states.in_view >> bit & 1 == 1)
    }

    /// Number of the packet that said last whether `id` is in view; 0 when none did.
    #[inline]
    pub(super) fn since(&self, id: ShortId) -> u64 {
        self.tenants.get(id.index()).map_or(0, |tenant| tenant.since)
    }

    /// Whom an update of `id` in the packet with this number is about.
    #[inline(always)]
    pub(super) fn subject(&self, id: ShortId, sequence: u64) -> UpdateTarget {
        if self.since(id) > sequence {
            UpdateTarget::Past
        } else if self.is_in_view(id) {
            UpdateTarget::Present
        } else {
            UpdateTarget::Nobody
        }
    }

    /// Whether updates of 64 ids, of which `ids` are the bits, are all about entities in view.
    #[inline(always)]
    pub(super) fn are_present(&self, at: usize, ids: u64, sequence: u64) -> bool {
        let in_view = self.states.get(at).map_or(0, |states| states.in_view);
        sequence >= self.newest_since && ids & !in_view == 0
    }

    #[inline]
    pub(super) fn get(&self, id: ShortId, own: Option<ShortId>) -> Option<MirrorEntity> {
        self.is_in_view(id).then(|| self.seen(id, own))
    }

    pub(super) fn iter(&self, own: Option<ShortId>) -> impl Iterator<Item = MirrorEntity> + '_ {
        let ids = (0..self.tenants.len()).map(|id| ShortId(id as u16));
        ids.filter_map(move |id| self.get(id, own))
    }

    /// The state of an id that has been in view.
    #[inline]
    fn state(&self, id: ShortId) -> &State {
        let (at, bit) = locate(id);
        &self.states[at].list[bit]
    }

    /// An entity in view, as it is shown.
    #[inline]
    fn seen(&self, id: ShortId, own: Option<ShortId>) -> MirrorEntity {
        let State { pose, tick } = *self.state(id);
        MirrorEntity {
            id,
            global: self.tenants[id.index()].global,
            pose,
            tick,
            is_own: own == Some(id),
        }
    }

    pub(super) fn components(&self, id: ShortId) -> &[ComponentBytes] {
        self.components.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// Takes `id` out of view; answers who that was, unless a newer packet has said otherwise already.
    pub(super) fn leave(&mut self, id: ShortId, sequence: u64) -> Option<GlobalId> {
        self.grow(id);
        let tenant = &mut self.tenants[id.index()];
        if tenant.since > sequence {
            return None;
        }
        tenant.since = sequence;
        let global = tenant.global;
        self.newest_since = self.newest_since.max(sequence);
        if !self.is_in_view(id) {
            return None;
        }
        let (at, bit) = locate(id);
        self.states[at].in_view &= !(1 << bit);
        self.forget_components(id);
        Some(global)
    }

    /// Takes an entity into view, in a packet that is not older than what is known of the id. Answers who
    /// had the id until now, if that was another entity, and whether this one is new.
    pub(super) fn enter(&mut self, enter: &Enter, tick: Tick, sequence: u64) -> (Option<GlobalId>, bool) {
        let id = enter.id;
        self.grow(id);
        let was_in_view = self.is_in_view(id);
        let (at, bit) = locate(id);
        let (states, tenant) = (&mut self.states[at], &mut self.tenants[id.index()]);
        let state = &mut states.list[bit];
        let replaced = (was_in_view && tenant.global != enter.global).then_some(tenant.global);
        let is_new = !was_in_view || replaced.is_some();
        if is_new || !state.tick.is_after(tick) {
            *state = State {
                pose: enter.pose,
                tick,
            };
        }
        *tenant = Tenant {
            global: enter.global,
            since: sequence,
        };
        self.newest_since = self.newest_since.max(sequence);
        states.in_view |= 1 << bit;
        if replaced.is_some() {
            self.forget_components(id);
        }
        (replaced, is_new)
    }

    /// Takes over states of `tick`: of 64 ids those of which `ids` are the bits, where they are newer than what is
    /// here. `updated` hears of each.
    #[inline]
    pub(super) fn update(
        &mut self,
        at: usize,
        ids: u64,
        poses: &[Pose; 64],
        tick: Tick,
        mut updated: impl FnMut(&Self, ShortId),
    ) {
        let mut left = ids & self.states.get(at).map_or(0, |states| states.in_view);
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            let state = &mut self.states[at].list[bit];
            if tick.is_after(state.tick) {
                *state = State {
                    pose: poses[bit],
                    tick,
                };
                updated(self, ShortId((at * 64 + bit) as u16));
            }
        }
    }

    /// The numbers of a component in the state of `tick`, or what they were when they were last told before it.
    pub(super) fn told(&self, id: ShortId, component: ComponentId, tick: Tick) -> Option<&Steps> {
        self.numbers.get(id.index())?.told(component, tick)
    }

    /// Takes over components that came with a state of the entity: their numbers, for later packets to differ
    /// from, and the components themselves if no newer state is here.
    pub(super) fn set_components<'a>(
        &mut self,
        told: PacketComponents,
        values: impl Iterator<Item = (&'a [u8], Option<Steps>)>,
        observer: &mut impl MirrorObserver,
    ) {
        let PacketComponents { id, tick, head, .. } = told;
        if self.subject(id, told.sequence) != UpdateTarget::Present {
            return;
        }
        let is_newest = self.state(id).tick == tick;
        if self.components.len() <= id.index() {
            self.components.resize_with(id.index() + 1, Vec::new);
            self.numbers.resize_with(id.index() + 1, NumberBaselines::default);
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
        let groups = locate(id).0 + 1;
        if groups > self.states.len() {
            self.states.resize(groups, States::default());
            self.tenants.resize(groups * 64, Tenant::default());
        }
    }
}
