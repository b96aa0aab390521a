//! Marks hits of the player that the server confirms.
//!
//! The beam and its sparks are predicted and drawn at once. A mark appears only when the server reports damage,
//! which it computes from the positions that the player saw.

use std::collections::HashMap;

use bevy::prelude::*;
use skirmish_shared::messages::Hit;
use throng_client::world::Own;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::registry::FromServer;

use crate::window::batch::{GlowBatch, Paint};
use crate::window::camera::PaintOrder;
use crate::window::session::GamePhase;
use crate::window::view::{Appearance, Focus};

/// Seconds that a mark is visible.
const MARK_S: f32 = 0.4;
/// Visible marks at most; the oldest is removed first.
const MARKS_MAX: usize = 16;
/// Colours of marks: shield damage is blue, hull damage white.
const SHIELD: Vec3 = Vec3::new(0.35, 0.8, 1.6);
const HULL: Vec3 = Vec3::new(1.6, 1.5, 1.3);

#[derive(Clone, Copy, Debug)]
struct HitMark {
    victim: Entity,
    at: Vec2,
    age_s: f32,
    color: Vec3,
}

/// The visible marks, oldest first.
#[derive(Resource, Default)]
struct HitMarks(Vec<HitMark>);

pub(super) struct HitsPlugin;

impl Plugin for HitsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<HitMarks>()
            .add_systems(
                Update,
                (mark_hits, fade_marks).chain().run_if(in_state(GamePhase::Play)),
            )
            .add_systems(OnExit(GamePhase::Play), |mut marks: ResMut<HitMarks>| {
                marks.0.clear();
            })
            .add_systems(Paint, paint_marks.in_set(PaintOrder));
    }
}

fn mark_hits(
    mut hits: MessageReader<FromServer<Hit>>,
    own: Query<&GlobalId, With<Own>>,
    others: Query<(Entity, &GlobalId, &Appearance), Without<Own>>,
    mut marks: ResMut<HitMarks>,
) {
    let own = own.single().ok();
    let of_own = |hit: &&FromServer<Hit>| own.is_some() && hit.0.by.as_ref() == own;
    let struck: HashMap<GlobalId, Vec3> = hits
        .read()
        .filter(of_own)
        .map(|FromServer(hit)| {
            let shielded = hit.absorbed >= hit.damage;
            (hit.victim, if shielded { SHIELD } else { HULL })
        })
        .collect();
    if struck.is_empty() {
        return;
    }
    for (victim, global, look) in &others {
        let Some(color) = struck.get(global) else { continue };
        marks.0.retain(|mark| mark.victim != victim);
        if marks.0.len() == MARKS_MAX {
            marks.0.remove(0);
        }
        marks.0.push(HitMark {
            victim,
            at: look.at,
            age_s: 0.0,
            color: *color,
        });
    }
}

/// Moves each mark with its victim; after the victim is gone, the mark stays at the last position.
fn fade_marks(time: Res<Time>, looks: Query<&Appearance>, mut marks: ResMut<HitMarks>) {
    for mark in &mut marks.0 {
        mark.age_s += time.delta_secs();
        if let Ok(look) = looks.get(mark.victim) {
            mark.at = look.at;
        }
    }
    marks.0.retain(|mark| mark.age_s < MARK_S);
}

/// Draws four strokes around each victim, which close in on it.
fn paint_marks(marks: Res<HitMarks>, focus: Res<Focus>, mut glow: ResMut<GlowBatch>) {
    for mark in &marks.0 {
        let part = mark.age_s / MARK_S;
        let center = focus.scene(mark.at, 1.2);
        let (near, far) = (1.5 - 0.4 * part, 2.6 - 0.7 * part);
        for (x, z) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            let way = Vec3::new(x, 0.0, z) * std::f32::consts::FRAC_1_SQRT_2;
            glow.beam(
                center + way * near,
                center + way * far,
                0.16,
                mark.color * (1.0 - part),
            );
        }
    }
}
