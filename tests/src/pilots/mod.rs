//! Bots that play Skirmish: they fly, mine, sell, fight and flee by what their mirror shows them.
//!
//! | module | owns |
//! |---|---|
//! | [`senses`] | what a mirror and the server's messages mean in this game |
//! | [`view`] | what is around a ship, as far as its pilot cares |
//! | [`helm`] | flying: courses and speeds into an input |
//! | [`matches`](mod@matches) | pilots with their server and clients, in memory |
//!
//! A pilot knows nothing but its own mirror and the messages it was sent, as a client does, so what it achieves
//! shows what reaches clients. It looks around a few times a second and steers by what it saw in between, so that
//! many play in one thread. Its decisions follow from its seed and from what it sees.

pub mod helm;
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
use throng_client::seeded::Seeded;
use throng_shared::protocol::snapshot::ShortId;

use helm::{APPROACH_PER_S, PilotControls, fly, hold_at};
use senses::{PilotMessage, Senses};
use view::{View, VisibleKind};

/// Inputs between two looks around: 5 looks a second at 20 Hz.
const LOOK_EVERY: u32 = 4;
/// Part of the hull below which a pilot flees.
const FLEE_BELOW: f32 = 0.4;
/// How near an enemy may come before a miner turns on it, in units.
const MINER_PATIENCE: f32 = 20.0;
/// How badly the best and the worst pilot aim, in radians to either side.
const AIM_SPREAD: (f32, f32) = (0.05, 0.17);
/// How far from the station's hull a pilot comes to rest for trade and repair, in units.
const BERTH: f32 = 6.0;
/// How far from a rock's hull a pilot mines, in units.
const MINING_GAP: f32 = 6.0;

/// What a pilot is up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PilotMode {
    /// Flies to a place near its region's station, to see what is there.
    Roam(Vec2),
    /// Mines a rock.
    Mine(ShortId),
    /// Shoots at somebody.
    Fight(ShortId),
    /// Badly hit: to the station, to be repaired.
    Flee,
    /// To the station, with a full hold.
    Sell,
}

/// What a pilot has done and suffered, as its client was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Times it began to mine.
    pub mined: u64,
    /// Fights that it began.
    pub fights: u64,
    /// Times it fled.
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

impl Deeds {
    /// Adds another pilot's.
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

impl fmt::Display for Deeds {
    /// As the end of a sentence that begins with "the pilots".
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

/// The content that a pilot was told, as far as it uses it.
#[derive(Debug, Clone, Default)]
struct Handbook {
    space: Option<Arc<SpaceContent>>,
    ships: Vec<ShipClass>,
    lasers: Vec<Laser>,
}

/// A pilot.
#[derive(Debug)]
pub struct BotPilot {
    random: Seeded,
    is_miner: bool,
    /// In radians to either side.
    aim_spread: f32,
    /// Part of the hull below which it flees.
    flees_below: f32,
    handbook: Handbook,
    mode: PilotMode,
    view: View,
    inputs: u32,
    orders: Vec<StationOrder>,
    deeds: Deeds,
}

impl BotPilot {
    /// A pilot whose character and decisions follow from `seed`. Half of them would rather mine than fight.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Seeded::new(seed);
        let is_miner = random.unit() < 0.5;
        let clumsiness = random.unit() as f32;
        Self {
            aim_spread: AIM_SPREAD.0 + (AIM_SPREAD.1 - AIM_SPREAD.0) * clumsiness,
            // Not all look around in the same tick.
            inputs: random.bits() as u32 % LOOK_EVERY,
            random,
            is_miner,
            flees_below: FLEE_BELOW,
            handbook: Handbook::default(),
            mode: PilotMode::Roam(Vec2::ZERO),
            view: View::default(),
            orders: Vec::new(),
            deeds: Deeds::default(),
        }
    }

    /// One that never mines.
    #[must_use]
    pub fn hunter(seed: u64) -> Self {
        Self {
            is_miner: false,
            ..Self::new(seed)
        }
    }

    /// A hunter that fights to the end.
    #[must_use]
    pub fn duellist(seed: u64) -> Self {
        Self {
            flees_below: 0.0,
            ..Self::hunter(seed)
        }
    }

    /// Whether it would rather mine than fight.
    #[must_use]
    pub fn is_miner(&self) -> bool {
        self.is_miner
    }

    /// What it has done.
    #[must_use]
    pub fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    /// What it is up to.
    #[must_use]
    pub fn mode(&self) -> PilotMode {
        self.mode
    }

    /// What it asks of the station, since the last call.
    pub fn take_orders(&mut self) -> Vec<StationOrder> {
        std::mem::take(&mut self.orders)
    }

    /// Takes a message of the server, as it came.
    pub fn receive(&mut self, senses: &Senses, message: &Bytes) {
        if let Some(told) = senses.understand(message) {
            self.hear(told);
        }
    }

    /// Takes a message of the server.
    pub fn hear(&mut self, told: PilotMessage) {
        match told {
            PilotMessage::Content(table) => self.handbook.learn(table),
            PilotMessage::Hit(hit) => {
                self.deeds.hits += u64::from(hit.by.is_some() && hit.by == self.view.own.id);
                self.deeds.wounds += u64::from(Some(hit.victim) == self.view.own.id);
            }
            PilotMessage::Destroyed(news) => {
                // Both ends are told; the own ship may be gone from the mirror by then.
                let is_own = Some(news.ship) == self.view.own.id;
                self.deeds.deaths += u64::from(is_own);
                self.deeds.kills += u64::from(!is_own);
            }
            PilotMessage::Paid(credits) => self.deeds.earned += u64::from(credits),
        }
    }

    /// What the pilot does in the next tick, by what its mirror shows.
    pub fn decide(&mut self, senses: &Senses, mirror: &Mirror) -> PilotInput {
        let (Some(seen), Some(space)) = (mirror.own(), self.handbook.space.clone()) else {
            return PilotInput::default();
        };
        self.inputs = self.inputs.wrapping_add(1);
        self.view.own.meet(&seen);
        if self.inputs.is_multiple_of(LOOK_EVERY) {
            self.view.look(senses, mirror);
            self.make_up_mind(&space);
        }
        let own = self.view.own;
        let Some(turn) = self.class().map(|class| class.handling.turn.get()) else {
            return PilotInput::default();
        };
        let helm = match self.mode {
            PilotMode::Roam(place) => fly(&own, place - own.place, 0.8, self.view.avoidance),
            PilotMode::Mine(rock) => self.mine(mirror, rock),
            PilotMode::Fight(enemy) => self.fight(mirror, enemy),
            PilotMode::Flee | PilotMode::Sell => self.dock(&space),
        };
        helm.input(&own, turn)
    }

    /// Looks at what is around and decides what to do until the next look.
    fn make_up_mind(&mut self, space: &SpaceContent) {
        let own = self.view.own;
        let capacity = self.class().map_or(u32::MAX, |class| class.cargo);
        let station = self.nearest_station(space);
        let is_docked = own.place.distance(station) < space.station_radius.get() + space.dock.get()
            && own.velocity.length() < space.dock_speed.get();
        let wanted = match self.mode {
            // Until the hull is whole; or the flight has become a long one, with nobody near.
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
            PilotMode::Mine(_) if !is_same => self.deeds.mined += 1,
            PilotMode::Fight(_) if !is_same => self.deeds.fights += 1,
            PilotMode::Flee if !is_same => self.deeds.flights += 1,
            _ => {}
        }
        self.mode = wanted;
    }

    /// Somebody to fight, a rock to mine, or somewhere to look for them.
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
            // The rock that it is at stays the one, though another may be as near.
            let current = match self.mode {
                PilotMode::Mine(rock) if self.view.knows(rock) => rock,
                _ => rock.id,
            };
            return PilotMode::Mine(current);
        }
        match self.mode {
            PilotMode::Roam(place) if place != Vec2::ZERO && place.distance(own.place) > 15.0 => self.mode,
            _ => PilotMode::Roam(self.somewhere(space)),
        }
    }

    /// A place in the region that is nearest.
    fn somewhere(&mut self, space: &SpaceContent) -> Vec2 {
        let region = space
            .regions
            .iter()
            .min_by(|a, b| {
                let distance = |at: (f32, f32)| Vec2::from(at).distance(self.view.own.place);
                distance(a.at).total_cmp(&distance(b.at))
            })
            .map(|region| (Vec2::from(region.at), region.radius.get()));
        let (at, radius) = region.unwrap_or_default();
        let angle = self.random.unit() as f32 * TAU;
        at + Vec2::from_angle(angle) * radius * (0.2 + 0.6 * self.random.unit() as f32)
    }

    fn mine(&self, mirror: &Mirror, rock: ShortId) -> PilotControls {
        let own = &self.view.own;
        let (Some(seen), Some(known)) = (mirror.get(rock), self.view.find(rock)) else {
            return PilotControls::drift(own);
        };
        let to = seen.pose.position().0 - own.place;
        let mut helm = hold_at(own, to, known.radius + MINING_GAP, self.view.avoidance);
        let bears = to.normalize_or_zero().dot(Vec2::from_angle(own.heading)) > 0.85;
        helm.mines = bears && to.length() - known.radius < MINING_GAP * 2.0;
        helm
    }

    fn fight(&mut self, mirror: &Mirror, enemy: ShortId) -> PilotControls {
        let own = self.view.own;
        let Some(seen) = mirror.get(enemy) else {
            return PilotControls::drift(&own);
        };
        // The server judges the shot by what this mirror shows, and from where the ship is by then.
        let to = seen.pose.position().0 - own.ahead();
        let distance = to.length();
        let towards = to.normalize_or_zero();
        let (range, arc) = self
            .laser()
            .map_or((30.0, 0.4), |laser| (laser.range.get(), laser.arc.get()));
        // A little aside on the way there, and slowly around it then, as far as the guns still bear; backwards from
        // one that comes too near. What it fights does not turn its bow away.
        let aside = towards.perp() * (arc * if distance > range * 0.6 { 0.3 } else { 0.6 });
        let avoidance = self.view.avoid_beside(enemy);
        let mut helm = fly(&own, towards + aside, 1.0, avoidance);
        let closing = own.velocity.dot(towards);
        let wanted = (distance - range * 0.4) * APPROACH_PER_S;
        if avoidance.length() < 0.01 && helm.thrust > 0.5 {
            helm.thrust = (wanted - closing) * 0.3;
        }
        helm.aim = to.to_angle() + self.aim_spread * self.random.signed_unit();
        let off = Vec2::from_angle(own.heading).angle_to(towards).abs();
        helm.fires = off < arc && distance < range;
        helm.launches = off < 0.5 && distance > 12.0 && self.random.unit() < 0.02;
        helm.boosts = distance > range;
        helm
    }

    fn dock(&self, space: &SpaceContent) -> PilotControls {
        let own = &self.view.own;
        let to = self.nearest_station(space) - own.place;
        let mut helm = hold_at(own, to, space.station_radius.get() + BERTH, self.view.avoidance);
        helm.boosts = self.mode == PilotMode::Flee && to.length() > 60.0;
        helm
    }

    /// Sells everything; buys missiles, and now and then a ship.
    fn trade(&mut self) {
        let own = self.view.own;
        if own.cargo > 0 {
            self.orders.push(StationOrder::SellOre(u32::MAX));
        }
        if own.magazine == 0 {
            self.orders.push(StationOrder::BuyMissiles(u8::MAX));
        }
        let wanted = self.random.bits() as usize % self.handbook.ships.len().max(1);
        let is_affordable = |class: &ShipClass| class.price > 0 && class.price <= own.credits;
        if own.class == 0 && self.handbook.ships.get(wanted).is_some_and(is_affordable) {
            self.orders.push(StationOrder::BuyShip(wanted as u8));
        }
    }

    fn class(&self) -> Option<&ShipClass> {
        self.handbook.ships.get(usize::from(self.view.own.class))
    }

    fn laser(&self) -> Option<&Laser> {
        let name = &self.class()?.laser;
        self.handbook.lasers.iter().find(|laser| laser.name == *name)
    }

    fn nearest_station(&self, space: &SpaceContent) -> Vec2 {
        let places = space.regions.iter().map(|region| Vec2::from(region.at));
        let distance = |place: &Vec2| place.distance_squared(self.view.own.place);
        places
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap_or_default()
    }
}

impl Handbook {
    fn learn(&mut self, table: ContentTable) {
        match table {
            ContentTable::Space(space) => self.space = Some(Arc::new(space)),
            ContentTable::Ship(place, class) => put(&mut self.ships, place, class),
            ContentTable::Laser(place, laser) => put(&mut self.lasers, place, laser),
            ContentTable::Missile(..) | ContentTable::Drone(..) => {}
        }
    }
}

/// Rows come in order, so that a new one is always the next.
fn put<T>(rows: &mut Vec<T>, place: u8, row: T) {
    match rows.get_mut(usize::from(place)) {
        Some(old) => *old = row,
        None => rows.push(row),
    }
}
