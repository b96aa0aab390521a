//! Applies the changes of a session's mirror to a Bevy `World`.

use std::collections::HashMap;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use throng_shared::limits::COMPONENT_BYTES_MAX;
use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::{Protocol, ValueFault, referenced};
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::tick::Tick;

use super::absent::AbsentEntities;
use super::held::Awaited;
use super::references::ReferenceTable;
use crate::mirror::{MirrorEntity, MirrorObserver};

/// Marks an entity that mirrors one of the server's.
///
/// In a game in three dimensions it has a `Position3d`, a `Velocity3d` and a `Rotation3d`; its `Position` and `Velocity`
/// are then those of the point on the ground plane below it.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
#[require(Position, Velocity, Heading)]
pub struct Mirrored {
    /// The entity's short id in the session.
    pub id: ShortId,
    /// Tick of the state in the components of its pose.
    pub tick: Tick,
}

/// Marks the entity that the player controls.
#[derive(Component, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own;

/// Maps the session's entities to those of the world.
#[derive(Resource, Debug, Default)]
pub struct WorldMirror {
    entities: Vec<Option<(Entity, GlobalId)>>,
    by_global: HashMap<GlobalId, Entity>,
    pub(super) references: ReferenceTable,
    pub(super) absent: AbsentEntities,
    own: Option<Entity>,
    undecodable: u64,
    taps: Vec<Tap>,
}

/// Called with every state of every entity as it arrives, before a later one in the same frame replaces it. The
/// arguments are the entity, the tick, and whether its [`Velocity`] was zero in the previous state.
pub(super) type Tap = fn(&mut EntityWorldMut, Tick, bool);

impl WorldMirror {
    /// Returns the entity with this short id, while it is in view.
    pub fn entity(&self, id: ShortId) -> Option<Entity> {
        self.entities
            .get(id.index())
            .copied()
            .flatten()
            .map(|(entity, _)| entity)
    }

    /// Returns the player's own entity, while it is in view.
    pub fn own(&self) -> Option<Entity> {
        self.own
    }

    /// Returns the entity with this global id, while it is in view.
    pub fn find(&self, global: GlobalId) -> Option<Entity> {
        self.by_global.get(&global).copied()
    }

    /// Returns the number of entities in view.
    pub fn len(&self) -> usize {
        self.by_global.len()
    }

    /// Returns whether no entity is in view.
    pub fn is_empty(&self) -> bool {
        self.by_global.is_empty()
    }

    /// Returns how many components and messages were skipped because their bytes are not a value of the
    /// registered type.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Adds a tap; one that is there already is not added again.
    pub(crate) fn tap(&mut self, tap: Tap) {
        if !self.taps.iter().any(|&known| std::ptr::fn_addr_eq(known, tap)) {
            self.taps.push(tap);
        }
    }

    pub(super) fn count_undecodable(&mut self) {
        self.undecodable += 1;
    }

    /// Returns an observer that writes into `world`.
    pub(crate) fn observer<'a>(
        &'a mut self,
        world: &'a mut World,
        protocol: &'a Protocol,
    ) -> impl MirrorObserver + 'a {
        WorldObserver {
            mirror: self,
            world,
            protocol,
        }
    }

    /// Despawns all mirrored entities, as when the session ends.
    pub fn clear(&mut self, world: &mut World) {
        self.own = None;
        self.by_global.clear();
        self.references.clear();
        self.absent.clear();
        for (entity, _) in self.entities.drain(..).flatten() {
            // Despawning a parent also despawns its children, so an entity may be gone already.
            if let Ok(entity) = world.get_entity_mut(entity) {
                entity.despawn();
            }
        }
    }
}

impl Awaited for WorldMirror {
    fn is_awaited(&self, global: GlobalId) -> bool {
        !self.by_global.contains_key(&global) && !self.absent.contains(global)
    }

    fn waited_in_vain(&mut self, global: GlobalId) {
        self.absent.waited_in_vain(global);
    }
}

struct WorldObserver<'a> {
    mirror: &'a mut WorldMirror,
    world: &'a mut World,
    protocol: &'a Protocol,
}

impl WorldObserver<'_> {
    /// Writes a component, and records the entities it refers to.
    fn write(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        let Some(entity) = self.mirror.entity(id) else {
            return;
        };
        let Ok(mut target) = self.world.get_entity_mut(entity) else {
            return;
        };
        let mut targets = Vec::new();
        let by_global = &self.mirror.by_global;
        let mut find = |from_network| {
            let global = referenced(from_network);
            targets.extend(global);
            let found = global.and_then(|global| by_global.get(&global).copied());
            found.unwrap_or(Entity::PLACEHOLDER)
        };
        let Some(entry) = self.protocol.component(component) else {
            self.mirror.undecodable += 1;
            return;
        };
        let inserted = entry.insert(&mut target, bytes, &mut find);
        if let Err(error) = inserted {
            // No older value stays in the place of one that cannot be decoded.
            entry.remove(&mut target);
            self.mirror.references.remove(id, component);
            self.mirror.undecodable += 1;
            let fault = ValueFault::decode(bytes.len(), COMPONENT_BYTES_MAX, &error);
            if entry.is_new_fault(&fault) {
                let (component, entity) = (entry.name, target.get::<GlobalId>().copied());
                let entity = entity.unwrap_or_default();
                tracing::error!(component, %entity, "removed a component: {fault}");
            }
        } else {
            if let Some(tick) = target.get::<Mirrored>().map(|mirrored| mirrored.tick) {
                self.mirror
                    .taps
                    .iter()
                    .for_each(|tap| tap(&mut target, tick, false));
            }
            self.mirror.references.insert(id, component, bytes, targets);
        }
    }

    /// Writes the components that refer to an entity again, after that entity entered or left.
    fn rewrite_references(&mut self, global: GlobalId) {
        for (id, component, bytes) in self.mirror.references.of_target(global) {
            self.write(id, component, &bytes);
        }
    }

    /// Removes the entity that a short id was assigned to.
    fn remove(&mut self, id: ShortId, entity: Entity, global: GlobalId) {
        if self.mirror.own == Some(entity) {
            self.mirror.own = None;
        }
        self.mirror.references.remove_entity(id);
        // The same entity may have another short id by now.
        if self.mirror.by_global.get(&global) == Some(&entity) {
            self.mirror.by_global.remove(&global);
            self.mirror.absent.left(global);
            self.rewrite_references(global);
        }
        // Gameplay may have despawned it already, for effects that must not wait for the server.
        if let Ok(target) = self.world.get_entity_mut(entity) {
            target.despawn();
        }
    }

    fn unpack(&self, seen: &MirrorEntity) -> Unpacked {
        let Some((pose, quanta)) = seen.pose_3d.zip(self.protocol.quanta_3d()) else {
            return (
                (seen.pose.position(), seen.pose.velocity(), seen.pose.heading()),
                None,
            );
        };
        let (position, velocity, rotation) = quanta.components(&pose);
        let below = (position.ground(), velocity.ground(), Heading::default());
        (below, Some((position, velocity, rotation)))
    }

    fn update_own(&mut self, seen: &MirrorEntity, entity: Entity) {
        if seen.is_own == (self.mirror.own == Some(entity)) {
            return;
        }
        if let Some(former) = self.mirror.own.take()
            && let Ok(mut former) = self.world.get_entity_mut(former)
        {
            former.remove::<Own>();
        }
        if seen.is_own {
            self.mirror.own = Some(entity);
            self.world.entity_mut(entity).insert(Own);
        }
    }
}

impl MirrorObserver for WorldObserver<'_> {
    fn entered(&mut self, seen: &MirrorEntity) {
        let mirrored = Mirrored {
            id: seen.id,
            tick: seen.tick,
        };
        let (pose, pose_3d) = self.unpack(seen);
        let mut spawned = self.world.spawn((mirrored, seen.global, pose));
        pose_3d.map(|pose| spawned.insert(pose));
        self.mirror
            .taps
            .iter()
            .for_each(|tap| tap(&mut spawned, seen.tick, false));
        let entity = spawned.id();
        let index = seen.id.index();
        if self.mirror.entities.len() <= index {
            self.mirror.entities.resize(index + 1, None);
        }
        if let Some((former, global)) = self.mirror.entities[index].replace((entity, seen.global)) {
            // The mirror calls `left` before it reassigns a short id. Only a second `entered` gets here.
            self.remove(seen.id, former, global);
        }
        self.mirror.by_global.insert(seen.global, entity);
        self.mirror.absent.entered(seen.global);
        self.rewrite_references(seen.global);
        self.update_own(seen, entity);
    }

    fn updated(&mut self, seen: &MirrorEntity) {
        let Some(entity) = self.mirror.entity(seen.id) else {
            return;
        };
        let ((position, velocity, heading), pose_3d) = self.unpack(seen);
        let Ok(mut target) = self.world.get_entity_mut(entity) else {
            return;
        };
        let rested = rests(&target);
        if let Some((position, velocity, rotation)) = pose_3d {
            set_if_neq(&mut target, position);
            set_if_neq(&mut target, velocity);
            set_if_neq(&mut target, rotation);
        }
        // Each component is set separately, so that change detection reports only those that differ.
        set_if_neq(&mut target, position);
        set_if_neq(&mut target, velocity);
        set_if_neq(&mut target, heading);
        if let Some(mut mirrored) = target.get_mut::<Mirrored>() {
            mirrored.tick = seen.tick;
        }
        self.mirror
            .taps
            .iter()
            .for_each(|tap| tap(&mut target, seen.tick, rested));
        self.update_own(seen, entity);
    }

    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        self.write(id, component, bytes);
    }

    fn component_removed(&mut self, id: ShortId, component: ComponentId) {
        let Some(entity) = self.mirror.entity(id) else {
            return;
        };
        self.mirror.references.remove(id, component);
        if let Ok(mut target) = self.world.get_entity_mut(entity)
            && let Some(entry) = self.protocol.component(component)
        {
            entry.remove(&mut target);
        }
    }

    fn left(&mut self, id: ShortId, _: GlobalId) {
        if let Some((entity, global)) = self.mirror.entities.get_mut(id.index()).and_then(Option::take) {
            self.remove(id, entity, global);
        }
    }
}

/// The components of a pose on the plane, and those of one in space.
type Unpacked = (
    (Position, Velocity, Heading),
    Option<(Position3d, Velocity3d, Rotation3d)>,
);

fn set_if_neq<T: Component<Mutability = Mutable> + PartialEq>(target: &mut EntityWorldMut<'_>, value: T) {
    if let Some(mut component) = target.get_mut::<T>() {
        component.set_if_neq(value);
    }
}

/// Returns whether the entity has no velocity.
pub(crate) fn rests(entity: &EntityWorldMut<'_>) -> bool {
    match entity.get::<Velocity3d>() {
        Some(velocity) => *velocity == Velocity3d::default(),
        None => entity.get::<Velocity>() == Some(&Velocity::default()),
    }
}
