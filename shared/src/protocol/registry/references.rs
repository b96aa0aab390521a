//! References between entities, as they travel.
//!
//! Inside a component or a message a reference is a Bevy [`Entity`], which means nothing in another world.
//! What travels in its place is the entity's global id in the shape of an `Entity`, so that the types of a
//! game need no second form: [`reference`] makes one, [`referenced`] reads one. Such a value names no entity
//! of any world and is only ever mapped or serialized.

use bevy_ecs::entity::{Entity, EntityMapper};
use bevy_ecs::world::World;

use crate::protocol::ids::GlobalId;

/// Says what stands in the place of a reference.
pub type MapReferences<'a> = dyn FnMut(Entity) -> Entity + 'a;

/// Likewise for a reference that arrived in a world.
pub type MapInWorld<'a> = dyn Fn(&World, Entity) -> Entity + 'a;

/// Bits of the counting part of a global id that a reference keeps: 2^55 entities of one simulation.
const COUNT_BITS: u32 = 55;
/// Bits of an `Entity`'s index that are used.
const LOW_BITS: u32 = 31;
/// Keeps clear of the patterns that are no `Entity`, and of `Entity::PLACEHOLDER`.
const LOW_OFFSET: u64 = 2;

/// The global id in the shape of an `Entity`; [`Entity::PLACEHOLDER`] for [`GlobalId`] 0, which nobody has.
#[must_use]
pub fn reference(global: GlobalId) -> Entity {
    if global.0 == 0 {
        return Entity::PLACEHOLDER;
    }
    let (source, count) = (global.0 >> 56, global.0 & ((1 << COUNT_BITS) - 1));
    let low = (count & ((1 << LOW_BITS) - 1)) + LOW_OFFSET;
    let high = source << (COUNT_BITS - LOW_BITS) | count >> LOW_BITS;
    Entity::try_from_bits(high << 32 | low).unwrap_or(Entity::PLACEHOLDER)
}

/// The global id in a value that [`reference()`] made; `None` for [`Entity::PLACEHOLDER`] and for values that it
/// did not make.
#[must_use]
pub fn referenced(entity: Entity) -> Option<GlobalId> {
    let bits = entity.to_bits();
    let low = (bits & u64::from(u32::MAX)).checked_sub(LOW_OFFSET)?;
    let high = bits >> 32;
    let high_count = high & ((1 << (COUNT_BITS - LOW_BITS)) - 1);
    let source = high >> (COUNT_BITS - LOW_BITS);
    if low >> LOW_BITS != 0 {
        return None;
    }
    let global = source << 56 | high_count << LOW_BITS | low;
    (global != 0).then_some(GlobalId(global))
}

/// Makes a function a mapper of Bevy's.
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
    fn nobody_is_the_placeholder() {
        assert_eq!(reference(GlobalId(0)), Entity::PLACEHOLDER);
        assert_eq!(referenced(Entity::PLACEHOLDER), None);
    }

    proptest! {
        #[test]
        fn every_global_id_survives(source: u8, count in 1u64..1 << COUNT_BITS, small in 1u64..1_000) {
            for count in [count, small, (1 << COUNT_BITS) - 1, (1 << LOW_BITS) - 1, 1 << LOW_BITS] {
                let global = GlobalId(u64::from(source) << 56 | count);
                prop_assert_eq!(referenced(reference(global)), Some(global));
            }
        }

        #[test]
        fn any_bits_are_a_reference_or_none(bits: u64) {
            if let Some(global) = Entity::try_from_bits(bits).and_then(referenced) {
                prop_assert_eq!(reference(global).to_bits(), bits);
            }
        }
    }
}
