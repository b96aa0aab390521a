//! Stations: they repair docked ships and trade with their pilots.

use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryData;
use glam::Vec2;
use skirmish_shared::components::{Boost, Cargo, Credits, Hull, Magazine, Score, Shield, Ship};
use skirmish_shared::messages::{StationOrder, StationReply};
use throng_server::prelude::{Avatar, Player, Replicated, Tell, TickTime};
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::FromPlayer;

use super::bodies::{Bodies, BodyKind};
use super::components::{Hangar, Mass, Pilot};
use super::content::{Rules, pulse};
use super::crafts::ShipStats;
use super::effects::log_unsent;
use super::mining::{OreLedger, Wreck, Wrecks};

/// Returns whether the body in `row` is docked: near enough to a station, and slow.
#[must_use]
pub fn is_docked(bodies: &Bodies, row: usize, rules: &Rules, found: &mut Vec<u32>) -> bool {
    let (space, disc) = (&rules.content.space, &bodies.discs[row]);
    if disc.velocity.length() > space.dock_speed.get() {
        return false;
    }
    bodies.near(disc.position, space.dock.get() + disc.radius, found);
    found
        .iter()
        .any(|&row| bodies.rows[row as usize].kind == BodyKind::Station)
}

/// A ship, as far as orders change it.
#[derive(QueryData)]
#[query_data(mutable)]
pub(super) struct DockedShip {
    ship: &'static mut Ship,
    mass: &'static mut Mass,
    hull: &'static mut Hull,
    shield: &'static mut Shield,
    boost: &'static mut Boost,
    magazine: &'static mut Magazine,
    cargo: &'static mut Cargo,
    position: &'static Position,
}

impl DockedShipItem<'_, '_> {
    /// Replaces the ship by an undamaged one.
    fn refit(&mut self, stats: ShipStats) {
        *self.ship = stats.ship;
        *self.mass = stats.craft.mass;
        *self.hull = stats.craft.hull;
        *self.shield = stats.craft.shield;
        *self.boost = stats.boost;
        *self.magazine = stats.magazine;
    }
}

/// Executes the orders of docked pilots, in the order of their arrival.
pub(super) fn take_orders(
    mut orders: MessageReader<FromPlayer<StationOrder>>,
    mut players: Query<(&Player, &Avatar, &mut Credits, &mut Score), With<Hangar>>,
    mut ships: Query<DockedShip, With<Pilot>>,
    replicated: Query<&Replicated>,
    bodies: Res<Bodies>,
    mut ledger: ResMut<OreLedger>,
    mut wrecks: ResMut<Wrecks>,
    rules: Res<Rules>,
    mut tell: Tell,
    mut found: Local<Vec<u32>>,
) {
    for &FromPlayer {
        player,
        message: order,
    } in orders.read()
    {
        let Ok((player, avatar, mut credits, mut score)) = players.get_mut(player) else {
            continue;
        };
        let row = replicated
            .get(avatar.0)
            .ok()
            .and_then(|ship| bodies.find(ship.global()));
        let docked = row.is_some_and(|row| is_docked(&bodies, row, &rules, &mut found));
        let reply = match (ships.get_mut(avatar.0), docked) {
            (Ok(mut ship), true) => {
                let mut trade = Trade {
                    rules: &rules,
                    credits: &mut credits,
                    score: &mut score,
                    ledger: &mut ledger,
                    wrecks: &mut wrecks,
                };
                match order {
                    StationOrder::SellOre(amount) => trade.sell(amount, &mut ship.cargo),
                    StationOrder::BuyMissiles(count) => {
                        trade.buy_missiles(count, ship.ship.class, &mut ship.magazine)
                    }
                    StationOrder::BuyShip(wanted) => {
                        let reply = trade.buy_ship(wanted, ship.position.0, &mut ship.cargo);
                        if matches!(reply, StationReply::Bought(_)) {
                            ship.refit(ShipStats::of(&rules, wanted));
                        }
                        reply
                    }
                }
            }
            _ => StationReply::NotDocked,
        };
        log_unsent(tell.player(player, &reply));
    }
}

/// The data that a trade changes.
struct Trade<'a> {
    rules: &'a Rules,
    credits: &'a mut Credits,
    score: &'a mut Score,
    ledger: &'a mut OreLedger,
    wrecks: &'a mut Wrecks,
}

impl Trade<'_> {
    fn sell(&mut self, amount: u32, cargo: &mut Cargo) -> StationReply {
        let sold = amount.min(cargo.0);
        if sold == 0 {
            return StationReply::Refused;
        }
        cargo.0 -= sold;
        self.ledger.sold += u64::from(sold);
        self.score.ore = self.score.ore.saturating_add(sold);
        let paid = sold.saturating_mul(self.rules.content.space.ore_price);
        self.credits.0 = self.credits.0.saturating_add(paid);
        StationReply::Sold(paid)
    }

    fn buy_missiles(&mut self, count: u8, class: u8, magazine: &mut Magazine) -> StationReply {
        let price = self.rules.missile(class).1.price;
        let room = self.rules.class(class).missiles.saturating_sub(magazine.0);
        let affordable = self.credits.0.checked_div(price).unwrap_or(u32::MAX);
        let bought = u32::from(count.min(room)).min(affordable);
        if bought == 0 {
            return StationReply::Refused;
        }
        magazine.0 += bought as u8;
        self.credits.0 -= bought * price;
        StationReply::Bought(bought * price)
    }

    fn buy_ship(&mut self, wanted: u8, position: Vec2, cargo: &mut Cargo) -> StationReply {
        let Some(class) = self.rules.content.ships.get(usize::from(wanted)) else {
            return StationReply::Refused;
        };
        if self.credits.0 < class.price {
            return StationReply::Refused;
        }
        self.credits.0 -= class.price;
        let left = cargo.0.saturating_sub(class.cargo);
        cargo.0 -= left;
        self.wrecks.0.push(Wreck {
            at: position,
            ore: left,
        });
        StationReply::Bought(class.price)
    }
}

/// Repairs the hulls of docked ships.
pub(super) fn repair_ships(
    mut ships: Query<&mut Hull, With<Pilot>>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut found: Local<Vec<u32>>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok(mut hull) = ships.get_mut(body.entity) else {
            continue;
        };
        let points = pulse(rules.content.space.repair_per_s.get(), body.id.0, &time);
        if let Some(points) =
            points.filter(|_| hull.now < hull.max && is_docked(&bodies, row, &rules, &mut found))
        {
            hull.now = u32::from(hull.now)
                .saturating_add(points)
                .min(u32::from(hull.max)) as u16;
        }
    }
}
