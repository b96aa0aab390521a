//! The origin of all times in the process: the only place that reads the wall clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the origin of all times in the process, and that moment since 1970. The wall clock is read only here: a
/// change of the clock while the server runs affects neither ticks nor the validity of tokens.
#[expect(
    clippy::disallowed_methods,
    reason = "the system's time is read here and passed on as a value"
)]
pub(super) fn origin() -> (Instant, Duration) {
    // A clock before 1970 counts as 1970: tokens are issued and checked by the same time.
    (
        Instant::now(),
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    )
}
