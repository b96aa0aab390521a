//! The deserializer that makes up what a type asks for, and records it in a [`Tree`].

use std::any::type_name;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use super::tree::{Kind, NodeId, Tree};

/// How deep types may be inside each other. A deeper one is not traced further.
const DEPTH_MAX: usize = 64;

/// What a type may ask for in one pass. One that asks for more is not traced further.
const VISITS_MAX: usize = 20_000;

/// What a type may ask for before its further sequences are empty.
const FULL_VISITS_MAX: usize = 2_000;

/// The numbers and texts that are given to a type which refuses the first of them.
const NUMBERS: [u8; 5] = [1, 0, 2, 3, 100];
const TEXTS: [&str; 5] = ["a", "", "0", "127.0.0.1", "1970-01-01T00:00:00Z"];

/// The type refuses what it was given, or asks for too much.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the type refuses the value")
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// One run over a type.
struct TracePass<'t> {
    tree: &'t mut Tree,
    /// The named types around the current one, by the types of their visitors, and their nodes.
    around: Vec<(&'static str, NodeId)>,
    depth: usize,
    visits: usize,
    last_leaf: Option<(NodeId, usize)>,
    /// Elements of a sequence.
    elements: usize,
    /// For an example: the number of the example.
    example: Option<usize>,
}

/// Gives a type one set of values and records what it asks for. Returns whether it accepted them.
pub(super) fn pass<T: DeserializeOwned>(tree: &mut Tree) -> bool {
    let (value, last_leaf) = run::<T>(tree, 1, None);
    if value.is_none()
        && let Some((leaf, count)) = last_leaf
    {
        // Most likely the last value is the one that was refused.
        tree.try_next(leaf, count);
    }
    value.is_some()
}

/// Returns a value whose sequences have this many different elements.
pub(super) fn example<T: DeserializeOwned>(tree: &mut Tree, elements: usize, offset: usize) -> Option<T> {
    run(tree, elements, Some(offset)).0
}

type LastLeaf = Option<(NodeId, usize)>;

fn run<T: DeserializeOwned>(
    tree: &mut Tree,
    elements: usize,
    example: Option<usize>,
) -> (Option<T>, LastLeaf) {
    let mut pass = TracePass {
        tree,
        around: Vec::new(),
        depth: 0,
        visits: 0,
        last_leaf: None,
        elements,
        example,
    };
    let tracer = Tracer {
        pass: &mut pass,
        node: NodeId::ROOT,
        is_inner: false,
        is_element: false,
    };
    // A panic is a defect of the type, which must not end the program before anything has been decoded.
    let value = catch_unwind(AssertUnwindSafe(|| T::deserialize(tracer)));
    (value.ok().and_then(Result::ok), pass.last_leaf)
}

/// Gives values to a type at one node.
struct Tracer<'a, 't> {
    pass: &'a mut TracePass<'t>,
    node: NodeId,
    /// Whether the type is inside itself, at the node of the outer occurrence. Every sequence is empty then, so that the
    /// value ends.
    is_inner: bool,
    /// Whether the value is an element or a key, which differ from each other in an example.
    is_element: bool,
}

impl<'t> Tracer<'_, 't> {
    fn record(&mut self, kind: Kind) -> Result<(), Refused> {
        self.pass.visits += 1;
        if self.pass.visits > VISITS_MAX {
            return Err(Refused);
        }
        self.pass.tree.record(self.node, kind);
        Ok(())
    }

    /// Records a leaf, and returns which of `count` values it is given.
    fn leaf(&mut self, name: &'static str, count: usize) -> Result<usize, Refused> {
        self.record(Kind::Leaf(name))?;
        self.pass.last_leaf = Some((self.node, count));
        Ok(self.pass.tree.candidate(self.node))
    }

    /// Returns a number for a leaf: in an element of an example each is another, where the type accepts any.
    fn number(&mut self, name: &'static str) -> Result<u8, Refused> {
        let candidate = self.leaf(name, NUMBERS.len())?;
        if self.pass.example.is_some() && self.is_element && candidate == 0 {
            return Ok(1 + (self.pass.visits % 120) as u8);
        }
        Ok(NUMBERS[candidate % NUMBERS.len()])
    }

    fn text(&mut self, name: &'static str) -> Result<String, Refused> {
        let candidate = self.leaf(name, TEXTS.len())?;
        if self.pass.example.is_some() && self.is_element && candidate == 0 {
            return Ok(format!("a{}", self.pass.visits));
        }
        Ok(TEXTS[candidate % TEXTS.len()].to_owned())
    }

    fn reborrow(&mut self) -> Tracer<'_, 't> {
        Tracer {
            pass: &mut *self.pass,
            node: self.node,
            is_inner: self.is_inner,
            is_element: self.is_element,
        }
    }

    /// Calls `visit` one level deeper.
    fn deeper<R>(mut self, visit: impl FnOnce(Tracer<'_, 't>) -> Result<R, Refused>) -> Result<R, Refused> {
        if self.pass.depth >= DEPTH_MAX {
            return Err(Refused);
        }
        self.pass.depth += 1;
        let result = visit(self.reborrow());
        self.pass.depth -= 1;
        result
    }

    /// Calls `visit` inside a named type whose visitor is `V`: at the node of the outer occurrence, if the type is around
    /// already.
    fn inside<V, R>(
        mut self,
        name: &'static str,
        kind: Kind,
        visit: impl FnOnce(Tracer<'_, 't>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        // The name of the visitor's type has the path and the parameters of the visited type.
        let visited = type_name::<V>();
        let outer = self.pass.around.iter().find(|(other, _)| *other == visited);
        if let Some(&(_, outer)) = outer {
            self.record(Kind::Recursion(name))?;
            let (node, is_inner) = (outer, true);
            return Tracer {
                node,
                is_inner,
                ..self
            }
            .deeper(visit);
        }
        self.record(kind)?;
        self.pass.around.push((visited, self.node));
        let result = self.reborrow().deeper(visit);
        self.pass.around.pop();
        result
    }

    /// Returns the tracer of a child.
    fn child(self, index: usize) -> Result<Self, Refused> {
        let node = self.pass.tree.child(self.node, index).ok_or(Refused)?;
        Ok(Self { node, ..self })
    }

    /// Gives `visitor` this many elements, each a child of its own.
    fn fields<'de, V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Refused> {
        self.deeper(|tracer| visitor.visit_seq(Elements::new(tracer, count, false)))
    }

    /// Returns the number of elements of the next sequence or map.
    fn count(&self) -> usize {
        let is_full = !self.is_inner && self.pass.visits < FULL_VISITS_MAX;
        if is_full { self.pass.elements } else { 0 }
    }
}

/// Elements of a sequence, or fields, or keys and values.
struct Elements<'a, 't> {
    tracer: Tracer<'a, 't>,
    given: usize,
    count: usize,
    /// Whether all elements are of one type.
    is_sequence: bool,
}

impl<'a, 't> Elements<'a, 't> {
    fn new(tracer: Tracer<'a, 't>, count: usize, is_sequence: bool) -> Self {
        Self {
            tracer,
            given: 0,
            count,
            is_sequence,
        }
    }

    /// Returns the tracer of a child of the whole.
    fn child(&mut self, index: usize, is_element: bool) -> Result<Tracer<'_, 't>, Refused> {
        let child = self.tracer.reborrow().child(index)?;
        Ok(Tracer { is_element, ..child })
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refused> {
        if self.given == self.count {
            return Ok(None);
        }
        let index = if self.is_sequence { 0 } else { self.given };
        self.given += 1;
        let is_element = self.is_sequence || self.tracer.is_element;
        seed.deserialize(self.child(index, is_element)?).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_, '_> {
    type Error = Refused;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refused> {
        if self.given == self.count {
            return Ok(None);
        }
        self.given += 1;
        seed.deserialize(self.child(0, true)?).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        seed.deserialize(self.child(1, false)?)
    }
}

/// A chosen variant and its content.
struct Variant<'a, 't> {
    tracer: Tracer<'a, 't>,
    name: &'static str,
    index: u32,
}

impl<'de, 'a, 't> EnumAccess<'de> for Variant<'a, 't> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refused> {
        let chosen = seed.deserialize(IntoDeserializer::<Refused>::into_deserializer(self.index))?;
        Ok((chosen, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Refused;

    fn unit_variant(mut self) -> Result<(), Refused> {
        self.tracer.record(Kind::Leaf("unit"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refused> {
        seed.deserialize(self.tracer)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.tracer.record(Kind::Tuple)?;
        self.tracer.fields(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.tracer.record(Kind::Struct(self.name, fields))?;
        self.tracer.fields(fields.len(), visitor)
    }
}

/// Defines the methods for numbers, which differ in the type alone.
macro_rules! numbers {
    ($($method:ident, $visit:ident, $type:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            let number = self.number(stringify!($type))?;
            visitor.$visit(<$type>::from(number))
        })*
    };
}

/// Defines the methods for requests that a format without names of its own cannot fulfil.
macro_rules! any {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, _: V) -> Result<V::Value, Refused> {
            self.record(Kind::Any)?;
            Err(Refused)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_, '_> {
    type Error = Refused;

    numbers! {
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
        deserialize_u128, visit_u128, u128;
        deserialize_i16, visit_i16, i16;
        deserialize_i32, visit_i32, i32;
        deserialize_i64, visit_i64, i64;
        deserialize_i128, visit_i128, i128;
        deserialize_f32, visit_f32, f32;
        deserialize_f64, visit_f64, f64;
    }

    any! { deserialize_any deserialize_identifier deserialize_ignored_any }

    fn deserialize_i8<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        // All the numbers are below 128.
        visitor.visit_i8(self.number("i8")? as i8)
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(self.number("bool")? % 2 == 1)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_char(char::from(self.number("char")?))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_string(self.text("str")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_byte_buf(self.text("bytes")?.into_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.record(Kind::Leaf("unit"))?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.record(Kind::Option)?;
        if self.is_inner {
            return visitor.visit_none();
        }
        self.deeper(|tracer| visitor.visit_some(tracer.child(0)?))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.inside::<V, _>(name, Kind::Newtype(name), |tracer| {
            visitor.visit_newtype_struct(tracer.child(0)?)
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.record(Kind::Sequence)?;
        let count = self.count();
        self.deeper(|tracer| visitor.visit_seq(Elements::new(tracer, count, true)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.record(Kind::Tuple)?;
        self.fields(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.inside::<V, _>(name, Kind::Newtype(name), |tracer| tracer.fields(len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.record(Kind::Map)?;
        let count = self.count();
        self.deeper(|tracer| visitor.visit_map(Elements::new(tracer, count, false)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.inside::<V, _>(name, Kind::Struct(name, fields), |tracer| {
            tracer.fields(fields.len(), visitor)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.inside::<V, _>(name, Kind::Enum(name, variants), |tracer| {
            let Tracer {
                pass,
                node,
                is_inner,
                is_element,
            } = tracer;
            let count = variants.len().max(1);
            let index = match (is_inner, pass.example) {
                // A variant that was accepted ends the recursion. Before there is one, each level takes another.
                (true, _) => pass
                    .tree
                    .accepted(node)
                    .unwrap_or_else(|| count - 1 - pass.depth % count),
                (false, Some(offset)) => pass.tree.next_variant(node, offset),
                (false, None) => pass.tree.variant(node, count),
            };
            let whole = Tracer {
                pass: &mut *pass,
                node,
                is_inner,
                is_element,
            };
            let value = visitor.visit_enum(Variant {
                tracer: whole.child(index)?,
                name: variants.get(index).copied().unwrap_or_default(),
                index: index as u32,
            })?;
            pass.tree.accept(node, index);
            Ok(value)
        })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
