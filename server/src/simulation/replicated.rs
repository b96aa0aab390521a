//! [`Replicated`], which makes an entity part of the frames, and the components that it requires.
//!
//! Hooks give an entity its slot and its global id as soon as it becomes replicated, in the order of
//! commands. So both depend on what the simulation does and never on Bevy's entity numbers.

use std::collections::{BTreeMap, HashMap};

use bevy_ecs::archetype::ArchetypeId;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, Team, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::disabling::Disabling;
use super::remote_frames::Ghost;
use crate::boundary::frame::{ChunkKind, Identity, SlotTable};
use crate::runner::TickTime;
use crate::space::RoomId;

/// Makes an entity visible to clients. Everything else that clients see of it follows from its components.
///
/// A disabled entity, one with [`Disabled`](bevy_ecs::entity_disabling::Disabled), is hidden from clients. When it is
/// enabled, they see it with its present values.
///
/// If it is removed and inserted again, clients see a new entity.
#[derive(Component, Clone, Copy, Debug)]
#[component(on_insert = take_slot, on_discard = give_slot_back)]
#[require(Position, Velocity, Heading, Owner, Importance, Room)]
pub struct Replicated {
    slot: Slot,
    global: GlobalId,
}

/// The value of an entity without a slot. No slot has this number.
const NO_SLOT: Slot = Slot(u32::MAX);

impl Replicated {
    /// Returns the entity's row in the frames, which it keeps until it is despawned or disabled. `None` if it is
    /// disabled, if the simulation is full, or if this ECS world has no simulation.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        (self.slot != NO_SLOT).then_some(self.slot)
    }

    /// Returns the entity's global id, which never changes and is never reused.
    #[inline]
    #[must_use]
    pub fn global(&self) -> GlobalId {
        self.global
    }
}

impl Default for Replicated {
    fn default() -> Self {
        Self {
            slot: NO_SLOT,
            global: GlobalId::default(),
        }
    }
}

/// The player that owns an entity. To change it, insert it again.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity, on_remove = note_identity)]
pub struct Owner(pub PlayerId);

/// The room of an entity or of a player: an instance, a dungeon, a match. A player sees only the entities of
/// its avatar's room, or of its own room without an avatar. To change it, insert it again.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity, on_remove = note_identity)]
pub struct Room(pub RoomId);

/// The weight of an entity when a client's budget does not suffice for all entities. To change it,
/// insert it again.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity, on_remove = note_identity)]
pub struct Importance(pub u8);

impl Default for Importance {
    fn default() -> Self {
        Self(1)
    }
}

/// The table of slots and entities, and the changes to it since the last tick.
#[derive(Resource, Debug)]
pub struct Slots {
    pub(super) simulation: SimulationId,
    pub(super) table: SlotTable,
    /// The entities by slot.
    entities: Vec<Option<Entity>>,
    /// This map is only looked up and never iterated, because a hash map has no fixed order.
    by_global: HashMap<GlobalId, Entity>,
    pub(super) globals_given: u64,
    pub(super) refused: u64,
    pub(super) kinds: Kinds,
    /// The slot and the global id that the next replicated entity gets, because it existed before. Without a
    /// slot it comes from another simulation.
    pub(super) restoring: Option<(Option<Slot>, GlobalId)>,
    pub(super) disabling: Disabling,
    /// Entities that lost their global id since the last tick, most of them because they were despawned.
    pub(super) discarded: Vec<Entity>,
    pub(super) events: Vec<SlotEvent>,
    /// Slots that got a row in this tick.
    pub(super) fresh: Vec<Slot>,
}

/// A change of a slot that the rows have to follow, in the order in which it happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlotEvent {
    Taken(Slot, Entity),
    GivenBack(Slot),
    Identified(Slot, Entity),
}

/// Chunk kinds by the set of registered components that an entity has when it gets its slot.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    registered: Vec<WorldComponentId>,
    pub(super) by_set: BTreeMap<u64, ChunkKind>,
    by_archetype: BTreeMap<ArchetypeId, ChunkKind>,
}

impl Slots {
    /// Creates a table without entities. Global ids have `simulation` in their highest byte, so that ids of
    /// different simulations are distinct.
    #[must_use]
    pub fn new(simulation: SimulationId) -> Self {
        Self {
            simulation,
            table: SlotTable::default(),
            entities: Vec::new(),
            by_global: HashMap::new(),
            globals_given: 0,
            refused: 0,
            kinds: Kinds::default(),
            restoring: None,
            disabling: Disabling::default(),
            discarded: Vec::new(),
            events: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Returns the simulation whose entities these are.
    #[must_use]
    pub fn simulation(&self) -> SimulationId {
        self.simulation
    }

    /// Returns the entity in a slot.
    #[must_use]
    pub fn entity(&self, slot: Slot) -> Option<Entity> {
        self.entities.get(slot.index()).copied().flatten()
    }

    /// Returns the entity with this global id, if it is in this simulation.
    #[must_use]
    pub fn find(&self, global: GlobalId) -> Option<Entity> {
        self.by_global.get(&global).copied()
    }

    /// Returns the number of replicated entities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.taken()
    }

    /// Returns whether no entity is replicated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.taken() == 0
    }

    /// Returns the number of entities that got no slot, because all 2^24 - 1 were taken or resting.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn table_mut(&mut self) -> &mut SlotTable {
        &mut self.table
    }

    /// Gives `entity` the slot that is to be restored, or a free one of its kind. A disabled entity gets no free slot,
    /// only a global id.
    fn take(&mut self, kind: Option<ChunkKind>, entity: Entity, is_disabled: bool) -> Replicated {
        let (slot, global) = match self.restoring.take() {
            Some((slot, global)) => (slot, Some(global)),
            None => (None, None),
        };
        let slot = slot.or_else(|| self.table.take(kind?));
        if slot.is_none() && !is_disabled {
            self.refused += 1;
            return Replicated::default();
        }
        let global = global.unwrap_or_else(|| {
            self.globals_given += 1;
            GlobalId(u64::from(self.simulation.0) << 56 | self.globals_given)
        });
        self.by_global.insert(global, entity);
        match slot {
            Some(slot) => self.enter(slot, global, entity),
            None => Replicated {
                slot: NO_SLOT,
                global,
            },
        }
    }

    /// Takes the slot of an entity that was disabled. The entity keeps its global id.
    pub(super) fn hide(&mut self, replicated: &Replicated, slot: Slot, tick: Tick) -> Replicated {
        self.entities[slot.index()] = None;
        self.table.give_back(slot, tick);
        self.events.push(SlotEvent::GivenBack(slot));
        Replicated {
            slot: NO_SLOT,
            ..*replicated
        }
    }

    /// Gives a slot to an entity that was disabled.
    pub(super) fn show(&mut self, replicated: &Replicated, kind: ChunkKind, entity: Entity) -> Replicated {
        let Some(slot) = self.table.take(kind) else {
            self.refused += 1;
            return *replicated;
        };
        self.enter(slot, replicated.global, entity)
    }

    fn enter(&mut self, slot: Slot, global: GlobalId, entity: Entity) -> Replicated {
        if self.entities.len() <= slot.index() {
            self.entities.resize(slot.index() + 1, None);
        }
        self.entities[slot.index()] = Some(entity);
        self.events.push(SlotEvent::Taken(slot, entity));
        Replicated { slot, global }
    }
}

impl Kinds {
    /// Clears the kinds of archetypes, which are found again from the sets.
    pub(super) fn forget_archetypes(&mut self) {
        self.by_archetype.clear();
    }

    fn register(&mut self, archetype: ArchetypeId, components: &[WorldComponentId]) -> ChunkKind {
        let bit = |(bit, id)| u64::from(components.contains(id)) << bit;
        let set = self.registered.iter().enumerate().map(bit).sum();
        let next = ChunkKind(self.by_set.len() as u16);
        let kind = *self.by_set.entry(set).or_insert(next);
        self.by_archetype.insert(archetype, kind);
        kind
    }
}

/// Collects the registered components, by which kinds are distinguished. Runs once, when the registry is
/// complete.
pub(super) fn register_kinds(world: &mut World) {
    let Some(protocol) = world.get_resource::<Protocol>().cloned() else {
        return;
    };
    let registered: Vec<_> = protocol
        .components()
        .iter()
        .map(|entry| entry.register(world))
        .collect();
    let mut slots = world.resource_mut::<Slots>();
    slots.kinds = Kinds {
        registered,
        ..Kinds::default()
    };
}

/// Makes the rows follow the [`Team`] of entities. The other components of an identity are the engine's own and have the
/// hook already.
pub(super) fn observe_teams(world: &mut World) {
    let hooks = world.register_component_hooks::<Team>();
    hooks.on_insert(note_identity).on_remove(note_identity);
}

/// Returns the identity of an entity from its components.
pub(super) fn identity(
    replicated: &Replicated,
    owner: Option<&Owner>,
    team: Option<&Team>,
    importance: Option<&Importance>,
    room: Option<&Room>,
) -> Identity {
    Identity {
        global: replicated.global,
        owner: owner.map_or(PlayerId::NONE, |owner| owner.0),
        team: team.map_or(TeamId::NONE, |team| team.0),
        importance: importance.copied().unwrap_or_default().0,
        room: room.copied().unwrap_or_default().0,
    }
}

fn take_slot(mut world: DeferredWorld, context: HookContext) {
    let Some(slots) = world.get_resource::<Slots>() else {
        return;
    };
    let entity = world.entity(context.entity);
    let is_ghost = entity.contains::<Ghost>();
    let is_disabled = slots.disabling.disables(entity);
    // A slot that is restored has a kind already: that of the components that the entity had when it got the
    // slot.
    let kind = match slots.restoring {
        Some((Some(_), _)) => None,
        _ if is_ghost || is_disabled => None,
        _ => Some(kind_of(&mut world, context.entity)),
    };
    let taken = match is_ghost {
        // Clients are sent the entity itself by the simulation that has it. A ghost gets here if one of its components
        // requires `Replicated`.
        true => Replicated::default(),
        false => world
            .resource_mut::<Slots>()
            .take(kind, context.entity, is_disabled),
    };
    if let Some(mut replicated) = world.get_mut::<Replicated>(context.entity) {
        *replicated = taken;
    }
}

/// Returns the kind of the chunks for an entity with these components.
pub(super) fn kind_of(world: &mut DeferredWorld, entity: Entity) -> ChunkKind {
    let archetype = world.entity(entity).archetype().id();
    let known = world.resource::<Slots>().kinds.by_archetype.get(&archetype);
    if let Some(&kind) = known {
        return kind;
    }
    let components = world.entity(entity).archetype().components().to_vec();
    world
        .resource_mut::<Slots>()
        .kinds
        .register(archetype, &components)
}

fn give_slot_back(mut world: DeferredWorld, context: HookContext) {
    let replicated = world
        .get::<Replicated>(context.entity)
        .copied()
        .unwrap_or_default();
    let Some(tick) = world.get_resource::<TickTime>().map(|time| time.tick) else {
        return;
    };
    let Some(mut slots) = world.get_resource_mut::<Slots>() else {
        return;
    };
    // A disabled entity has a global id and no slot.
    if slots.by_global.remove(&replicated.global).is_some() {
        slots.discarded.push(context.entity);
    }
    if let Some(slot) = replicated.slot() {
        slots.hide(&replicated, slot, tick);
    }
}

fn note_identity(mut world: DeferredWorld, context: HookContext) {
    let slot = world.get::<Replicated>(context.entity).and_then(Replicated::slot);
    let (Some(slot), Some(mut slots)) = (slot, world.get_resource_mut::<Slots>()) else {
        return;
    };
    slots.events.push(SlotEvent::Identified(slot, context.entity));
}
