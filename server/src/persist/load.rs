//! Loads a checkpoint into a world.
//!
//! Everything is decoded and checked before the world is changed. So the world is either replaced or as it
//! was before.

use std::collections::BTreeSet;
use std::time::Duration;

use bevy_app::App;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bevy_time::TimeUpdateStrategy;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::codec::CodecError;
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot};
use throng_shared::protocol::registry::DecodedValue;
use throng_shared::tick::Tick;

use super::entities::{ToEntities, held};
use super::format::{EntityRole, FormatError, PlayerImage, ValueImage, WorldImage, open};
use super::registry::Persisted;
use crate::boundary::claims::PlayerName;
use crate::boundary::frame::SlotTable;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey};
use crate::simulation::resume::{SimulationImage, arrive, finish, restore_player, restore_replicated};
use crate::simulation::{Player, Replicated, Slots, leave};

/// The number of sessions of one worker that a checkpoint may name: more than any worker has, and few enough
/// for a table.
const SESSIONS_MAX: u32 = 1 << 24;

/// Why a checkpoint is not loaded. The world is unchanged then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not a checkpoint that can be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The checkpoint holds a type that this app does not persist.
    #[error("the checkpoint holds {0}, which this app does not persist")]
    UnknownType(String),
    /// A value cannot be decoded as its type, for example because a field was added since.
    #[error("the checkpoint's {name} of {whose} cannot be read: {error}")]
    Value {
        /// The path of the value's type.
        name: &'static str,
        /// The entity that has the value, or that it is a resource.
        whose: String,
        /// The error of the decoder.
        error: CodecError,
    },
    /// The checkpoint is of another simulation.
    #[error("the checkpoint is of simulation {}, this is simulation {}", found.0, expected.0)]
    OtherSimulation {
        /// The simulation of the world.
        expected: SimulationId,
        /// The simulation of the checkpoint.
        found: SimulationId,
    },
    /// Parts of the checkpoint contradict each other.
    #[error("the checkpoint contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// A checkpoint that was decoded and checked, and can be restored.
pub(super) struct Checkpoint {
    simulation: SimulationImage,
    table: SlotTable,
    resources: Vec<TypedValue>,
    entities: Vec<(RestoredIdentity, Vec<TypedValue>)>,
}

/// A value with the index of its type among the persisted ones.
type TypedValue = (usize, Box<dyn DecodedValue>);

#[derive(Clone, Copy)]
enum RestoredIdentity {
    Player(Player),
    Replicated {
        global: GlobalId,
        slot: Slot,
        changed: Option<Tick>,
    },
    Hidden(GlobalId),
    Other,
}

/// Replaces the world of `app` by the one that was saved, and returns its newest tick. Plugins must be
/// finished. Entities and resources of `Startup` systems are replaced too, because `Startup` runs first if it
/// has not run yet.
///
/// Players have the sessions that they had when the world was saved, and those that were away still are. If the
/// sessions have ended, for example because the server was restarted, call [`end_sessions`] next.
///
/// # Errors
/// [`LoadError`]; the world is unchanged then.
pub fn load(app: &mut App, bytes: &[u8]) -> Result<Tick, LoadError> {
    let persisted = Persisted::of(app.world_mut());
    let checkpoint = Checkpoint::read(bytes, &persisted)?;
    let (found, expected) = (
        checkpoint.simulation.id,
        app.world().resource::<Slots>().simulation(),
    );
    if found != expected {
        return Err(LoadError::OtherSimulation { expected, found });
    }
    run_startup(app);
    let tick = checkpoint.simulation.tick;
    checkpoint.restore(app.world_mut(), &persisted);
    Ok(tick)
}

/// Ends every player's session with [`LeaveReason::Shutdown`], for example after a restart that ended it. Players go
/// [away](crate::simulation::Away); without [`Linger`](crate::simulation::Linger) they leave. The messages about it are
/// read in the next tick.
pub fn end_sessions(world: &mut World) {
    let mut players = world.query_filtered::<&Player, Allow<Disabled>>();
    let mut players: Vec<_> = players
        .iter(world)
        .map(|player| (player.id, player.session))
        .collect();
    players.sort_unstable_by_key(|&(id, _)| id);
    for (_, session) in players {
        leave(world, session, LeaveReason::Shutdown);
    }
}

/// Runs one update in which no time passes: `Startup` runs if it has not run yet, and ticks do not run.
fn run_startup(app: &mut App) {
    let strategy = app.world_mut().remove_resource::<TimeUpdateStrategy>();
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    app.update();
    app.world_mut().remove_resource::<TimeUpdateStrategy>();
    if let Some(strategy) = strategy {
        app.insert_resource(strategy);
    }
}

impl Checkpoint {
    /// Decodes and checks a checkpoint.
    pub(super) fn read(bytes: &[u8], persisted: &Persisted) -> Result<Self, LoadError> {
        let WorldImage {
            simulation,
            types,
            resources,
            entities,
        } = open(bytes)?;
        let indices = types
            .into_iter()
            .map(|name| persisted.index_of(&name).ok_or(LoadError::UnknownType(name)))
            .collect::<Result<Vec<_>, _>>()?;
        let decode = |value: &ValueImage, whose: &dyn Fn() -> String| {
            let index = *indices
                .get(usize::from(value.kind))
                .ok_or(LoadError::Contradiction("a value has no type"))?;
            let of = &persisted.types()[index];
            let decoded = of.decode(&value.bytes).map_err(|error| LoadError::Value {
                name: of.name(),
                whose: whose(),
                error,
            })?;
            Ok::<_, LoadError>((index, decoded))
        };
        let decode_all = |values: &[ValueImage], whose: &dyn Fn() -> String| {
            values
                .iter()
                .map(|value| decode(value, whose))
                .collect::<Result<Vec<_>, _>>()
        };
        let resources = decode_all(&resources, &|| "the world".to_owned())?;
        let mut seen = UniqueIds::default();
        let mut read = Vec::with_capacity(entities.len());
        for entity in &entities {
            let identity = seen.check(&entity.role)?;
            read.push((identity, decode_all(&entity.values, &|| identity.to_string())?));
        }
        let table = simulation
            .table(seen.slots.iter().copied())
            .ok_or(LoadError::Contradiction("a slot is both free and taken"))?;
        Ok(Self {
            simulation,
            table,
            resources,
            entities: read,
        })
    }

    /// Replaces the content of the world.
    fn restore(self, world: &mut World, persisted: &Persisted) {
        for entity in held(world, persisted) {
            // A child may have been despawned with its parent.
            if let Ok(entity) = world.get_entity_mut(entity) {
                entity.despawn();
            }
        }
        world.flush();
        self.simulation.begin(world, self.table);
        let mut spawned: Vec<_> = self.entities.iter().map(|_| world.spawn_empty().id()).collect();
        // In the order in which they are saved again, whatever indices were free.
        spawned.sort_unstable_by_key(|entity| entity.index_u32());
        let mut references = ToEntities(spawned.clone());
        for (index, value) in self.resources {
            let id = persisted.types()[index].register(world);
            let entity = match world.resource_entities().get(id) {
                Some(entity) => entity,
                None => world.spawn_empty().id(),
            };
            value.insert(&mut world.entity_mut(entity), &mut references);
        }
        let mut rows = Vec::new();
        for (&entity, (identity, values)) in spawned.iter().zip(self.entities) {
            for (_, value) in values {
                value.insert(&mut world.entity_mut(entity), &mut references);
            }
            match identity {
                RestoredIdentity::Player(player) => {
                    restore_player(world, entity, player);
                }
                RestoredIdentity::Replicated {
                    global,
                    slot,
                    changed,
                } => {
                    restore_replicated(world, entity, slot, global);
                    rows.push((slot, entity, changed));
                }
                RestoredIdentity::Hidden(global) => {
                    arrive(world, entity, global);
                    // It may be enabled now: if it was since the last tick, or if what disabled it is not persisted.
                    let slot = world.get::<Replicated>(entity).and_then(Replicated::slot);
                    rows.extend(slot.map(|slot| (slot, entity, None)));
                }
                RestoredIdentity::Other => {}
            }
        }
        world.flush();
        rows.sort_unstable_by_key(|&(slot, ..)| slot);
        finish(world, &rows);
    }
}

/// The ids that may occur only once in a checkpoint.
#[derive(Default)]
struct UniqueIds {
    players: BTreeSet<u32>,
    sessions: BTreeSet<(u8, u32)>,
    clients: BTreeSet<u64>,
    globals: BTreeSet<u64>,
    slots: BTreeSet<Slot>,
}

impl UniqueIds {
    fn check(&mut self, role: &EntityRole) -> Result<RestoredIdentity, LoadError> {
        let contradiction = |what| Err(LoadError::Contradiction(what));
        match *role {
            EntityRole::Player(ref image) => {
                let Some(player) = image.player() else {
                    return contradiction("a player has an invalid name or session");
                };
                if !player.id.is_some() || !self.players.insert(image.id) {
                    return contradiction("a player has no id, or the id of another");
                }
                if player.session != SessionKey::NONE && !self.sessions.insert((image.worker, image.index)) {
                    return contradiction("two players have one session");
                }
                if !self.clients.insert(image.client_id) {
                    return contradiction("one client has two players");
                }
                Ok(RestoredIdentity::Player(player))
            }
            EntityRole::Replicated {
                global,
                slot,
                changed,
            } => {
                if !self.globals.insert(global) {
                    return contradiction("two entities have one global id");
                }
                if !self.slots.insert(Slot(slot)) {
                    return contradiction("two entities have one slot");
                }
                Ok(RestoredIdentity::Replicated {
                    global: GlobalId(global),
                    slot: Slot(slot),
                    changed,
                })
            }
            EntityRole::Hidden { global } => {
                if !self.globals.insert(global) {
                    return contradiction("two entities have one global id");
                }
                Ok(RestoredIdentity::Hidden(GlobalId(global)))
            }
            EntityRole::Other => Ok(RestoredIdentity::Other),
        }
    }
}

impl Persisted {
    /// Decodes values that have the indices of their types in this list.
    pub(super) fn decode_all(&self, values: &[ValueImage]) -> Result<Vec<Box<dyn DecodedValue>>, LoadError> {
        let decode = |value: &ValueImage| {
            let of = self
                .types()
                .get(usize::from(value.kind))
                .ok_or(LoadError::Contradiction("a value has no type"))?;
            of.decode(&value.bytes).map_err(|error| LoadError::Value {
                name: of.name(),
                whose: "an arriving entity".to_owned(),
                error,
            })
        };
        values.iter().map(decode).collect()
    }
}

impl PlayerImage {
    pub(super) fn player(&self) -> Option<Player> {
        let session = SessionKey {
            worker: self.worker,
            session: SessionId {
                index: self.index,
                generation: self.generation,
            },
        };
        if session != SessionKey::NONE && self.index >= SESSIONS_MAX {
            return None;
        }
        Some(Player {
            id: PlayerId(self.id),
            session,
            session_number: self.number,
            client_id: self.client_id,
            name: PlayerName::stored(&self.name)?,
            kind: if self.speaks_renet {
                PeerKind::Renet
            } else {
                PeerKind::Throng
            },
        })
    }
}

impl std::fmt::Display for RestoredIdentity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Player(player) => write!(out, "player {}", player.id.0),
            Self::Replicated { global, .. } | Self::Hidden(global) => write!(out, "entity {global}"),
            Self::Other => out.write_str("an entity of the server"),
        }
    }
}
