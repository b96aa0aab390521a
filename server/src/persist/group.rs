//! Groups of entities that migrate from one simulation to another, with the same values that a checkpoint
//! would hold of them.

use bevy_ecs::entity::{EntityHashMap, EntityMapper};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId};

use super::entities::ToEntities;
use super::format::{PlayerImage, ValueImage};
use super::load::LoadError;
use super::registry::Persisted;
use super::save::{SaveError, value_of};
use crate::boundary::link::SessionKey;
use crate::simulation::resume::{arrive, restore_player};
use crate::simulation::{Player, Replicated};

/// Entities with all their persisted components. They may refer to each other, and to players and replicated
/// entities that are not in the group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    members: Vec<Member>,
    /// The entities outside the group to which they refer; numbered after the members.
    outside: Vec<SharedName>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    role: MemberRole,
    values: Vec<ValueImage>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum MemberRole {
    Player(PlayerImage),
    Replicated(GlobalId),
    Other,
}

/// An entity's name, which is the same in every simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SharedName {
    /// The id of a player.
    Player(PlayerId),
    /// The global id of a replicated entity.
    Global(GlobalId),
}

impl Group {
    /// Packs `entities`, which are not changed.
    pub(crate) fn pack(world: &World, persisted: &Persisted, entities: &[Entity]) -> Result<Self, SaveError> {
        let mut references = ToNumbers {
            world,
            members: entities.iter().copied().zip(0..).collect(),
            outside: Vec::new(),
        };
        let mut members = Vec::with_capacity(entities.len());
        for &entity in entities {
            let entity = world.entity(entity);
            let mut values = Vec::new();
            for kind in 0..persisted.types().len() {
                values.extend(value_of(entity, persisted, kind as u16, &mut references)?);
            }
            let role = match (entity.get::<Player>(), entity.get::<Replicated>()) {
                (Some(player), _) => MemberRole::Player(PlayerImage::of(player)),
                (None, Some(replicated)) => MemberRole::Replicated(replicated.global()),
                (None, None) => MemberRole::Other,
            };
            members.push(Member { role, values });
        }
        let outside = references.outside;
        Ok(Self { members, outside })
    }

    /// Spawns the entities without components, for [`Group::fill`]. Returns them with their names.
    pub(crate) fn spawn(&self, world: &mut World) -> Vec<(Entity, Option<SharedName>)> {
        let spawn = |member: &Member| (world.spawn_empty().id(), member.name());
        self.members.iter().map(spawn).collect()
    }

    /// Gives the spawned entities their components. `find` returns the entity with a name in this simulation.
    pub(crate) fn fill(
        &self,
        world: &mut World,
        persisted: &Persisted,
        spawned: &[(Entity, Option<SharedName>)],
        find: impl Fn(&World, SharedName) -> Option<Entity>,
    ) -> Result<(), LoadError> {
        let mut decoded = Vec::with_capacity(self.members.len());
        for member in &self.members {
            decoded.push(persisted.decode_all(&member.values)?);
        }
        let mut entities: Vec<_> = spawned.iter().map(|&(entity, _)| entity).collect();
        let outside = self.outside.iter().map(|&name| find(world, name));
        entities.extend(outside.map(|entity| entity.unwrap_or(Entity::PLACEHOLDER)));
        let mut references = ToEntities(entities);
        for ((member, values), &(entity, _)) in self.members.iter().zip(decoded).zip(spawned) {
            for value in values {
                value.insert(&mut world.entity_mut(entity), &mut references);
            }
            match &member.role {
                MemberRole::Player(image) => {
                    if let Some(player) = image.player() {
                        restore_player(world, entity, player);
                    }
                }
                MemberRole::Replicated(global) => arrive(world, entity, *global),
                MemberRole::Other => {}
            }
        }
        world.flush();
        Ok(())
    }

    /// Returns the sessions of the players in the group. A player that is away has none.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = SessionKey> {
        let sessions = self.players().filter_map(PlayerImage::player);
        let sessions = sessions.map(|player| player.session);
        sessions.filter(|&session| session != SessionKey::NONE)
    }

    /// Returns the clients of the players in the group.
    pub(crate) fn clients(&self) -> impl Iterator<Item = u64> {
        self.players().map(|image| image.client_id)
    }

    fn players(&self) -> impl Iterator<Item = &PlayerImage> {
        self.members.iter().filter_map(|member| match &member.role {
            MemberRole::Player(image) => Some(image),
            _ => None,
        })
    }

    /// Returns the global ids of the replicated entities in the group.
    pub(crate) fn globals(&self) -> impl Iterator<Item = GlobalId> {
        self.members.iter().filter_map(|member| match member.role {
            MemberRole::Replicated(global) => Some(global),
            _ => None,
        })
    }
}

impl Member {
    fn name(&self) -> Option<SharedName> {
        match &self.role {
            MemberRole::Player(image) => Some(SharedName::Player(PlayerId(image.id))),
            MemberRole::Replicated(global) => Some(SharedName::Global(*global)),
            MemberRole::Other => None,
        }
    }
}

/// Maps references to numbers: members first, then the entities outside.
struct ToNumbers<'w> {
    world: &'w World,
    members: EntityHashMap<u32>,
    outside: Vec<SharedName>,
}

impl ToNumbers<'_> {
    fn name_of(&self, entity: Entity) -> Option<SharedName> {
        let entity = self.world.get_entity(entity).ok()?;
        if let Some(player) = entity.get::<Player>() {
            return Some(SharedName::Player(player.id));
        }
        let replicated = entity.get::<Replicated>().map(Replicated::global);
        replicated
            .or_else(|| entity.get::<GlobalId>().copied())
            .map(SharedName::Global)
    }
}

impl EntityMapper for ToNumbers<'_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let number = self.members.get(&source).copied().or_else(|| {
            let name = self.name_of(source)?;
            let known = self.outside.iter().position(|&other| other == name);
            let index = known.unwrap_or_else(|| {
                self.outside.push(name);
                self.outside.len() - 1
            });
            Some((self.members.len() + index) as u32)
        });
        number
            .and_then(Entity::from_raw_u32)
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}
