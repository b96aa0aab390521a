//! Counts of responses: tokens issued, and refusals by their code.
//!
//! Owns the counts, which only grow. Every reason for which joining can be refused has a count from the start, so
//! that a reader can distinguish "never" from "not counted". Other codes are added with their first refusal. Their
//! number is bounded by the number of codes.

use std::collections::BTreeMap;

/// Name of the count of joins that received a token.
pub(super) const TOKENS_ISSUED: &str = "tokens_issued";

/// Codes of all reasons for which joining can be refused.
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

/// Number of responses by name.
#[derive(Debug)]
pub(super) struct ResponseCounts(BTreeMap<&'static str, u64>);

impl Default for ResponseCounts {
    fn default() -> Self {
        let names = JOIN_REFUSALS.into_iter().chain([TOKENS_ISSUED]);
        Self(names.map(|name| (name, 0)).collect())
    }
}

impl ResponseCounts {
    /// Counts one response under its name.
    pub(super) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// Returns every count by name.
    pub(super) fn figures(&self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .map(|(&name, &count)| (name.to_owned(), count))
            .collect()
    }
}
