//! How far predictions were from what the server then said.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;

/// How good predictions are.
#[derive(Resource, Debug, Clone, Default)]
pub struct PredictionErrors {
    errors: VecDeque<f32>,
    pub(super) compared: u64,
    pub(super) corrected: u64,
    pub(super) steps: u64,
}

/// Errors that are remembered.
const ERRORS_MAX: usize = 1_024;

impl PredictionErrors {
    /// Distances between what was predicted for a tick and the server's state of it, of the own entity and the
    /// first shown component that was registered, oldest first; at most 1,024.
    pub fn errors(&self) -> impl Iterator<Item = f32> + '_ {
        self.errors.iter().copied()
    }

    /// The newest of them.
    #[must_use]
    pub fn newest(&self) -> Option<f32> {
        self.errors.back().copied()
    }

    /// The error that the share `rank` of the remembered ones does not exceed, 0 to 1; `None` without any.
    #[must_use]
    pub fn quantile(&self, rank: f32) -> Option<f32> {
        let mut sorted: Vec<f32> = self.errors.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted
            .get((last as f32 * rank.clamp(0.0, 1.0)).ceil() as usize)
            .copied()
    }

    /// States of the server that were compared with predictions.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Of these, how many differed.
    #[must_use]
    pub fn corrected(&self) -> u64 {
        self.corrected
    }

    /// Ticks predicted, again or for the first time.
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
