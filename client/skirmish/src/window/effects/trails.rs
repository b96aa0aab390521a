//! The trails behind ships and missiles.

use std::collections::VecDeque;

use bevy::prelude::*;
use skirmish_shared::components::{Drone, Missile, Ship};

use crate::window::batch::{GlowBatch, Paint};
use crate::window::camera::PaintOrder;
use crate::window::colors::Colors;
use crate::window::detail::Detail;
use crate::window::teams::Teams;
use crate::window::view::{Appearance, Focus};

/// Positions in a trail, and seconds between two of them.
const PLACES: usize = 14;
const APART_S: f32 = 0.05;

/// The last positions of an entity, newest first.
#[derive(Component, Default)]
struct Trail {
    places: VecDeque<Vec2>,
    since_s: f32,
}

pub(super) struct TrailsPlugin;

impl Plugin for TrailsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, (insert_trails, extend_trails).chain())
            .add_systems(Paint, paint_trails.in_set(PaintOrder));
    }
}

fn insert_trails(
    fresh: Query<
        Entity,
        (
            With<Appearance>,
            Or<(With<Ship>, With<Missile>, With<Drone>)>,
            Without<Trail>,
        ),
    >,
    mut commands: Commands,
) {
    for entity in &fresh {
        commands.entity(entity).insert(Trail::default());
    }
}

fn extend_trails(time: Res<Time>, mut trails: Query<(&mut Trail, &Appearance)>) {
    for (mut trail, look) in &mut trails {
        trail.since_s += time.delta_secs();
        if trail.since_s < APART_S {
            continue;
        }
        trail.since_s = 0.0;
        // A teleport must not draw a line.
        if trail
            .places
            .front()
            .is_some_and(|last| last.distance(look.at) > 10.0)
        {
            trail.places.clear();
        }
        let stern = look.at - Vec2::from_angle(look.heading) * 0.9;
        trail.places.push_front(stern);
        trail.places.truncate(PLACES);
    }
}

fn paint_trails(
    trails: Query<(Entity, &Trail, &Appearance, Has<Missile>, Has<Drone>)>,
    (teams, focus, detail, colors): (Teams, Res<Focus>, Res<Detail>, Res<Colors>),
    mut glow: ResMut<GlowBatch>,
) {
    for (entity, trail, look, is_missile, is_drone) in &trails {
        if is_drone && *detail == Detail::Low {
            continue;
        }
        let color = if is_missile {
            colors.fire * 0.8
        } else {
            teams.color(entity) * 0.5
        };
        let (wide, bright) = if is_drone { (0.12, 0.4) } else { (0.2, 0.9) };
        let stern = look.at - Vec2::from_angle(look.heading) * 0.9;
        let mut newer = focus.scene(stern, -0.05);
        for (number, place) in trail.places.iter().enumerate() {
            let left = 1.0 - (number as f32 + 1.0) / PLACES as f32;
            let older = focus.scene(*place, -0.05);
            glow.beam(
                older,
                newer,
                wide * (0.3 + 0.7 * left),
                color * left * left * bright,
            );
            newer = older;
        }
    }
}
