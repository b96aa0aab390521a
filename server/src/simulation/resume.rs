//! Saves the engine's own state of an ECS world and restores it in another one, which then continues at the
//! same point: ticks, slots and global ids, players, rows and the ticks of their last changes.
//!
//! Owns the order in which a world is restored. Guarantees that restored state does not count as changed.
//! Gameplay's components and resources are restored by checkpoints, which build on this module.

use std::time::Duration;

use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;
use bevy_ecs::world::FilteredEntityRef;
use bevy_time::{Fixed, Time};
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot, Team};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d, ground_pose};
use throng_shared::protocol::registry::{ComponentEntry, Protocol};
use throng_shared::tick::Tick;

use super::away::{Away, Linger, PlayerAway, PlayerReturned};
use super::components::ComponentWatches;
use super::interest::{build_areas, update_areas_of_interest, update_eyes};
use super::players::{Player, PlayerJoined, PlayerLeft, Players};
use super::poses_3d::update_eye_heights;
use super::publish::{Frames, publish_frame};
use super::random::Seed;
use super::references::ReadReferences;
use super::replicated::{Importance, Owner, Replicated, Room, SlotEvent, Slots, identity};
use super::rows::Rows;
use super::space::{Areas, Space};
use super::tell::{MessageReceived, Outbox};
use crate::boundary::frame::{ChunkKind, FrameWriter, SlotTable, SlotTableImage};
use crate::boundary::link::{LeaveReason, SessionKey};
use crate::runner::TickTime;

/// The state of a simulation without its entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SimulationImage {
    /// The number of the simulation in the process.
    pub(crate) id: SimulationId,
    /// The number of the newest tick.
    pub(crate) tick: Tick,
    /// The time that has passed for gameplay.
    pub(crate) elapsed: Duration,
    /// The seed of all random numbers.
    pub(crate) seed: u64,
    players_given: u32,
    globals_given: u64,
    refused: u64,
    kinds: Vec<(u64, u16)>,
    slots: SlotTableImage,
}

impl SimulationImage {
    /// Reads the state from a world between two ticks.
    pub(crate) fn of(world: &World) -> Self {
        let slots = world.resource::<Slots>();
        let elapsed = world.get_resource::<Time<Fixed>>();
        Self {
            id: slots.simulation,
            tick: world.resource::<TickTime>().tick,
            elapsed: elapsed.map_or(Duration::ZERO, Time::elapsed),
            seed: world.resource::<Seed>().0,
            players_given: world.resource::<Players>().ids_given(),
            globals_given: slots.globals_given,
            refused: slots.refused,
            kinds: slots
                .kinds
                .by_set
                .iter()
                .map(|(&set, kind)| (set, kind.0))
                .collect(),
            slots: slots.table.image(),
        }
    }

    /// Returns the table of slots with exactly `taken` taken; `None` if the image does not allow it.
    pub(crate) fn table(&self, taken: impl IntoIterator<Item = Slot>) -> Option<SlotTable> {
        SlotTable::from_image(&self.slots, taken)
    }

    /// Resets the engine's resources of a world whose entities are despawned already, and sets tick and time.
    pub(crate) fn begin(&self, world: &mut World, table: SlotTable) {
        world.insert_resource(Seed(self.seed));
        let mut rows = FrameWriter::new(self.id);
        if let Some(quanta) = world.resource::<Protocol>().quanta_3d() {
            rows.enable_3d(&quanta);
        }
        world.insert_resource(Rows(rows));
        world.insert_resource(Space::default());
        world.insert_resource(Areas::default());
        world.insert_resource(Frames::default());
        world.insert_resource(Outbox::default());
        let players = world.resource::<Players>().restart(self.players_given);
        world.insert_resource(players);
        world.resource_mut::<Messages<PlayerJoined>>().clear();
        world.resource_mut::<Messages<PlayerLeft>>().clear();
        world.resource_mut::<Messages<PlayerAway>>().clear();
        world.resource_mut::<Messages<PlayerReturned>>().clear();
        world.resource_mut::<Messages<MessageReceived>>().clear();
        world.resource_mut::<TickTime>().tick = self.tick;
        if let Some(mut time) = world.get_resource_mut::<Time<Fixed>>() {
            let mut fresh = Time::<Fixed>::from_duration(time.timestep());
            fresh.advance_to(self.elapsed);
            *time = fresh;
        }
        world.resource_mut::<ComponentWatches>().unresolved.clear();
        let mut slots = world.resource_mut::<Slots>();
        let (kinds, disabling) = (std::mem::take(&mut slots.kinds), slots.disabling.restart());
        *slots = Slots::new(self.id);
        (slots.kinds, slots.disabling) = (kinds, disabling);
        slots.kinds.by_set = self
            .kinds
            .iter()
            .map(|&(set, kind)| (set, ChunkKind(kind)))
            .collect();
        slots.kinds.forget_archetypes();
        slots.globals_given = self.globals_given;
        slots.refused = self.refused;
        slots.table = table;
    }
}

/// Makes `entity`, which has its components, the replicated entity `global` in its former slot.
pub(crate) fn restore_replicated(world: &mut World, entity: Entity, slot: Slot, global: GlobalId) {
    world.resource_mut::<Slots>().restoring = Some((Some(slot), global));
    world.entity_mut(entity).insert(Replicated::default());
}

/// Makes `entity`, which has its components, the replicated entity `global` in a new slot; in none if it is disabled.
pub(crate) fn arrive(world: &mut World, entity: Entity, global: GlobalId) {
    world.resource_mut::<Slots>().restoring = Some((None, global));
    world.entity_mut(entity).insert(Replicated::default());
}

/// Makes `entity`, which has its components, the player `player`, which is [`Away`] if it has no session. Returns
/// `false` if the session or the client has another player.
pub(crate) fn restore_player(world: &mut World, entity: Entity, player: Player) -> bool {
    let mut players = world.resource_mut::<Players>();
    if players.get(player.session).is_some() || players.of_client(player.client_id).is_some() {
        return false;
    }
    players.insert(&player, entity);
    let &TickTime { tick, length, .. } = world.resource::<TickTime>();
    let ticks = world.resource::<Linger>().ticks(length);
    let mut restored = world.entity_mut(entity);
    restored.insert(player);
    if player.session != SessionKey::NONE {
        restored.remove::<Away>();
    } else if !restored.contains::<Away>() {
        restored.insert(Away {
            since: tick,
            until: tick + ticks,
            reason: LeaveReason::TimedOut,
        });
    }
    true
}

/// Fills rows, cells and views, and publishes the frame of the newest tick again. `rows` are the replicated
/// entities in slot order, each with the tick of its last change; `None` for one that had no row yet.
pub(crate) fn finish(world: &mut World, rows: &[(Slot, Entity, Option<Tick>)]) {
    let protocol = world.resource::<Protocol>().clone();
    for &(slot, entity, changed) in rows {
        if let Some(changed) = changed {
            fill_row(world, &protocol, slot, entity, changed);
        }
    }
    let mut slots = world.resource_mut::<Slots>();
    slots.events.clear();
    slots.fresh.clear();
    let new = rows.iter().filter(|(.., changed)| changed.is_none());
    slots
        .events
        .extend(new.map(|&(slot, entity, _)| SlotEvent::Taken(slot, entity)));
    let since = world.increment_change_tick();
    world.resource_mut::<ComponentWatches>().since = since;
    let tick = world.resource::<TickTime>().tick;
    world.resource_mut::<Space>().0.rebalance(tick);
    let ran = [
        world.run_system_cached(update_eyes),
        world.run_system_cached(update_eye_heights),
        world.run_system_cached(update_areas_of_interest),
        world.run_system_cached(build_areas),
        world.run_system_cached(publish_frame),
    ];
    debug_assert!(ran.iter().all(Result::is_ok), "{ran:?}");
}

fn fill_row(world: &mut World, protocol: &Protocol, slot: Slot, entity: Entity, changed: Tick) {
    let Ok(entity) = world.get_entity(entity) else {
        return;
    };
    let Some(replicated) = entity.get::<Replicated>() else {
        return;
    };
    let pose = match (
        entity.get::<Position>(),
        entity.get::<Velocity>(),
        entity.get::<Heading>(),
    ) {
        (Some(position), Some(velocity), Some(heading)) => Pose::quantize(position, velocity, heading),
        _ => Pose::default(),
    };
    let pose_3d = protocol.quanta_3d().and_then(|quanta| {
        let (position, velocity) = (entity.get::<Position3d>()?, entity.get::<Velocity3d>()?);
        let rotation = entity.get::<Rotation3d>()?;
        let pose = quanta.quantize(position, velocity, rotation);
        Some((ground_pose(position, velocity), pose))
    });
    let (pose, pose_3d) = pose_3d.map_or((pose, None), |(ground, pose)| (ground, Some(pose)));
    let identity = identity(
        replicated,
        entity.get::<Owner>(),
        entity.get::<Team>(),
        entity.get::<Importance>(),
        entity.get::<Room>(),
    );
    let (holder, filtered) = (entity.id(), FilteredEntityRef::from(entity));
    let read = |entry: &ComponentEntry| {
        let mut references = ReadReferences::default();
        let mut travel = |entity| references.map(world, entity, |_| false);
        let value = entry.read(&filtered, &mut travel)?;
        Some((entry.id, value, references))
    };
    let mut components: Vec<_> = protocol.components().iter().filter_map(read).collect();
    world.resource_scope(|world, mut watches: Mut<ComponentWatches>| {
        for (id, _, references) in &mut components {
            let index = usize::from(id.0);
            watches.unresolved.note(world, holder, index, references);
        }
    });
    let mut rows = world.resource_mut::<Rows>();
    rows.0.insert(slot, identity, pose, changed);
    if let Some(pose) = pose_3d {
        rows.0.set_pose_3d(slot, pose, changed);
    }
    for (id, value, _) in components {
        rows.0.set_component(slot, id, Some(value), changed);
    }
    world.resource_mut::<Space>().0.insert(slot, pose.x, pose.y);
}
