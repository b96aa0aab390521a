//! What happened in a tick, told to those who can see it: hits and explosions.
//!
//! Components show what is; these show what became of it, for clients that draw and sound it. Only hits in
//! which a pilot has a part are told: thousands of drones that shoot each other would cost more than they show.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::messages::{Exploded, Explosion, Hit};
use throng_server::prelude::Tell;
use throng_shared::protocol::ids::GlobalId;

use super::bodies::Bodies;
use super::log_unsent;
use super::pilots::Pilot;

/// The hits of this tick, and where they were, in the order of victims and attackers.
#[derive(Resource, Debug, Default)]
pub struct Hits(pub Vec<(Vec2, Hit)>);

/// Tells of hits that a pilot dealt or took.
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
    for (at, hit) in hits.0.drain(..) {
        if is_pilot(hit.victim) || hit.by.is_some_and(is_pilot) {
            log_unsent(tell.in_sight(at, &hit));
        }
    }
}

/// Tells that the body of `row` blew up.
pub(super) fn report_explosion(
    tell: &mut Tell,
    bodies: &Bodies,
    row: usize,
    kind: Exploded,
    by: Option<GlobalId>,
) {
    let at = bodies.discs[row].position;
    let explosion = Explosion {
        of: bodies.rows[row].id,
        kind,
        at: at.into(),
        by,
    };
    log_unsent(tell.in_sight(at, &explosion));
}
