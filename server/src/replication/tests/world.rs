//! A small world that publishes frames and records every one of them for comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use bevy_ecs::prelude::Component;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::codec;
use throng_shared::protocol::ids::{ComponentId, GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::registry::{
    ComponentCodec, Custom, Delta, Protocol, ProtocolAppExt, Visibility, Witness,
};
use throng_shared::random::Random;
use throng_shared::tick::Tick;

use crate::boundary::frame::{
    ChunkKind, ColdValue, Frame, FrameWriter, Identity, PlayerRow, SlotTable, Upright,
};
use crate::space::{AreaHold, AreaTable, CellIndex, RoomId, SpatialIndex};

#[derive(Component, Serialize, Deserialize, Clone)]
struct Hull(u16);
#[derive(Component, Serialize, Deserialize, Clone)]
struct Order(Vec<u8>);
#[derive(Component, Serialize, Deserialize, Clone)]
struct Cargo(u64);
/// A component that is numbers in steps.
#[derive(Component, Clone)]
struct Aim([f32; 2]);
/// A component with a number that only the team sees while it is odd.
#[derive(Component, Clone)]
struct Depth(f32);

impl From<&Aim> for [f32; 2] {
    fn from(aim: &Aim) -> Self {
        aim.0
    }
}

impl From<[f32; 2]> for Aim {
    fn from(numbers: [f32; 2]) -> Self {
        Self(numbers)
    }
}

impl From<&Depth> for [f32; 1] {
    fn from(depth: &Depth) -> Self {
        [depth.0]
    }
}

impl From<[f32; 1]> for Depth {
    fn from([depth]: [f32; 1]) -> Self {
        Self(depth)
    }
}

const COMPONENTS: u8 = 5;
const AIM: u8 = 3;
const DEPTH: u8 = 4;
const AIM_STEP: f32 = 0.01;

/// Registers the test's components; `Aim` as differences, or as the same bytes in a format of its own.
pub(super) fn protocol(by_differences: bool) -> Protocol {
    let mut app = App::empty();
    app.replicate::<Hull>();
    app.replicate::<Order>().visible_to(Visibility::Team);
    app.replicate::<Cargo>().visible_to(Visibility::Owner);
    if by_differences {
        app.replicate_with::<Aim>(Delta::<2>::quantized(AIM_STEP));
    } else {
        app.replicate_with(Custom {
            name: "whole",
            encode: |aim: &Aim, out| Delta::<2>::quantized(AIM_STEP).encode(aim, out).unwrap(),
            decode: |bytes| Delta::<2>::quantized(AIM_STEP).decode(bytes).ok(),
        });
    }
    app.replicate_with::<Depth>(Delta::<1>::quantized(1.0))
        .visible_to(|who: Witness, depth: &Depth| !is_odd(depth.0) || who.is_mate());
    app.world().resource::<Protocol>().clone()
}

fn is_odd(depth: f32) -> bool {
    depth as i32 & 1 == 1
}

fn in_steps<T>(value: T, codec: &impl ComponentCodec<T>) -> (ColdValue, Vec<u8>)
where
    T: Send + Sync + 'static,
{
    let mut bytes = Vec::new();
    codec.encode(&value, &mut bytes).unwrap();
    (Arc::new(value), bytes)
}

/// Returns a random number of any size.
fn number(random: &mut Random) -> f32 {
    (random.bits() as i32 >> random.below(32)) as f32
}

fn aim(numbers: [f32; 2]) -> (ColdValue, Vec<u8>) {
    in_steps(Aim(numbers), &Delta::<2>::quantized(AIM_STEP))
}

fn value(id: u8, random: &mut Random) -> (ColdValue, Vec<u8>) {
    fn both<T: Serialize + Send + Sync + 'static>(value: T) -> (ColdValue, Vec<u8>) {
        let mut bytes = Vec::new();
        codec::encode_into(&value, &mut bytes).unwrap();
        (Arc::new(value), bytes)
    }
    match id {
        0 => both(Hull(random.bits() as u16)),
        1 => both(Order(
            (0..random.below(30)).map(|_| random.bits() as u8).collect(),
        )),
        2 => both(Cargo(random.bits() >> random.below(64))),
        AIM => aim([number(random), 1.0]),
        _ => in_steps(Depth(number(random)), &Delta::<1>::quantized(1.0)),
    }
}

/// One entity of the simulation.
#[derive(Clone)]
pub(super) struct Entity {
    pub(super) slot: Slot,
    pub(super) position: Vec2,
    heading: f32,
    speed: f32,
    pub(super) identity: Identity,
    pub(super) pose: Pose,
    components: BTreeMap<u8, Vec<u8>>,
}

/// One player of the simulation.
#[derive(Clone)]
pub(super) struct Player {
    pub(super) session: SessionId,
    pub(super) row: PlayerRow,
    area: Option<AreaHold>,
    own: GlobalId,
}

/// The state of a tick, recorded for comparison.
#[derive(Clone)]
pub(super) struct Past {
    pub(super) entities: BTreeMap<GlobalId, Entity>,
    pub(super) players: Vec<PlayerRow>,
}

impl Past {
    /// Returns the encoded components of an entity that a player may see.
    pub(super) fn visible(&self, entity: &Entity, player: &PlayerRow) -> BTreeMap<u8, Vec<u8>> {
        let mut seen = entity.components.clone();
        if !player.team.is_mate(entity.identity.team) {
            seen.remove(&1);
            seen.retain(|&id, bytes| {
                id != DEPTH || !is_odd(codec::decode_exact::<i32>(bytes).unwrap() as f32)
            });
        }
        if player.player != entity.identity.owner {
            seen.remove(&2);
        }
        seen
    }
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) tick: Tick,
    side: f32,
    slots: SlotTable,
    writer: FrameWriter,
    index: SpatialIndex,
    areas: AreaTable,
    pub(super) entities: BTreeMap<GlobalId, Entity>,
    pub(super) players: Vec<Player>,
    pub(super) past: BTreeMap<u32, Past>,
    next_global: u64,
    pub(super) is_still: bool,
    /// Factor on all speeds; unless it is 1, no entity jumps.
    pub(super) pace: f32,
    /// Whether inputs arrive in time, so that every tick uses one.
    pub(super) takes_inputs: bool,
    /// Whether players control an entity of this simulation.
    is_local: bool,
}

impl World {
    pub(super) fn new(seed: u64, tick: Tick, side: f32, entities: usize, players: u32, radius: f32) -> Self {
        let mut world = Self::empty(seed, tick, side, SimulationId(0));
        for player in 1..=players {
            world.add_player(player, radius);
        }
        world.populate(entities);
        world
    }

    /// Creates a simulation that players only see, from their positions in another one.
    pub(super) fn other_simulation(simulation: SimulationId, home: &Self, entities: usize) -> Self {
        let mut world = Self::empty(u64::from(simulation.0), home.tick, home.side, simulation);
        world.is_local = false;
        world.players = home.players.clone();
        world.players.iter_mut().for_each(|player| player.area = None);
        world.populate(entities);
        world
    }

    fn empty(seed: u64, tick: Tick, side: f32, simulation: SimulationId) -> Self {
        Self {
            random: Random::new(seed),
            tick,
            side,
            slots: SlotTable::default(),
            writer: FrameWriter::new(simulation),
            index: SpatialIndex::default(),
            areas: AreaTable::default(),
            entities: BTreeMap::new(),
            players: Vec::new(),
            past: BTreeMap::new(),
            // Differs between the simulations, so that their ids are unique.
            next_global: 1 + u64::from(simulation.0),
            is_still: false,
            pace: 1.0,
            takes_inputs: true,
            is_local: true,
        }
    }

    fn populate(&mut self, entities: usize) {
        for _ in 0..entities {
            self.spawn(PlayerId::NONE);
        }
    }

    fn add_player(&mut self, player: u32, radius: f32) {
        let own = self.spawn(PlayerId(player));
        self.players.push(Player {
            session: SessionId {
                index: player,
                generation: 1,
            },
            row: PlayerRow {
                generation: 1,
                player: PlayerId(player),
                is_local: true,
                entity: None,
                eye: Vec2::ZERO,
                radius,
                upright: Upright::default(),
                team: TeamId((player % 3) as u8),
                room: Default::default(),
                last_input: Tick(0),
                newest_ahead: i8::MIN,
                margin_16: 0,
                area: Arc::default(),
            },
            area: None,
            own,
        });
    }

    fn spawn(&mut self, owner: PlayerId) -> GlobalId {
        let slot = self.slots.take(ChunkKind(0)).unwrap();
        let global = GlobalId(self.next_global << self.random.below(20));
        self.next_global += 1 << 20;
        let random = &mut self.random;
        let speed = if random.chance(0.3) {
            0.0
        } else {
            random.within(0.0, 30.0)
        };
        let mut entity = Entity {
            slot,
            position: (Vec2::new(random.within(0.0, 1.0), random.within(0.0, 1.0)) - 0.5) * self.side,
            heading: random.within(0.0, 6.0),
            speed,
            identity: Identity {
                global,
                owner,
                team: TeamId(random.below(4) as u8),
                importance: random.below(3) as u8,
                room: Default::default(),
            },
            pose: Pose::default(),
            components: BTreeMap::new(),
        };
        entity.pose = quantize(&entity);
        self.writer
            .insert(slot, entity.identity, entity.pose, self.tick.next());
        self.index.insert(slot, entity.pose.x, entity.pose.y);
        self.entities.insert(global, entity);
        if self.random.chance(0.5) {
            self.change_component(global);
        }
        global
    }

    fn despawn(&mut self, global: GlobalId) {
        if let Some(entity) = self.entities.remove(&global) {
            self.writer.remove(entity.slot);
            self.index.remove(entity.slot);
            self.slots.give_back(entity.slot, self.tick.next());
        }
    }

    fn change_component(&mut self, global: GlobalId) {
        let id = self.random.below(COMPONENTS.into()) as u8;
        let entity = self.entities.get_mut(&global).unwrap();
        let value = if self.random.chance(0.2) {
            None
        } else {
            Some(value(id, &mut self.random))
        };
        match &value {
            Some((_, bytes)) => entity.components.insert(id, bytes.clone()),
            None => entity.components.remove(&id),
        };
        let value = value.map(|(value, _)| value);
        self.writer
            .set_component(entity.slot, ComponentId(id), value, self.tick.next());
    }

    /// Turns the aim of every entity by a little.
    pub(super) fn turn_aims(&mut self) {
        let globals: Vec<_> = self.entities.keys().copied().collect();
        for global in globals {
            let turned = self.tick.0 as f32 * 0.03 + self.random.within(0.0, 0.05);
            let (value, bytes) = aim([turned, 1.5]);
            let entity = self.entities.get_mut(&global).unwrap();
            entity.components.insert(AIM, bytes);
            self.writer
                .set_component(entity.slot, ComponentId(AIM), Some(value), self.tick.next());
        }
    }

    fn random_global(&mut self) -> GlobalId {
        let at = self.random.below(self.entities.len() as u64) as usize;
        *self.entities.keys().nth(at).unwrap()
    }

    /// Simulates one tick and publishes its frame.
    pub(super) fn step(&mut self) -> Arc<Frame> {
        if !self.is_still {
            self.live();
        }
        self.tick = self.tick.next();
        self.slots.wake_rested(self.tick);
        self.index.rebalance(self.tick);
        let mut cells = CellIndex::default();
        self.index.freeze(&mut cells);
        let mut table = self.writer.spare_players();
        for player in &mut self.players {
            let own = self.entities.get(&player.own).filter(|_| self.is_local);
            player.row.entity = own.map(|own| own.slot);
            player.row.eye = own.map_or(player.row.eye, |own| own.position);
            if self.takes_inputs {
                player.row.last_input = self.tick - 1;
            }
            player.area =
                self.areas
                    .update(RoomId::default(), player.row.eye, player.row.radius, player.area);
        }
        self.areas
            .list_stale(&self.index)
            .iter_mut()
            .for_each(|stale| stale.build(&self.index));
        self.areas.take_built();
        for player in &mut self.players {
            player.row.area = Arc::clone(self.areas.get(player.area));
            table.insert(0, player.session, player.row.clone());
        }
        let rows = self.players.iter().map(|player| player.row.clone()).collect();
        self.past.insert(
            self.tick.0,
            Past {
                entities: self.entities.clone(),
                players: rows,
            },
        );
        self.writer.publish(self.tick, Duration::ZERO, cells, table)
    }

    fn live(&mut self) {
        let next = self.tick.next();
        let half = self.side / 2.0;
        for entity in self.entities.values_mut() {
            if entity.speed == 0.0 {
                continue;
            }
            entity.heading += self.random.within(0.0, 0.6) - 0.3;
            let velocity = Vec2::from_angle(entity.heading) * entity.speed;
            entity.position += velocity * (0.05 * self.pace);
            if entity.position.abs().max_element() > half {
                entity.position = entity.position.clamp(Vec2::splat(-half), Vec2::splat(half));
                entity.heading += 3.0;
            }
            if self.random.chance(0.002) && self.pace == 1.0 {
                entity.position = -entity.position;
            }
            entity.pose = quantize(entity);
            self.writer.set_pose(entity.slot, entity.pose, next);
            self.index.place(entity.slot, entity.pose.x, entity.pose.y, next);
        }
        for _ in 0..self.random.below(3) {
            self.spawn(PlayerId::NONE);
            let global = self.random_global();
            self.despawn(global);
        }
        for _ in 0..self.random.below(16) {
            let global = self.random_global();
            self.change_component(global);
        }
        for _ in 0..self.random.below(6) {
            let global = self.random_global();
            let team = TeamId(self.random.below(4) as u8);
            let entity = self.entities.get_mut(&global).unwrap();
            entity.identity.team = team;
            self.writer.set_identity(entity.slot, entity.identity, next);
        }
        if self.random.chance(0.02) {
            let at = self.random.below(self.players.len() as u64) as usize;
            self.players[at].row.team = TeamId(self.random.below(4) as u8);
        }
        let dead: Vec<usize> = (0..self.players.len())
            .filter(|&at| !self.entities.contains_key(&self.players[at].own))
            .collect();
        for at in dead {
            if self.is_local && self.random.chance(0.05) {
                self.players[at].own = self.spawn(self.players[at].row.player);
            }
        }
    }

    /// Returns the entities within a factor of a player's radius, as the newest frame has them.
    pub(super) fn within(&self, player: usize, factor: f32) -> BTreeSet<GlobalId> {
        let row = &self.players[player].row;
        let is_near = |entity: &&Entity| {
            let distance2 = (entity.pose.position().0 - row.eye).length_squared();
            distance2 <= (row.radius * factor) * (row.radius * factor) || Some(entity.slot) == row.entity
        };
        self.entities
            .values()
            .filter(is_near)
            .map(|entity| entity.identity.global)
            .collect()
    }
}

fn quantize(entity: &Entity) -> Pose {
    let velocity = Vec2::from_angle(entity.heading) * entity.speed;
    Pose::quantize(
        &Position(entity.position),
        &Velocity(velocity),
        &Heading(entity.heading),
    )
}
