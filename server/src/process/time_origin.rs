//! The origin of all times in the process: the only reading of the wall clock by which anything is decided.
//!
//! All times of the process are read from the system's monotonic clock and count from the origin. It cannot be set, and
//! stands still while the machine is suspended. Tokens contain seconds since 1970, as netcode wants it: the time of the
//! origin since 1970, and the time since the origin. Both the HTTP API, which dates tokens, and the net workers, which
//! judge them, add up these two. So no change of the system's clock makes a token older or younger, and after a
//! suspension the dates lag behind the wall clock without an effect. A client compares only the dates of its token with
//! each other.
//!
//! The wall clock is read elsewhere only to measure: how long a datagram waited in the kernel, which dates it by the
//! wall clock, and when ticks were published, for other processes of the machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the origin of all times in the process, and that moment in whole seconds since 1970: with a fraction, two
/// parts of the process could round the same moment to different seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the system's time is read here and passed on as a value"
)]
pub(super) fn origin() -> (Instant, Duration) {
    // A clock before 1970 counts as 1970: tokens are dated and judged by the same time.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), Duration::from_secs(since_1970.as_secs()))
}
