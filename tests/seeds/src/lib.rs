//! How many seeds a randomized test plays.
//!
//! A randomized test names all of its seeds, and how many of them are enough while a developer waits. `cargo test`
//! plays the few. The environment variable `TEST_SEEDS` asks for more: `all`, as in `.ci/run`, or a number.
//! Its name does not begin with `THRONG_`, as a server refuses variables with this prefix that are not settings.

/// Returns the seeds to play: the first `few`, all, or as many as the environment asks for, at most all.
///
/// # Panics
/// If `TEST_SEEDS` is neither `all` nor a number.
pub fn seeds<I: IntoIterator>(all: I, few: u32) -> impl Iterator<Item = I::Item> {
    all.into_iter().take(count(u32::MAX, few) as usize)
}

/// Returns the number of rounds of a test that can play any number of them, for example of a property test.
///
/// # Panics
/// If `TEST_SEEDS` is neither `all` nor a number.
#[must_use]
pub fn count(all: u32, few: u32) -> u32 {
    match std::env::var("TEST_SEEDS").as_deref() {
        Err(_) => few,
        Ok("all") => all,
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("TEST_SEEDS={value} is neither \"all\" nor a number")),
    }
}
