//! A pilot of Skirmish on a line of any quality, in virtual time, with a record of the server's frames and of the
//! client's predictions.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use bevy_ecs::prelude::*;
use skirmish_client::SkirmishClientPlugin;
use skirmish_server::{SkirmishPlugin, flight::Contacts};
use skirmish_shared::input::PilotInput;
use throng_client::{
    link::LinkConditions,
    predict::Present,
    world::{ClientClock, NextInput, Own, RecentPackets},
};
use throng_local::{LocalConfig, LocalGame, LocalPlayer};
use throng_server::{internals::InputBuffer, simulation::Frames};
use throng_shared::{
    protocol::{
        ids::GlobalId,
        pose::{Heading, Pose, Position, Velocity, YAW_STEPS},
        registry::Protocol,
    },
    random::Random,
    tick::Tick,
};

/// Frames that a client draws in a tick: 60 a second at 20 Hz.
pub(super) const FRAMES_PER_TICK: u32 = 3;

/// Returns a line with this delay in each direction, jitter of a third of it, and this loss.
pub(super) fn line(latency_ms: u64, loss: f64) -> LinkConditions {
    LinkConditions {
        loss,
        latency: Duration::from_millis(latency_ms),
        jitter: Duration::from_millis(latency_ms / 3),
        ..LinkConditions::PERFECT
    }
}

/// The server's state in a tick.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    /// Pose of the pilot's ship.
    pub(super) pose: Pose,
    /// Poses of all entities.
    pub(super) poses: BTreeMap<GlobalId, Pose>,
    /// Whether this tick's input had arrived, and no bodies collided.
    pub(super) is_predictable: bool,
}

/// The client's prediction of a tick at the time when it was the present one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guess {
    /// The newest tick that the client had received from the server.
    pub(super) known: Tick,
    /// Predicted pose of the pilot's ship.
    pub(super) pose: Pose,
}

/// A game with one pilot, and the record of its flight.
pub(super) struct Flight {
    pub(super) game: LocalGame,
    pub(super) pilot: LocalPlayer,
    pub(super) truths: BTreeMap<u32, Truth>,
    pub(super) guesses: BTreeMap<u32, Guess>,
    /// Buttons that are held in addition to the random ones.
    pub(super) held: u8,
    dice: Random,
    input: PilotInput,
}

impl Flight {
    pub(super) fn new(seed: u64, drones: u32, asteroids: u32) -> Self {
        let config = LocalConfig {
            seed,
            frames_per_tick: NonZeroU32::new(FRAMES_PER_TICK).unwrap(),
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, SkirmishPlugin::new(drones, asteroids));
        let pilot = game.join("Ada", SkirmishClientPlugin);
        Self {
            game,
            pilot,
            truths: BTreeMap::new(),
            guesses: BTreeMap::new(),
            held: 0,
            dice: Random::new(seed),
            input: PilotInput::default(),
        }
    }

    /// Flies this many ticks with new controls about four times a second. Calls `drawn` after every drawn frame.
    pub(super) fn fly(&mut self, ticks: u32, mut drawn: impl FnMut(&mut World)) {
        for _ in 0..ticks {
            if self.dice.unit() < 0.2 {
                self.input = PilotInput {
                    turn: (self.dice.signed_unit() * 100.0) as i8,
                    thrust: (self.dice.unit() * 140.0 - 40.0) as i8,
                    buttons: u8::from(self.dice.unit() < 0.2) * PilotInput::BOOST,
                    ..PilotInput::default()
                };
            }
            let input = PilotInput {
                buttons: self.input.buttons | self.held,
                ..self.input
            };
            let world = self.game.world(self.pilot);
            world.resource_scope(|world, protocol: Mut<Protocol>| {
                world.resource_mut::<NextInput>().set(&protocol, &input).unwrap();
            });
            let (pilot, guesses) = (self.pilot, &mut self.guesses);
            self.game.run_with(1, |game| {
                let world = game.world(pilot);
                if let Some((tick, guess)) = guess(world) {
                    guesses.entry(tick.0).or_insert(guess);
                }
                drawn(world);
            });
            self.note_truth();
        }
    }

    fn note_truth(&mut self) {
        let Some(player) = self.game.player(self.pilot) else {
            return;
        };
        let own = self.own_id();
        let world = self.game.server();
        let frame = world.resource::<Frames>().0.newest().unwrap().clone();
        let poses: BTreeMap<_, _> = frame
            .rows()
            .map(|(slot, row)| (frame.identity(slot).global, row.pose))
            .collect();
        let is_fresh = world.get::<InputBuffer>(player).unwrap().last_applied() == frame.tick;
        let is_predictable = is_fresh && world.resource::<Contacts>().0.is_empty();
        if let Some(pose) = own.and_then(|own| poses.get(&own)) {
            let truth = Truth {
                pose: *pose,
                poses,
                is_predictable,
            };
            self.truths.insert(frame.tick.0, truth);
        }
    }

    fn own_id(&mut self) -> Option<GlobalId> {
        let world = self.game.world(self.pilot);
        let mut own = world.query_filtered::<&GlobalId, With<Own>>();
        own.single(world).ok().copied()
    }

    /// Returns the error of each prediction by tick: the greatest difference of a field from the server's frame, in its
    /// quanta.
    ///
    /// Only ticks for which the server had all inputs of the prediction are included.
    pub(super) fn errors(&self) -> BTreeMap<u32, i32> {
        let mut errors = BTreeMap::new();
        for (&tick, guess) in &self.guesses {
            let between = (guess.known.0 + 1)..=tick;
            let is_known = |tick: u32| self.truths.get(&tick).is_some_and(|truth| truth.is_predictable);
            if let Some(truth) = self.truths.get(&tick)
                && between.clone().all(is_known)
            {
                errors.insert(tick, distance(&guess.pose, &truth.pose));
            }
        }
        errors
    }
}

/// Returns the greatest difference of any field, in its quanta.
pub(super) fn distance(a: &Pose, b: &Pose) -> i32 {
    let turn = i32::from(a.yaw) - i32::from(b.yaw);
    let turn = turn.rem_euclid(YAW_STEPS.into());
    let turn = turn.min(i32::from(YAW_STEPS) - turn);
    let fields = [
        a.x - b.x,
        a.y - b.y,
        i32::from(a.vx) - i32::from(b.vx),
        i32::from(a.vy) - i32::from(b.vy),
        turn,
    ];
    fields.into_iter().map(i32::abs).max().unwrap()
}

fn guess(world: &mut World) -> Option<(Tick, Guess)> {
    let tick = world.resource::<ClientClock>().present()?.tick;
    let known = world.resource::<RecentPackets>().own_known_at()?;
    let mut own =
        world.query_filtered::<(&Present<Position>, &Present<Velocity>, &Present<Heading>), With<Own>>();
    let (position, velocity, heading) = own.single(world).ok()?;
    let pose = Pose::quantize(&position.0, &velocity.0, &heading.0);
    Some((tick, Guess { known, pose }))
}
