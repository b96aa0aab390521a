//! References between entities, in the form in which they travel.
//!
//! Inside a component or a message a reference is a Bevy [`Entity`], which means nothing in another world.
//! In its place travels the entity's global id in the shape of an `Entity`, so that a game's types need no
//! second form: [`reference`] makes such a value, [`referenced`] reads it. The value names no entity
//! of any world, and is only ever mapped or serialized.

use bevy_ecs::entity::{Entity, EntityMapper};
use bevy_ecs::world::World;

use crate::protocol::ids::GlobalId;

/// A function that returns the replacement of a reference.
pub type MapReferences<'a> = dyn FnMut(Entity) -> Entity + 'a;

/// A function that returns the replacement of a reference that arrived in a world.
pub type MapInWorld<'a> = dyn Fn(&World, Entity) -> Entity + 'a;

/// Bits of a global id's counter that a reference keeps: 2^55 entities of one simulation.
const COUNT_BITS: u32 = 55;
/// Bits of an `Entity`'s index that a reference uses.
const LOW_BITS: u32 = 31;
/// Added to the index, to avoid the bit patterns that are no `Entity` and `Entity::PLACEHOLDER`.
const LOW_OFFSET: u64 = 2;

/// Returns the global id in the shape of an `Entity`; [`Entity::PLACEHOLDER`] for [`GlobalId`] 0, which no
/// entity has.
#[must_use]
pub fn reference(global: GlobalId) -> Entity {
    if global.0 == 0 {
        return Entity::PLACEHOLDER;
    }
    // A global id is 8 bits of simulation and a counter. The index takes the counter's low 31 bits, the
    // generation its high 24 bits with the simulation above them.
    let (simulation, count) = (global.0 >> 56, global.0 & ((1 << COUNT_BITS) - 1));
    let low = (count & ((1 << LOW_BITS) - 1)) + LOW_OFFSET;
    let high = simulation << (COUNT_BITS - LOW_BITS) | count >> LOW_BITS;
    Entity::try_from_bits(high << 32 | low).unwrap_or(Entity::PLACEHOLDER)
}

/// Returns the global id in a value that [`reference()`] made; `None` for [`Entity::PLACEHOLDER`] and for
/// values that it did not make.
#[must_use]
pub fn referenced(entity: Entity) -> Option<GlobalId> {
    let bits = entity.to_bits();
    let low = (bits & u64::from(u32::MAX)).checked_sub(LOW_OFFSET)?;
    let high = bits >> 32;
    let high_count = high & ((1 << (COUNT_BITS - LOW_BITS)) - 1);
    let simulation = high >> (COUNT_BITS - LOW_BITS);
    if low >> LOW_BITS != 0 {
        return None;
    }
    let global = simulation << 56 | high_count << LOW_BITS | low;
    (global != 0).then_some(GlobalId(global))
}

/// Lets a function be an [`EntityMapper`].
pub(super) struct References<'a, 'b>(pub(super) &'a mut MapReferences<'b>);

impl EntityMapper for References<'_, '_> {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        (self.0)(source)
    }

    fn set_mapped(&mut self, _: Entity, _: Entity) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn global_id_0_is_the_placeholder() {
        assert_eq!(reference(GlobalId(0)), Entity::PLACEHOLDER);
        assert_eq!(referenced(Entity::PLACEHOLDER), None);
    }

    proptest! {
        #[test]
        fn references_round_trip_every_global_id(simulation: u8, count in 1u64..1 << COUNT_BITS, small in 1u64..1_000) {
            for count in [count, small, (1 << COUNT_BITS) - 1, (1 << LOW_BITS) - 1, 1 << LOW_BITS] {
                let global = GlobalId(u64::from(simulation) << 56 | count);
                prop_assert_eq!(referenced(reference(global)), Some(global));
            }
        }

        #[test]
        fn any_bits_are_a_reference_or_refused(bits: u64) {
            if let Some(global) = Entity::try_from_bits(bits).and_then(referenced) {
                prop_assert_eq!(reference(global).to_bits(), bits);
            }
        }
    }
}
