//! The shape of a type as serde reads it, and values made up from the shape.
//!
//! Owns the tracer: a serde `Deserializer` without input, which gives a type whatever it asks for and records what that
//! was. The [`text`](describe) that results names every field, variant and number format in order, so two types with
//! equal texts are encoded alike. Guarantees to return for every type, within fixed bounds and without a panic:
//!
//! - Of a type that contains itself, the inner occurrence counts by its name.
//! - A type that refuses the made-up values (it validates what it decodes) is tried with a few other values. If it
//!   refuses those too, what it asked for until then counts: its name and the names of its fields, or the formats up to
//!   the refused one.
//! - A type that reads whatever is there (`deserialize_any`) counts as `any`.
//! - At the bounds, what was traced so far counts.

mod tracer;
mod tree;

use serde::de::DeserializeOwned;

use tree::Tree;

/// Runs over a type that explore its enums and the values that it accepts. Of more, the rest is not traced.
const PASSES_MAX: usize = 1_024;

/// Elements of every sequence and map in an example.
const EXAMPLE_ELEMENTS: usize = 8;

/// Examples of a type with enums, whose variants they go through.
const EXAMPLES: usize = 16;

/// Returns the shape of a type, such as `Hull{now:u16,max:u16}`.
#[must_use]
pub(crate) fn describe<T: DeserializeOwned>() -> String {
    explore::<T>().to_string()
}

/// Returns values of a type whose sequences and maps have several different elements. Empty if the type has no
/// sequence and no map, or refuses the values.
#[must_use]
pub(crate) fn examples<T: DeserializeOwned>() -> Vec<T> {
    let mut tree = explore::<T>();
    let count = match (tree.has_collections(), tree.has_enums()) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => EXAMPLES,
    };
    (0..count)
        .filter_map(|offset| tracer::example::<T>(&mut tree, EXAMPLE_ELEMENTS, offset))
        .collect()
}

fn explore<T: DeserializeOwned>() -> Tree {
    let mut tree = Tree::default();
    for _ in 0..PASSES_MAX {
        let is_accepted = tracer::pass::<T>(&mut tree);
        if is_accepted && !tree.has_open_variant() || !tree.take_progress() {
            break;
        }
    }
    tree
}

#[cfg(test)]
mod tests;
