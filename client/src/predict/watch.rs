//! Watches how many predictions are corrected, and logs once that most of them are.
//!
//! A game whose step does something else than the server's, or writes the server's value in the place of the predicted
//! one, works, but jerks. Bad lines cause corrections too, though not of most predictions.

/// Number of comparisons that are looked at together.
const WATCHED: u32 = 100;

/// The outcomes of the last comparisons.
#[derive(Debug, Default)]
pub(super) struct CorrectionWatch {
    /// Whether each was corrected; the lowest bit is the newest.
    corrections: u128,
    compared: u32,
    /// Whether the log has said it, or another line that explains corrections.
    pub(super) is_said: bool,
}

impl CorrectionWatch {
    /// Notes a comparison. Logs once, if more than half of the last hundred were corrected.
    pub(super) fn note(&mut self, is_corrected: bool) {
        let mask = (1 << WATCHED) - 1;
        self.corrections = (self.corrections << 1 | u128::from(is_corrected)) & mask;
        self.compared = (self.compared + 1).min(WATCHED);
        let corrected = self.corrections.count_ones();
        if self.compared < WATCHED || corrected <= WATCHED / 2 || std::mem::replace(&mut self.is_said, true) {
            return;
        }
        tracing::warn!(
            "{corrected} of the last {WATCHED} predictions were corrected by the server's states. Do the systems of \
             `PredictTick` write `Present<T>`, and not `T`, and do they do what the server does with the same input?"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_of_most_predictions_is_said_after_a_hundred_comparisons() {
        let mut watch = CorrectionWatch::default();
        for n in 0..1_000 {
            watch.note(n % 2 == 0);
        }
        assert!(!watch.is_said, "half of them is not most");
        let mut watch = CorrectionWatch::default();
        for _ in 0..99 {
            watch.note(true);
        }
        assert!(!watch.is_said);
        watch.note(true);
        assert!(watch.is_said);
    }
}
