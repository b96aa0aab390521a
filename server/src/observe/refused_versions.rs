//! The protocols of clients that were refused, so that each is logged once.

use std::collections::BTreeSet;

/// Protocols that are remembered. One more clears the memory, and all are logged once more.
const VERSIONS_MAX: usize = 64;

/// The protocols that were logged, as text.
#[derive(Debug, Default)]
pub(crate) struct RefusedVersions(BTreeSet<String>);

impl RefusedVersions {
    /// Returns whether the client's protocol was not refused before, and remembers it.
    pub(crate) fn is_new(&mut self, client: &str) -> bool {
        if self.0.contains(client) {
            return false;
        }
        if self.0.len() >= VERSIONS_MAX {
            self.0.clear();
        }
        self.0.insert(client.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_new_once_and_the_memory_is_bounded() {
        let mut refused = RefusedVersions::default();
        for n in 0..3 * VERSIONS_MAX {
            assert!(refused.is_new(&n.to_string()), "{n}");
            assert!(!refused.is_new(&n.to_string()), "{n}");
            assert!(refused.0.len() <= VERSIONS_MAX);
        }
    }
}
