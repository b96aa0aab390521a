//! Traces types of every kind that serde knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU16;

use bevy_ecs::entity::Entity;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::*;
use crate::protocol::codec;

#[derive(Serialize, Deserialize)]
struct Hull {
    _now: u16,
    _max: u16,
}

#[derive(Serialize, Deserialize)]
enum Cargo {
    _Empty,
    _Ore { kilograms: u32, grades: Vec<u8> },
    _Named(String, Option<i64>),
    _Crate(Box<Hull>),
}

#[derive(Deserialize)]
struct Everything {
    _unit: (),
    _flag: bool,
    _letter: char,
    _numbers: (i8, i16, i32, i64, f32, f64, u128),
    _array: [u8; 3],
    _map: HashMap<u8, BTreeMap<String, bool>>,
    _vector: glam::Vec2,
    _entity: Option<Entity>,
    _cargo: Cargo,
    #[serde(default)]
    _set: HashSet<NonZeroU16>,
}

#[test]
fn the_shape_names_every_field_variant_and_format_in_order() {
    assert_eq!(describe::<Hull>(), "Hull{_now:u16,_max:u16}");
    let cargo = "Cargo<_Empty:unit,_Ore:_Ore{kilograms:u32,grades:[u8]},_Named:(str,option(i64)),\
         _Crate:Hull{_now:u16,_max:u16}>";
    assert_eq!(describe::<Cargo>(), cargo);
    let expected = format!(
        "Everything{{_unit:unit,_flag:bool,_letter:char,_numbers:(i8,i16,i32,i64,f32,f64,u128),_array:(u8,u8,u8),\
         _map:map(u8,map(str,bool)),_vector:Vec2(f32,f32),_entity:option(u64),_cargo:{cargo},_set:[u16]}}"
    );
    assert_eq!(describe::<Everything>(), expected);
}

#[derive(Deserialize)]
struct Tree {
    _value: u8,
    _children: Vec<Tree>,
    _parent: Option<Box<Tree>>,
}

#[derive(Serialize, Deserialize)]
enum Expression {
    _Sum(Box<Expression>, Box<Expression>),
    _Number(i32),
    _Late(u8),
}

#[derive(Deserialize)]
struct Endless {
    _inner: Box<Endless>,
}

#[test]
fn a_type_inside_itself_counts_by_its_name() {
    assert_eq!(
        describe::<Tree>(),
        "Tree{_value:u8,_children:[^Tree],_parent:option(^Tree)}"
    );
    assert_eq!(
        describe::<Expression>(),
        "Expression<_Sum:(^Expression,^Expression),_Number:i32,_Late:u8>"
    );
    assert_eq!(describe::<Endless>(), "Endless{_inner:^Endless}");
    assert_eq!(
        describe::<Bounds>(),
        "Bounds{_range:(u8,u8),_inner:[^Bounds],_after:u8}"
    );
}

#[derive(Deserialize)]
struct Bounds {
    _range: Range,
    _inner: Vec<Bounds>,
    _after: u8,
}

#[derive(Deserialize)]
struct Pair<T>(T, T);

#[derive(Deserialize)]
struct Named<T> {
    _value: T,
}

#[test]
fn a_generic_type_inside_another_of_its_name_is_traced() {
    assert_eq!(describe::<Pair<Pair<u8>>>(), "Pair(Pair(u8,u8),Pair(u8,u8))");
    assert_eq!(
        describe::<Named<Named<Named<u16>>>>(),
        "Named{_value:Named{_value:Named{_value:u16}}}"
    );
}

/// Accepts nothing that the tracer has.
struct Stubborn;

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        Err(D::Error::custom("no text is right"))
    }
}

struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer)?;
        panic!("a defect of the type, which the test causes")
    }
}

#[derive(Deserialize)]
#[serde(try_from = "(u8, u8)")]
struct Range;

impl TryFrom<(u8, u8)> for Range {
    type Error = &'static str;

    fn try_from((low, high): (u8, u8)) -> Result<Self, Self::Error> {
        if low < high { Ok(Self) } else { Err("empty") }
    }
}

#[derive(Deserialize)]
struct Holds<T> {
    _range: Range,
    _held: T,
    _after: u8,
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    _One,
}

#[test]
fn a_type_that_refuses_values_counts_as_far_as_it_was_traced() {
    assert_eq!(
        describe::<Holds<u32>>(),
        "Holds{_range:(u8,u8),_held:u32,_after:u8}"
    );
    assert_eq!(
        describe::<Holds<Stubborn>>(),
        "Holds{_range:(u8,u8),_held:str,_after:?}"
    );
    assert_eq!(
        describe::<Holds<Panics>>(),
        "Holds{_range:(u8,u8),_held:u32,_after:?}"
    );
    assert_eq!(describe::<Tagged>(), "any");
}

#[derive(Serialize, Deserialize)]
enum Wide {
    A(Inner),
    B { inner: Inner, more: [Inner; 4] },
    C(HashMap<Inner, Vec<Vec<Vec<Vec<Vec<u8>>>>>>),
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash)]
enum Inner {
    A,
    B(u8),
    C { x: u8 },
}

#[test]
fn every_variant_inside_of_variants_is_traced() {
    let inner = "Inner<A:unit,B:u8,C:C{x:u8}>";
    assert_eq!(
        describe::<Wide>(),
        format!(
            "Wide<A:{inner},B:B{{inner:{inner},more:({inner},{inner},{inner},{inner})}},C:map({inner},[[[[[u8]]]]])>"
        )
    );
}

#[derive(Serialize, Deserialize)]
#[serde(try_from = "f32")]
struct Ratio(f32);

impl TryFrom<f32> for Ratio {
    type Error = &'static str;

    fn try_from(ratio: f32) -> Result<Self, Self::Error> {
        if (-1.0..=1.0).contains(&ratio) {
            Ok(Self(ratio))
        } else {
            Err("not in -1..=1")
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Shelf {
    before: [Ratio; 4],
    goods: HashMap<String, Ratio>,
    after: Ratio,
}

#[derive(Serialize, Deserialize)]
struct Bag {
    goods: HashMap<u8, String>,
    seen: HashSet<(u16, u16)>,
    list: Vec<u32>,
}

#[test]
fn examples_have_collections_of_different_elements() {
    assert!(examples::<Hull>().is_empty());
    let bags = examples::<Bag>();
    let [bag] = &bags[..] else {
        panic!("{} examples", bags.len())
    };
    assert_eq!(
        [bag.goods.len(), bag.seen.len(), bag.list.len()],
        [EXAMPLE_ELEMENTS; 3]
    );
    let mut bytes = Vec::new();
    codec::encode_into(bag, &mut bytes).unwrap();
    assert!(codec::decode_exact::<Bag>(&bytes).is_ok());
    let shelves = examples::<Shelf>();
    assert_eq!(
        shelves.len(),
        1,
        "the numbers outside of the elements are accepted"
    );
    assert_eq!(shelves[0].goods.len(), EXAMPLE_ELEMENTS);
    assert!(
        examples::<Wide>()
            .iter()
            .any(|wide| matches!(wide, Wide::C(map) if map.len() > 1))
    );
}
