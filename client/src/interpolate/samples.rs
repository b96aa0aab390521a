//! The received states of one component by tick, and the values shown between and beyond them.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::prelude::Component;
use throng_shared::tick::Tick;

use super::interpolation::Interpolation;
use crate::blend::{Blend, Offset, Smoothing};
use crate::time::FractionalTick;

/// States that are kept; the oldest is discarded first.
const SAMPLES_MAX: usize = 64;
/// If no state arrives for this many ticks and the last one had no velocity, the entity is shown at rest until the next
/// state.
const REST_TICKS: i32 = 4;
/// When states arrive several ticks apart, a motion is extrapolated for as many ticks, but not for more than this.
const LONG_GAP_TICKS: f32 = 5.0;

/// The last received states of a component.
#[derive(Component, Debug)]
pub(crate) struct Samples<T> {
    states: VecDeque<(Tick, T)>,
    offset: Offset<T>,
    /// Whether the newest state has a velocity. Then the absence of a new state does not mean that the entity
    /// rests.
    moves: bool,
    /// The last value shown beyond the newest state, without the offset, and its moment.
    extrapolated: Option<(FractionalTick, T)>,
}

/// The times of the frame that is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct RenderFrame {
    /// The moment to show.
    pub(super) moment: FractionalTick,
    /// The newest tick whose snapshot arrived.
    pub(super) newest: Tick,
    /// Time since the frame before.
    pub(super) elapsed: Duration,
}

impl<T: Blend> Samples<T> {
    pub(super) fn new(tick: Tick, value: T, moves: bool) -> Self {
        Self {
            states: VecDeque::from([(tick, value)]),
            offset: Offset::default(),
            moves,
            extrapolated: None,
        }
    }

    /// Adds a state, or replaces the one of the same tick; a state older than the newest is ignored. `rested`:
    /// the state before had no velocity. `moves`: this one has.
    pub(super) fn push(&mut self, tick: Tick, value: T, rested: bool, moves: bool) {
        if let Some((newest, last)) = self.states.back_mut() {
            let gap = tick.since(*newest);
            if gap == 0 {
                *last = value;
                return;
            }
            if gap < 0 {
                return;
            }
            if rested && gap > REST_TICKS {
                let held = last.clone();
                self.states.push_back((tick - 1, held));
            }
        }
        self.states.push_back((tick, value));
        self.moves = moves;
        while self.states.len() > SAMPLES_MAX {
            self.states.pop_front();
        }
    }

    /// Returns the value to show in this frame; `None` while the first state is not yet due.
    pub(super) fn show(&mut self, frame: &RenderFrame, interpolation: &Interpolation) -> Option<T> {
        if let Some((moment, guessed)) = self.extrapolated.take()
            && let Some((actual, _)) = self.at(moment, frame.newest, interpolation)
        {
            // A late state is not a teleport, however far it is: teleports are recognised between two states.
            let smoothing = Smoothing {
                snap_above: f32::INFINITY,
                ..interpolation.smoothing
            };
            self.offset.correct(&guessed, &actual, &smoothing);
        }
        while self.states.len() > 2 && FractionalTick::from(self.states[1].0).since(frame.moment) <= 0.0 {
            self.states.pop_front();
        }
        let (value, is_guess) = self.at(frame.moment, frame.newest, interpolation)?;
        self.offset.decay(frame.elapsed, &interpolation.smoothing);
        let shown = self.offset.apply(&value);
        self.extrapolated = is_guess.then_some((frame.moment, value));
        Some(shown)
    }

    /// Returns the value at a moment, and whether it is extrapolated, so that later states may contradict it.
    fn at(&self, moment: FractionalTick, newest: Tick, interpolation: &Interpolation) -> Option<(T, bool)> {
        let after = self
            .states
            .iter()
            .position(|(tick, _)| FractionalTick::from(*tick).since(moment) > 0.0);
        match after {
            Some(0) => None,
            Some(after) => Some((self.between(after, moment, interpolation), false)),
            None => self.beyond(moment, newest, interpolation),
        }
    }

    fn between(&self, after: usize, moment: FractionalTick, interpolation: &Interpolation) -> T {
        let (from, a) = &self.states[after - 1];
        let (to, b) = &self.states[after];
        let gap = to.since(*from) as f32;
        if is_teleport(a, b, gap, interpolation) {
            return a.clone();
        }
        a.blended(b, moment.since((*from).into()) / gap)
    }

    fn beyond(
        &self,
        moment: FractionalTick,
        newest: Tick,
        interpolation: &Interpolation,
    ) -> Option<(T, bool)> {
        let (to, b) = self.states.back()?;
        let Some((from, a)) = self.states.len().checked_sub(2).map(|last| &self.states[last]) else {
            return Some((b.clone(), true));
        };
        let gap = to.since(*from);
        // A snapshot without a new state, where there was one in each before, means that it rests.
        let rests = !self.moves && newest.since(*to) >= gap;
        if rests || is_teleport(a, b, gap as f32, interpolation) {
            return Some((b.clone(), true));
        }
        let furthest = interpolation
            .extrapolation_max
            .max((gap as f32).min(LONG_GAP_TICKS));
        let past = moment.since((*to).into()).min(furthest);
        Some((a.blended(b, 1.0 + past / gap as f32), true))
    }
}

fn is_teleport<T: Blend>(a: &T, b: &T, gap: f32, interpolation: &Interpolation) -> bool {
    a.distance(b) > interpolation.smoothing.snap_above * gap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpolate::POSITION_INTERPOLATION;
    use glam::Vec2;
    use throng_shared::protocol::pose::Position;
    use throng_shared::random::Random;

    fn position(x: f32) -> Position {
        Position(Vec2::new(x, 0.0))
    }

    fn frame(moment: f64, newest: u32) -> RenderFrame {
        RenderFrame {
            moment: FractionalTick::after(Tick(0), moment),
            newest: Tick(newest),
            elapsed: Duration::from_millis(10),
        }
    }

    fn show(samples: &mut Samples<Position>, moment: f64, newest: u32) -> Option<f32> {
        let shown = samples.show(&frame(moment, newest), &POSITION_INTERPOLATION);
        shown.map(|position| position.0.x)
    }

    #[test]
    fn interpolated_steady_motion_never_goes_back_under_loss() {
        for seed in 1..=20 {
            let mut random = Random::new(seed);
            let mut samples = Samples::new(Tick(0), position(0.0), true);
            let (mut newest, mut before) = (0, 0.0);
            for frame in 0..3_000_u32 {
                let moment = f64::from(frame) / 5.0;
                // States arrive exactly when they are due, or later, or never.
                let tick = frame / 5;
                if tick > newest && random.unit() < 0.15 {
                    newest = tick;
                    samples.push(Tick(tick), position(tick as f32), false, true);
                }
                let shown = show(&mut samples, moment, newest).unwrap();
                assert!(
                    shown >= before - 1e-3,
                    "seed {seed}: from {before} to {shown} at {moment}"
                );
                assert!((shown - moment as f32).abs() < 100.0, "seed {seed}");
                before = shown;
            }
        }
    }

    #[test]
    fn extrapolation_is_bounded_and_an_entity_without_velocity_rests() {
        let start = |moves| {
            let mut samples = Samples::new(Tick(0), position(0.0), moves);
            samples.push(Tick(1), position(1.0), false, moves);
            samples
        };
        let mut late = start(true);
        assert_eq!(show(&mut late, 1.5, 1), Some(1.5));
        assert_eq!(show(&mut late, 3.0, 1), Some(3.0));
        assert_eq!(show(&mut late, 9.0, 1), Some(3.0), "two ticks at most");
        let mut silent = start(false);
        assert_eq!(show(&mut silent, 1.5, 2), Some(1.0));
        let mut moving = start(true);
        assert_eq!(
            show(&mut moving, 1.5, 2),
            Some(1.5),
            "with a velocity the state is only late"
        );
    }

    #[test]
    fn nothing_is_shown_before_the_first_state_or_inside_a_teleport() {
        let mut samples = Samples::new(Tick(5), position(0.0), false);
        assert_eq!(show(&mut samples, 4.5, 5), None);
        assert_eq!(show(&mut samples, 5.0, 5), Some(0.0));
        samples.push(Tick(6), position(500.0), false, false);
        assert_eq!(show(&mut samples, 5.9, 6), Some(0.0));
        assert_eq!(show(&mut samples, 6.0, 6), Some(500.0));
    }

    #[test]
    fn entity_at_rest_starts_moving_at_the_tick_before_its_new_state() {
        let mut samples = Samples::new(Tick(0), position(0.0), false);
        assert_eq!(show(&mut samples, 1.0, 20), Some(0.0));
        samples.push(Tick(20), position(2.0), true, true);
        assert_eq!(show(&mut samples, 19.0, 20), Some(0.0));
        assert_eq!(show(&mut samples, 19.5, 20), Some(1.0));
    }

    #[test]
    fn wrong_extrapolation_is_smoothed_into_the_received_states() {
        let mut samples = Samples::new(Tick(0), position(0.0), true);
        samples.push(Tick(1), position(1.0), false, true);
        assert_eq!(show(&mut samples, 3.0, 1), Some(3.0));
        // The entity had stopped.
        samples.push(Tick(2), position(1.0), false, false);
        samples.push(Tick(4), position(1.0), false, false);
        let mut before = 3.0;
        for step in 1..100 {
            let shown = show(&mut samples, 3.0 + f64::from(step) * 0.2, 40).unwrap();
            assert!(
                shown <= before && before - shown <= 0.6 + 1e-3,
                "{before} to {shown}"
            );
            before = shown;
        }
        assert!((before - 1.0).abs() < 1e-3, "{before}");
    }
}
