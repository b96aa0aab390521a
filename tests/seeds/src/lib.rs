//! How many seeds a randomized test plays.
//!
//! A randomized test names all of its seeds, and how many of them are enough while a developer waits. `cargo test`
//! plays the few. The environment variable `TEST_SEEDS` asks for more: `all`, as in `.ci/run`, or a number.
//! Its name does not begin with `THRONG_`, as a server refuses variables with this prefix that are not settings.

/// The number of seeds that the environment asks for.
enum Asked {
    Few,
    All,
    Count(u32),
}

/// Reads `TEST_SEEDS`.
///
/// # Panics
/// If it is neither `all` nor a number.
fn asked() -> Asked {
    match std::env::var("TEST_SEEDS") {
        Err(_) => Asked::Few,
        Ok(value) if value == "all" => Asked::All,
        Ok(value) => match value.parse() {
            Ok(count) => Asked::Count(count),
            Err(_) => panic!("TEST_SEEDS={value} is neither \"all\" nor a number"),
        },
    }
}

/// Returns the seeds to play: the first `few`, all, or as many as the environment asks for, at most all.
pub fn seeds<I: IntoIterator>(all: I, few: usize) -> impl Iterator<Item = I::Item> {
    let count = match asked() {
        Asked::Few => few,
        Asked::All => usize::MAX,
        Asked::Count(count) => count as usize,
    };
    all.into_iter().take(count)
}

/// Returns the number of rounds of a test that can play any number of them, for example of a property test.
#[must_use]
pub fn count(all: u32, few: u32) -> u32 {
    match asked() {
        Asked::Few => few,
        Asked::All => all,
        Asked::Count(count) => count,
    }
}
