//! Saves a world as a checkpoint.

use bevy_ecs::entity::EntityMapper;
use bevy_ecs::prelude::*;
use throng_shared::protocol::codec::CodecError;
use throng_shared::protocol::ids::GlobalId;

use super::entities::{ToIndices, held};
use super::format::{EntityImage, EntityRole, PlayerImage, ValueImage, WorldImage, seal};
use super::registry::Persisted;
use crate::boundary::link::PeerKind;
use crate::simulation::resume::SimulationImage;
use crate::simulation::{Player, Replicated, Rows};

/// Why a world cannot be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// A value cannot be serialized.
    #[error("a value of {name} cannot be saved: {error}")]
    Value {
        /// The path of the value's type.
        name: &'static str,
        /// The error of the encoder.
        error: CodecError,
    },
    /// The checkpoint is larger than a checkpoint may be.
    #[error("the checkpoint cannot be written: {0}")]
    Whole(CodecError),
}

/// Returns a checkpoint of a simulation's world, which is between two ticks. The same world gives the same
/// bytes.
///
/// # Errors
/// [`SaveError`]; the world is never changed.
pub fn save(world: &mut World) -> Result<Vec<u8>, SaveError> {
    let persisted = Persisted::of(world);
    let held = held(world, &persisted);
    let mut indices = ToIndices::new(&held);
    let mut resources = Vec::new();
    for (kind, of) in (0..).zip(persisted.types()) {
        let id = of.register(world);
        if let Some(entity) = world.resource_entities().get(id) {
            resources.extend(value_of(world.entity(entity), &persisted, kind, &mut indices)?);
        }
    }
    let mut entities = Vec::with_capacity(held.len());
    for &entity in &held {
        let entity = world.entity(entity);
        let mut values = Vec::new();
        for kind in 0..persisted.types().len() {
            values.extend(value_of(entity, &persisted, kind as u16, &mut indices)?);
        }
        let role = role(world, entity);
        entities.push(EntityImage { role, values });
    }
    let image = WorldImage {
        simulation: SimulationImage::of(world),
        types: persisted
            .types()
            .iter()
            .map(|persisted| persisted.name().to_owned())
            .collect(),
        resources,
        entities,
    };
    seal(&image).map_err(SaveError::Whole)
}

/// Returns the value of the persisted type number `kind`, if the entity has it.
pub(super) fn value_of(
    entity: EntityRef<'_>,
    persisted: &Persisted,
    kind: u16,
    references: &mut dyn EntityMapper,
) -> Result<Option<ValueImage>, SaveError> {
    let of = &persisted.types()[usize::from(kind)];
    let mut bytes = Vec::new();
    let name = of.name();
    let has = of
        .encode(entity, references, &mut bytes)
        .map_err(|error| SaveError::Value { name, error })?;
    Ok(has.then_some(ValueImage { kind, bytes }))
}

fn role(world: &World, entity: EntityRef<'_>) -> EntityRole {
    if let Some(player) = entity.get::<Player>() {
        return EntityRole::Player(PlayerImage::of(player));
    }
    let replicated = entity.get::<Replicated>();
    let replicated = replicated.filter(|replicated| replicated.global() != GlobalId::default());
    match replicated.map(|replicated| (replicated.global(), replicated.slot())) {
        Some((global, None)) => EntityRole::Hidden { global: global.0 },
        Some((global, Some(slot))) => EntityRole::Replicated {
            global: global.0,
            slot: slot.0,
            changed: world.resource::<Rows>().0.row(slot).map(|row| row.changed),
        },
        None => EntityRole::Other,
    }
}

impl PlayerImage {
    pub(super) fn of(player: &Player) -> Self {
        Self {
            id: player.id.0,
            worker: player.session.worker,
            index: player.session.session.index,
            generation: player.session.session.generation,
            number: player.session_number,
            client_id: player.client_id,
            name: player.name.as_str().to_owned(),
            speaks_renet: player.kind == PeerKind::Renet,
        }
    }
}
