//! The particles of all effects: sparks and shock waves.
//!
//! Owns [`VisualEffects`], a bounded list of particles. The other effects add to it; this file moves, removes and
//! draws them.

use bevy::prelude::*;
use throng_shared::random::Random;

use crate::window::batch::{GlowBatch, Paint};
use crate::window::camera::PaintOrder;
use crate::window::session::GamePhase;
use crate::window::view::Focus;

/// Sparks at most; the oldest is removed first.
const SPARKS_MAX: usize = 1_200;
/// Shock waves at most, at the same time.
const WAVES_MAX: usize = 24;

/// A glowing particle that flies and fades.
#[derive(Clone, Copy, Debug)]
struct Spark {
    at: Vec2,
    height: f32,
    velocity: Vec2,
    rise: f32,
    life_s: f32,
    age_s: f32,
    size: f32,
    color: Vec3,
    /// Whether it is drawn as a line along its path; otherwise it is a growing disc.
    is_line: bool,
}

/// A shock wave: a growing circle.
#[derive(Clone, Copy, Debug)]
struct Wave {
    at: Vec2,
    reach: f32,
    age_s: f32,
    color: Vec3,
}

/// Seconds that a shock wave grows.
const WAVE_S: f32 = 0.55;

/// All short-lived lights.
#[derive(Resource)]
pub(super) struct VisualEffects {
    sparks: Vec<Spark>,
    waves: Vec<Wave>,
    random: Random,
}

impl Default for VisualEffects {
    fn default() -> Self {
        Self {
            sparks: Vec::new(),
            waves: Vec::new(),
            random: Random::new(7),
        }
    }
}

impl VisualEffects {
    fn push(&mut self, spark: Spark) {
        if self.sparks.len() >= SPARKS_MAX {
            self.sparks.swap_remove(0);
        }
        self.sparks.push(spark);
    }

    /// Returns a random number from 0 to 1.
    pub(super) fn unit(&mut self) -> f32 {
        self.random.unit() as f32
    }

    /// Adds sparks that fly from `at`, roughly in the direction `toward`.
    pub(super) fn sparks(&mut self, at: Vec2, toward: Vec2, count: usize, color: Vec3) {
        for _ in 0..count {
            let spread = Vec2::new(self.random.signed_unit(), self.random.signed_unit());
            let spark = Spark {
                at,
                height: 0.0,
                velocity: (toward + spread * 0.8) * (4.0 + 10.0 * self.unit()),
                rise: self.random.signed_unit() * 6.0,
                life_s: 0.15 + 0.3 * self.unit(),
                age_s: 0.0,
                size: 0.07,
                color: color * 1.6,
                is_line: true,
            };
            self.push(spark);
        }
    }

    /// Adds an explosion of a body `size` units large that moved with `velocity`, in its own colour and that of
    /// fire.
    pub(super) fn explode(&mut self, at: Vec2, velocity: Vec2, size: f32, (color, fire): (Vec3, Vec3)) {
        let drift = velocity * 0.4;
        self.push(Spark {
            at,
            height: 0.0,
            velocity: drift,
            rise: 0.0,
            life_s: 0.28,
            age_s: 0.0,
            size: size * 4.5,
            color: Vec3::new(2.6, 2.2, 1.7),
            is_line: false,
        });
        for _ in 0..9 {
            let fling = Vec2::new(self.random.signed_unit(), self.random.signed_unit());
            let flame = fire.lerp(color, 0.3 * self.unit()) * (0.6 + self.unit() * 0.8);
            let spark = Spark {
                at: at + fling * size * 0.5,
                height: self.random.signed_unit() * size * 0.5,
                velocity: drift + fling * size * 3.5,
                rise: self.random.signed_unit() * size,
                life_s: 0.45 + 0.6 * self.unit(),
                age_s: 0.0,
                size: size * (0.9 + 1.1 * self.unit()),
                color: flame,
                is_line: false,
            };
            self.push(spark);
        }
        for _ in 0..(14.0 + size * 8.0) as usize {
            let fling = Vec2::new(self.random.signed_unit(), self.random.signed_unit());
            let spark = Spark {
                at,
                height: 0.0,
                velocity: drift + fling * (10.0 + 18.0 * self.unit()),
                rise: self.random.signed_unit() * 9.0,
                life_s: 0.35 + 0.75 * self.unit(),
                age_s: 0.0,
                size: 0.09,
                color: fire.lerp(color, 0.5) * 2.2,
                is_line: true,
            };
            self.push(spark);
        }
        if self.waves.len() < WAVES_MAX {
            self.waves.push(Wave {
                at,
                reach: size * 6.5,
                age_s: 0.0,
                color: color.lerp(Vec3::ONE, 0.4),
            });
        }
    }
}

pub(super) struct ParticlesPlugin;

impl Plugin for ParticlesPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<VisualEffects>()
            .add_systems(Update, age_particles)
            .add_systems(OnExit(GamePhase::Play), remove_particles)
            .add_systems(Paint, paint_particles.in_set(PaintOrder));
    }
}

fn age_particles(time: Res<Time>, mut effects: ResMut<VisualEffects>) {
    let delta_s = time.delta_secs();
    let drag = (-delta_s * 2.2).exp();
    for spark in &mut effects.sparks {
        spark.age_s += delta_s;
        spark.at += spark.velocity * delta_s;
        spark.height += spark.rise * delta_s;
        spark.velocity *= drag;
        spark.rise *= drag;
    }
    effects.sparks.retain(|spark| spark.age_s < spark.life_s);
    for wave in &mut effects.waves {
        wave.age_s += delta_s;
    }
    effects.waves.retain(|wave| wave.age_s < WAVE_S);
}

fn remove_particles(mut effects: ResMut<VisualEffects>) {
    effects.sparks.clear();
    effects.waves.clear();
}

fn paint_particles(effects: Res<VisualEffects>, focus: Res<Focus>, mut glow: ResMut<GlowBatch>) {
    for spark in &effects.sparks {
        let part = spark.age_s / spark.life_s;
        let place = focus.scene(spark.at, spark.height);
        let faded = (1.0 - part) * (1.0 - part);
        if spark.is_line {
            let way = Vec3::new(spark.velocity.x, spark.rise, -spark.velocity.y) * 0.05;
            glow.streak(place - way, place + way * 0.4, spark.size, spark.color * faded);
        } else {
            // Fire becomes redder as it cools.
            let cooled = spark.color * Vec3::new(1.0, 1.0 - 0.5 * part, 1.0 - 0.8 * part);
            glow.disc(place, spark.size * (0.55 + 0.6 * part), cooled * faded);
        }
    }
    for wave in &effects.waves {
        let part = wave.age_s / WAVE_S;
        let grown = 1.0 - (1.0 - part).powi(3);
        let faded = (1.0 - part) * (1.0 - part);
        let place = focus.scene(wave.at, 0.0);
        glow.circle(
            place,
            wave.reach * grown,
            0.08 + 0.25 * grown,
            wave.color * faded * 0.9,
        );
    }
}
