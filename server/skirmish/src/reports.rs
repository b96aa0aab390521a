//! Events for clients in sight: hits and explosions.
//!
//! Components hold the state; these messages are for effects that clients draw and play. Only hits that a pilot dealt
//! or took are sent: those between thousands of drones would cost more bandwidth than they are worth.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::messages::{Exploded, Explosion, Hit};
use throng_server::prelude::Tell;
use throng_shared::protocol::ids::GlobalId;

use super::bodies::Bodies;
use super::components::Pilot;
use super::effects::log_unsent;

/// The hits of this tick with their positions, in the order of victims and attackers.
#[derive(Resource, Debug, Default)]
pub struct Hits(pub Vec<(Vec2, Hit)>);

/// Sends the hits that a pilot dealt or took to all clients in sight.
pub(super) fn report_hits(
    mut hits: ResMut<Hits>,
    bodies: Res<Bodies>,
    pilots: Query<(), With<Pilot>>,
    mut tell: Tell,
) {
    let is_pilot = |id: GlobalId| {
        let row = bodies.find(id);
        row.is_some_and(|row| pilots.contains(bodies.rows[row].entity))
    };
    for (position, hit) in hits.0.drain(..) {
        if is_pilot(hit.victim) || hit.by.is_some_and(is_pilot) {
            log_unsent(tell.in_sight(position, &hit));
        }
    }
}

/// Sends the explosion of the body in `row` to all clients in sight.
pub(super) fn report_explosion(
    tell: &mut Tell,
    bodies: &Bodies,
    row: usize,
    kind: Exploded,
    by: Option<GlobalId>,
) {
    let position = bodies.discs[row].position;
    let explosion = Explosion {
        of: bodies.rows[row].id,
        kind,
        at: position.into(),
        by,
    };
    log_unsent(tell.in_sight(position, &explosion));
}
