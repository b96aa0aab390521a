//! What makes an entity part of the frames: [`Replicated`] and what it requires.
//!
//! Hooks give an entity its slot and its global id the moment it becomes replicated, in command order, so
//! that both depend on what the simulation does and never on how Bevy numbers entities.

use std::collections::{BTreeMap, HashMap};

use bevy_ecs::archetype::ArchetypeId;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::Protocol;

use crate::boundary::frame::{ChunkKind, Identity, SlotTable};
use crate::runner::TickTime;
use crate::space::RoomId;

/// Makes an entity visible to clients. Everything else that clients see of it follows from its components.
///
/// Removing and inserting it again makes a new entity of it, as far as clients can tell.
#[derive(Component, Clone, Copy, Debug)]
#[component(on_insert = take_slot, on_discard = give_slot_back)]
#[require(Position, Velocity, Heading, Owner, Team, Importance, Room)]
pub struct Replicated {
    slot: Slot,
    global: GlobalId,
}

/// Where an entity has none: no slot is that high.
const NO_SLOT: Slot = Slot(u32::MAX);

impl Replicated {
    /// Its row in the frames, for as long as it lives. `None` when the simulation is full or there is no
    /// simulation in this world.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        (self.slot != NO_SLOT).then_some(self.slot)
    }

    /// Its identity for ever.
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

/// The player to whom an entity belongs. Changed by inserting it anew.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity)]
pub struct Owner(pub PlayerId);

/// The team of an entity or of a player. Changed by inserting it anew.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity)]
pub struct Team(pub TeamId);

/// The room of an entity or of a player: an instance, a dungeon, a match. A player sees the entities of its
/// avatar's room only, or of its own without an avatar. Changed by inserting it anew.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity)]
pub struct Room(pub RoomId);

/// Weight of an entity when a client's budget does not suffice for all. Changed by inserting it anew.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable, on_insert = note_identity)]
pub struct Importance(pub u8);

impl Default for Importance {
    fn default() -> Self {
        Self(1)
    }
}

/// Which entity has which slot, and what happened to them since the last tick.
#[derive(Resource, Debug)]
pub struct Slots {
    pub(super) simulation: SimulationId,
    pub(super) table: SlotTable,
    /// By slot.
    entities: Vec<Option<Entity>>,
    /// Looked up, never walked: a hash map has no order to depend on.
    by_global: HashMap<GlobalId, Entity>,
    pub(super) globals_given: u64,
    pub(super) refused: u64,
    pub(super) kinds: Kinds,
    /// What the next entity that becomes replicated was before, here (then with its slot) or elsewhere.
    pub(super) restoring: Option<(Option<Slot>, GlobalId)>,
    pub(super) events: Vec<SlotEvent>,
    /// Slots that got a row in this tick.
    pub(super) fresh: Vec<Slot>,
}

/// What the rows have to follow, in the order in which it happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum SlotEvent {
    Taken(Slot, Entity),
    GivenBack(Slot),
    Identified(Slot, Entity),
}

/// Kinds by the set of registered components that an entity has when it gets its slot.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    registered: Vec<WorldComponentId>,
    pub(super) by_set: BTreeMap<u64, ChunkKind>,
    by_archetype: BTreeMap<ArchetypeId, ChunkKind>,
}

impl Slots {
    /// No entities yet. Global ids carry `simulation` in their highest byte, so that simulations never clash.
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
            events: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// The simulation whose entities these are.
    #[must_use]
    pub fn simulation(&self) -> SimulationId {
        self.simulation
    }

    /// The entity in a slot.
    #[must_use]
    pub fn entity(&self, slot: Slot) -> Option<Entity> {
        self.entities.get(slot.index()).copied().flatten()
    }

    /// The entity with this global id, if it lives in this simulation.
    #[must_use]
    pub fn find(&self, global: GlobalId) -> Option<Entity> {
        self.by_global.get(&global).copied()
    }

    /// Replicated entities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.taken()
    }

    /// Whether nothing is replicated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.taken() == 0
    }

    /// Entities that found no slot, because all 2^24 - 1 were taken or resting.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn table_mut(&mut self) -> &mut SlotTable {
        &mut self.table
    }

    /// Gives `entity` the slot that is restored, or one of its kind.
    fn take(&mut self, kind: Option<ChunkKind>, entity: Entity) -> Replicated {
        let (slot, global) = match self.restoring.take() {
            Some((slot, global)) => (slot, Some(global)),
            None => (None, None),
        };
        let Some(slot) = slot.or_else(|| self.table.take(kind?)) else {
            self.refused += 1;
            return Replicated::default();
        };
        let global = global.unwrap_or_else(|| {
            self.globals_given += 1;
            GlobalId(u64::from(self.simulation.0) << 56 | self.globals_given)
        });
        if self.entities.len() <= slot.index() {
            self.entities.resize(slot.index() + 1, None);
        }
        self.entities[slot.index()] = Some(entity);
        self.by_global.insert(global, entity);
        self.events.push(SlotEvent::Taken(slot, entity));
        Replicated { slot, global }
    }
}

impl Kinds {
    /// Forgets which archetype is of which kind; it is learnt again from the sets.
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

/// Learns the components that tell kinds apart. Runs once, when the registry is complete.
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

/// Who an entity is, from its components.
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
    // A slot that is restored has a kind already, from what the entity had when it got it first.
    let kind = match slots.restoring {
        Some((Some(_), _)) => None,
        _ => Some(kind_of(&mut world, context.entity)),
    };
    let taken = world.resource_mut::<Slots>().take(kind, context.entity);
    if let Some(mut replicated) = world.get_mut::<Replicated>(context.entity) {
        *replicated = taken;
    }
}

fn kind_of(world: &mut DeferredWorld, entity: Entity) -> ChunkKind {
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
    let slot = replicated.slot();
    let Some(tick) = world.get_resource::<TickTime>().map(|time| time.tick) else {
        return;
    };
    let (Some(slot), Some(mut slots)) = (slot, world.get_resource_mut::<Slots>()) else {
        return;
    };
    slots.entities[slot.index()] = None;
    slots.by_global.remove(&replicated.global);
    slots.table.give_back(slot, tick);
    slots.events.push(SlotEvent::GivenBack(slot));
}

fn note_identity(mut world: DeferredWorld, context: HookContext) {
    let slot = world.get::<Replicated>(context.entity).and_then(Replicated::slot);
    let (Some(slot), Some(mut slots)) = (slot, world.get_resource_mut::<Slots>()) else {
        return;
    };
    slots.events.push(SlotEvent::Identified(slot, context.entity));
}
