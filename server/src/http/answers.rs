//! How requests were answered: tokens issued, and refusals by their code.
//!
//! Owns the counts, which only grow. A count exists from the start for everything that joining can be refused
//! for, so that a reader can tell "never" from "not counted"; other codes come with their first refusal. Their
//! number is bounded by the codes that there are.

use std::collections::BTreeMap;

/// Joins that were answered with a token.
pub(super) const TOKENS_ISSUED: &str = "tokens_issued";

/// Everything that joining can be refused for.
const JOIN_REFUSALS: [&str; 9] = [
    "bad_body",
    "bad_field",
    "bad_name",
    "body_too_large",
    "not_running",
    "protocol_mismatch",
    "rate_limited",
    "server_full",
    "timed_out",
];

/// The counts by name.
#[derive(Debug)]
pub(super) struct AnswerCounts(BTreeMap<&'static str, u64>);

impl Default for AnswerCounts {
    fn default() -> Self {
        let names = JOIN_REFUSALS.into_iter().chain([TOKENS_ISSUED]);
        Self(names.map(|name| (name, 0)).collect())
    }
}

impl AnswerCounts {
    /// Counts one answer.
    pub(super) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// Every count by name.
    pub(super) fn figures(&self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .map(|(&name, &count)| (name.to_owned(), count))
            .collect()
    }
}
