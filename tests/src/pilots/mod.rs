//! Bots that play Skirmish: they fly, mine, sell, fight and flee, and base each decision on their mirror.
//!
//! | module | owns |
//! |---|---|
//! | [`senses`] | decoding of the game's components and messages |
//! | [`view`] | the entities around a ship that its pilot considers |
//! | [`controls`] | flying: the input for a course and a speed |
//! | [`matches`](mod@matches) | pilots with their server and clients, in memory |
//!
//! A pilot reads only its own mirror and the messages that it receives, like a client. Its success therefore shows
//! what reaches clients. It updates its view a few times a second and steers by it in between, so that many pilots run
//! in one thread. Its decisions follow from its seed, its mirror and its messages.

pub mod controls;
pub mod matches;
pub mod senses;
pub mod view;

use std::f32::consts::TAU;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use glam::Vec2;
use skirmish_shared::content::{Laser, ShipClass, SpaceContent};
use skirmish_shared::input::PilotInput;
use skirmish_shared::messages::{ContentTable, StationOrder};
use throng_client::mirror::Mirror;
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::random::Random;

use controls::{APPROACH_PER_S, PilotControls, fly, hold_at};
use senses::{PilotMessage, Senses};
use view::{View, VisibleKind};

/// Inputs between two updates of the view: 5 updates a second at 20 Hz.
const UPDATE_EVERY: u32 = 4;
/// Part of the hull below which a pilot flees.
const FLEE_BELOW: f32 = 0.4;
/// Distance in units below which a miner attacks an enemy.
const MINER_PATIENCE: f32 = 20.0;
/// Aiming errors of the best and the worst pilot, in radians to either side.
const AIM_SPREAD: (f32, f32) = (0.05, 0.17);
/// Distance from the station's hull at which a pilot stops for trade and repair, in units.
const BERTH: f32 = 6.0;
/// Distance from a rock's hull at which a pilot mines, in units.
const MINING_GAP: f32 = 6.0;

/// The current activity of a pilot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PilotMode {
    /// Flies to a position in its region, to find enemies or rocks.
    Roam(Vec2),
    /// Mines this rock.
    Mine(ShortId),
    /// Shoots at this enemy.
    Fight(ShortId),
    /// Flies to the station for repair, with little hull left.
    Flee,
    /// Flies to the station with a full hold.
    Sell,
}

/// Counters of a pilot's actions, and of the events that its client received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PilotCounts {
    /// Times that the pilot began to mine.
    pub mined: u64,
    /// Fights that the pilot began.
    pub fights: u64,
    /// Times that the pilot fled.
    pub flights: u64,
    /// Credits that stations paid.
    pub earned: u64,
    /// Hits dealt.
    pub hits: u64,
    /// Hits taken.
    pub wounds: u64,
    /// Pilots destroyed.
    pub kills: u64,
    /// Times destroyed.
    pub deaths: u64,
}

impl PilotCounts {
    /// Adds another pilot's counters to these.
    pub fn add(&mut self, other: &Self) {
        self.mined += other.mined;
        self.fights += other.fights;
        self.flights += other.flights;
        self.earned += other.earned;
        self.hits += other.hits;
        self.wounds += other.wounds;
        self.kills += other.kills;
        self.deaths += other.deaths;
    }
}

impl fmt::Display for PilotCounts {
    /// Writes the end of a sentence that begins with "the pilots".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "went mining {} times, earned {}, began {} fights, hit {} times, were hit {} times, fled {} times, \
             destroyed {} pilots and were destroyed {} times",
            self.mined,
            self.earned,
            self.fights,
            self.hits,
            self.wounds,
            self.flights,
            self.kills,
            self.deaths
        )
    }
}

/// The received content, as far as a pilot uses it.
#[derive(Debug, Clone, Default)]
struct PilotContent {
    space: Option<Arc<SpaceContent>>,
    ships: Vec<ShipClass>,
    lasers: Vec<Laser>,
}

/// A bot that plays Skirmish by its mirror and messages.
#[derive(Debug)]
pub struct BotPilot {
    random: Random,
    is_miner: bool,
    /// Aiming error in radians to either side.
    aim_spread: f32,
    /// Part of the hull below which it flees.
    flees_below: f32,
    content: PilotContent,
    mode: PilotMode,
    view: View,
    inputs: u32,
    orders: Vec<StationOrder>,
    counts: PilotCounts,
}

impl BotPilot {
    /// Creates a pilot whose character and decisions follow from `seed`. Half of the pilots prefer mining to fighting.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_miner = random.unit() < 0.5;
        let inaccuracy = random.unit() as f32;
        Self {
            aim_spread: AIM_SPREAD.0 + (AIM_SPREAD.1 - AIM_SPREAD.0) * inaccuracy,
            // Spreads the pilots' updates over the ticks.
            inputs: random.bits() as u32 % UPDATE_EVERY,
            random,
            is_miner,
            flees_below: FLEE_BELOW,
            content: PilotContent::default(),
            mode: PilotMode::Roam(Vec2::ZERO),
            view: View::default(),
            orders: Vec::new(),
            counts: PilotCounts::default(),
        }
    }

    /// Creates a pilot that never mines.
    #[must_use]
    pub fn hunter(seed: u64) -> Self {
        Self {
            is_miner: false,
            ..Self::new(seed)
        }
    }

    /// Creates a hunter that never flees.
    #[must_use]
    pub fn duellist(seed: u64) -> Self {
        Self {
            flees_below: 0.0,
            ..Self::hunter(seed)
        }
    }

    /// Returns whether the pilot prefers mining to fighting.
    #[must_use]
    pub fn is_miner(&self) -> bool {
        self.is_miner
    }

    /// Returns counters of what the pilot has done.
    #[must_use]
    pub fn counts(&self) -> &PilotCounts {
        &self.counts
    }

    /// Returns the activity that the pilot is in.
    #[must_use]
    pub fn mode(&self) -> PilotMode {
        self.mode
    }

    /// Removes and returns the orders to the station since the last call.
    pub fn take_orders(&mut self) -> Vec<StationOrder> {
        std::mem::take(&mut self.orders)
    }

    /// Decodes and handles a message of the server.
    pub fn receive(&mut self, senses: &Senses, message: &Bytes) {
        if let Some(message) = senses.decode(message) {
            self.handle(message);
        }
    }

    /// Handles a decoded message of the server.
    pub fn handle(&mut self, message: PilotMessage) {
        match message {
            PilotMessage::Content(table) => self.content.insert(table),
            PilotMessage::Hit(hit) => {
                self.counts.hits += u64::from(hit.by.is_some() && hit.by == self.view.own.id);
                self.counts.wounds += u64::from(Some(hit.victim) == self.view.own.id);
            }
            PilotMessage::Destroyed(destroyed) => {
                // Both pilots receive it. The own ship may have left the mirror by then.
                let is_own = Some(destroyed.ship) == self.view.own.id;
                self.counts.deaths += u64::from(is_own);
                self.counts.kills += u64::from(!is_own);
            }
            PilotMessage::Paid(credits) => self.counts.earned += u64::from(credits),
        }
    }

    /// Returns the pilot's input for the next tick, which follows from its mirror.
    pub fn decide(&mut self, senses: &Senses, mirror: &Mirror) -> PilotInput {
        let (Some(seen), Some(space)) = (mirror.own(), self.content.space.clone()) else {
            return PilotInput::default();
        };
        self.inputs = self.inputs.wrapping_add(1);
        self.view.own.update_pose(&seen);
        if self.inputs.is_multiple_of(UPDATE_EVERY) {
            self.view.update(senses, mirror);
            self.choose_mode(&space);
        }
        let own = self.view.own;
        let Some(turn) = self.class().map(|class| class.handling.turn.get()) else {
            return PilotInput::default();
        };
        let controls = match self.mode {
            PilotMode::Roam(target) => fly(&own, target - own.position, 0.8, self.view.avoidance),
            PilotMode::Mine(rock) => self.mine(mirror, rock),
            PilotMode::Fight(enemy) => self.fight(mirror, enemy),
            PilotMode::Flee | PilotMode::Sell => self.dock(&space),
        };
        controls.input(&own, turn)
    }

    /// Chooses the activity until the next update of the view, and trades at a station.
    fn choose_mode(&mut self, space: &SpaceContent) {
        let own = self.view.own;
        let capacity = self.class().map_or(u32::MAX, |class| class.cargo);
        let station = self.nearest_station(space);
        let is_docked = own.position.distance(station) < space.station_radius.get() + space.dock.get()
            && own.velocity.length() < space.dock_speed.get();
        let wanted = match self.mode {
            // A flight ends when the hull is nearly whole.
            PilotMode::Flee if own.hull < 0.95 => PilotMode::Flee,
            PilotMode::Sell if own.cargo > 0 => PilotMode::Sell,
            _ if own.hull < self.flees_below => PilotMode::Flee,
            _ if own.cargo * 10 >= capacity * 9 => PilotMode::Sell,
            _ => self.find_work(space),
        };
        if is_docked && matches!(wanted, PilotMode::Flee | PilotMode::Sell) {
            self.trade();
        }
        let is_same = std::mem::discriminant(&wanted) == std::mem::discriminant(&self.mode);
        match wanted {
            PilotMode::Mine(_) if !is_same => self.counts.mined += 1,
            PilotMode::Fight(_) if !is_same => self.counts.fights += 1,
            PilotMode::Flee if !is_same => self.counts.flights += 1,
            _ => {}
        }
        self.mode = wanted;
    }

    /// Returns an enemy to fight, a rock to mine, or a position to search for them.
    fn find_work(&mut self, space: &SpaceContent) -> PilotMode {
        let own = self.view.own;
        let reach = if self.is_miner {
            MINER_PATIENCE
        } else {
            space.view.get()
        };
        if let Some(enemy) = self
            .view
            .nearest(VisibleKind::Enemy)
            .filter(|enemy| enemy.gap < reach)
        {
            return PilotMode::Fight(enemy.id);
        }
        if self.is_miner
            && let Some(rock) = self.view.nearest(VisibleKind::Rock)
        {
            // The pilot keeps its current rock, even if another one is nearer.
            let current = match self.mode {
                PilotMode::Mine(rock) if self.view.contains(rock) => rock,
                _ => rock.id,
            };
            return PilotMode::Mine(current);
        }
        match self.mode {
            PilotMode::Roam(target) if target != Vec2::ZERO && target.distance(own.position) > 15.0 => {
                self.mode
            }
            _ => PilotMode::Roam(self.random_position(space)),
        }
    }

    /// Returns a random position in the nearest region.
    fn random_position(&mut self, space: &SpaceContent) -> Vec2 {
        let region = space
            .regions
            .iter()
            .min_by(|a, b| {
                let distance = |centre: (f32, f32)| Vec2::from(centre).distance(self.view.own.position);
                distance(a.at).total_cmp(&distance(b.at))
            })
            .map(|region| (Vec2::from(region.at), region.radius.get()));
        let (centre, radius) = region.unwrap_or_default();
        let angle = self.random.unit() as f32 * TAU;
        centre + Vec2::from_angle(angle) * radius * (0.2 + 0.6 * self.random.unit() as f32)
    }

    fn mine(&self, mirror: &Mirror, rock: ShortId) -> PilotControls {
        let own = &self.view.own;
        let (Some(seen), Some(known)) = (mirror.get(rock), self.view.find(rock)) else {
            return PilotControls::drift(own);
        };
        let to = seen.pose.position().0 - own.position;
        let mut controls = hold_at(own, to, known.radius + MINING_GAP, self.view.avoidance);
        let bears = to.normalize_or_zero().dot(Vec2::from_angle(own.heading)) > 0.85;
        controls.mines = bears && to.length() - known.radius < MINING_GAP * 2.0;
        controls
    }

    fn fight(&mut self, mirror: &Mirror, enemy: ShortId) -> PilotControls {
        let own = self.view.own;
        let Some(seen) = mirror.get(enemy) else {
            return PilotControls::drift(&own);
        };
        // The server judges the shot by the enemy's pose in this mirror and the own ship's position in that tick.
        let to = seen.pose.position().0 - own.ahead();
        let distance = to.length();
        let towards = to.normalize_or_zero();
        let (range, arc) = self
            .laser()
            .map_or((30.0, 0.4), |laser| (laser.range.get(), laser.arc.get()));
        // The course leads a little past the enemy, and then slowly around it, within the arc of the guns. The pilot
        // backs away from an enemy that is too near. It does not avoid the enemy itself, which would turn its bow away.
        let aside = towards.perp() * (arc * if distance > range * 0.6 { 0.3 } else { 0.6 });
        let avoidance = self.view.avoid_beside(enemy);
        let mut controls = fly(&own, towards + aside, 1.0, avoidance);
        let closing = own.velocity.dot(towards);
        let wanted = (distance - range * 0.4) * APPROACH_PER_S;
        if avoidance.length() < 0.01 && controls.thrust > 0.5 {
            controls.thrust = (wanted - closing) * 0.3;
        }
        controls.aim = to.to_angle() + self.aim_spread * self.random.signed_unit();
        let off = Vec2::from_angle(own.heading).angle_to(towards).abs();
        controls.fires = off < arc && distance < range;
        controls.launches = off < 0.5 && distance > 12.0 && self.random.unit() < 0.02;
        controls.boosts = distance > range;
        controls
    }

    fn dock(&self, space: &SpaceContent) -> PilotControls {
        let own = &self.view.own;
        let to = self.nearest_station(space) - own.position;
        let mut controls = hold_at(own, to, space.station_radius.get() + BERTH, self.view.avoidance);
        controls.boosts = self.mode == PilotMode::Flee && to.length() > 60.0;
        controls
    }

    /// Orders the sale of all ore, missiles for an empty magazine, and now and then a ship.
    fn trade(&mut self) {
        let own = self.view.own;
        if own.cargo > 0 {
            self.orders.push(StationOrder::SellOre(u32::MAX));
        }
        if own.magazine == 0 {
            self.orders.push(StationOrder::BuyMissiles(u8::MAX));
        }
        let wanted = self.random.bits() as usize % self.content.ships.len().max(1);
        let is_affordable = |class: &ShipClass| class.price > 0 && class.price <= own.credits;
        if own.class == 0 && self.content.ships.get(wanted).is_some_and(is_affordable) {
            self.orders.push(StationOrder::BuyShip(wanted as u8));
        }
    }

    fn class(&self) -> Option<&ShipClass> {
        self.content.ships.get(usize::from(self.view.own.class))
    }

    fn laser(&self) -> Option<&Laser> {
        let name = &self.class()?.laser;
        self.content.lasers.iter().find(|laser| laser.name == *name)
    }

    fn nearest_station(&self, space: &SpaceContent) -> Vec2 {
        let positions = space.regions.iter().map(|region| Vec2::from(region.at));
        let distance = |position: &Vec2| position.distance_squared(self.view.own.position);
        positions
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap_or_default()
    }
}

impl PilotContent {
    fn insert(&mut self, table: ContentTable) {
        match table {
            ContentTable::Space(space) => self.space = Some(Arc::new(space)),
            ContentTable::Ship(index, class) => set_row(&mut self.ships, index, class),
            ContentTable::Laser(index, laser) => set_row(&mut self.lasers, index, laser),
            ContentTable::Missile(..) | ContentTable::Drone(..) => {}
        }
    }
}

/// Replaces or appends a row. Rows arrive in order, so a new one always has the next index.
fn set_row<T>(rows: &mut Vec<T>, index: u8, row: T) {
    match rows.get_mut(usize::from(index)) {
        Some(old) => *old = row,
        None => rows.push(row),
    }
}
