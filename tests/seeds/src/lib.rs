//! How many seeds a randomized test plays.
//!
//! A randomized test names all of its seeds, and how many of them are enough while a developer waits. `cargo test`
//! plays the few; with the environment variable `THRONG_SEEDS=all`, which `.ci/run` sets, it plays all.

/// Returns whether all seeds are played: whether `THRONG_SEEDS` is `all`.
#[must_use]
pub fn plays_all() -> bool {
    std::env::var_os("THRONG_SEEDS").is_some_and(|value| value == "all")
}

/// Returns the seeds to play: all, or the first `few` of them.
pub fn seeds<I: IntoIterator>(all: I, few: usize) -> impl Iterator<Item = I::Item> {
    let count = if plays_all() { usize::MAX } else { few };
    all.into_iter().take(count)
}

/// Returns the number of cases of a property test: `all`, or `few`.
#[must_use]
pub fn cases(all: u32, few: u32) -> u32 {
    if plays_all() { all } else { few }
}
