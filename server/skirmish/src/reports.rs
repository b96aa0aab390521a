//! Explosions, for clients in sight.
//!
//! Components hold the state; this message is for an effect that clients draw and play.

use skirmish_shared::messages::{Exploded, Explosion};
use throng_server::prelude::Tell;
use throng_shared::protocol::ids::GlobalId;

use super::bodies::Bodies;
use super::effects::log_unsent;

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
