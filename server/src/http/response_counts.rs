//! Counts of responses: tokens issued, refusals by their code, and connections that the server ended.
//!
//! Owns the counts, which only grow. Every reason for which a request can be refused has a count from the start, and so
//! has every reason for which the server ends a connection, so that a reader can distinguish "never" from "not counted".

use std::collections::BTreeMap;

/// Name of the count of joins that received a token.
pub(super) const TOKENS_ISSUED: &str = "tokens_issued";

/// Codes of all reasons for which a request can be refused.
const REFUSALS: [&str; 20] = [
    "address_full",
    "bad_body",
    "bad_field",
    "bad_forwarded_for",
    "bad_host",
    "bad_name",
    "body_too_large",
    "cross_origin",
    "internal",
    "method_not_allowed",
    "not_found",
    "not_json",
    "not_running",
    "not_through_proxy",
    "protocol_mismatch",
    "rate_limited",
    "server_full",
    "timed_out",
    "token_required",
    "wrong_host",
];

/// Names of the counts of connections that the server ended or did not begin: of those that made room for others, that
/// were over the rate of their address, that took too long, and that began with HTTP/2.
const CONNECTION_ENDS: [&str; 4] = [
    "connections_displaced",
    "connections_refused",
    "connections_timed_out",
    "http_version",
];

/// Number of responses by name.
#[derive(Debug)]
pub(super) struct ResponseCounts(BTreeMap<&'static str, u64>);

impl Default for ResponseCounts {
    fn default() -> Self {
        let names = REFUSALS.into_iter().chain(CONNECTION_ENDS).chain([TOKENS_ISSUED]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_refusal_is_counted_from_the_start() {
        let errors = include_str!("error.rs");
        let codes = errors.lines().filter(|line| line.contains("=> (StatusCode::"));
        let codes: Vec<&str> = codes.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(codes.len() > 15);
        let counts = ResponseCounts::default().figures();
        for code in codes {
            assert!(
                counts.contains_key(code),
                "`{code}` has no count before its first refusal"
            );
        }
    }
}
