//! Statistics of the distance between predictions and the server's states.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;

/// Statistics of the differences between predictions and the server's states.
#[derive(Resource, Debug, Clone, Default)]
pub struct PredictionErrors {
    errors: VecDeque<f32>,
    pub(super) compared: u64,
    pub(super) corrected: u64,
    pub(super) steps: u64,
}

/// Errors that are remembered; the oldest is discarded first.
const ERRORS_MAX: usize = 1_024;

impl PredictionErrors {
    /// Returns the distances between the prediction for a tick and the server's state of it, oldest first; at
    /// most 1,024. Measured for the own entity and the first registered component that is shown.
    pub fn errors(&self) -> impl Iterator<Item = f32> + '_ {
        self.errors.iter().copied()
    }

    /// Returns the newest error; `None` if there is none.
    #[must_use]
    pub fn newest(&self) -> Option<f32> {
        self.errors.back().copied()
    }

    /// Returns the quantile `rank` (0 to 1) of the remembered errors; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, rank: f32) -> Option<f32> {
        let mut sorted: Vec<f32> = self.errors.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted
            .get((last as f32 * rank.clamp(0.0, 1.0)).ceil() as usize)
            .copied()
    }

    /// Returns how many of the server's states were compared with predictions.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Returns how many of the compared states differed from their predictions.
    #[must_use]
    pub fn corrected(&self) -> u64 {
        self.corrected
    }

    /// Returns the number of predicted ticks, repeated ones included.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn note(&mut self, error: f32) {
        if self.errors.len() == ERRORS_MAX {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
    }
}
