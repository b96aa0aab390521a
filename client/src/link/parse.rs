//! The properties of a bad line as people write them, for the flags of programs.

use std::time::Duration;

/// Reads a probability from 0 to 1, such as `0.05` or `5%`.
///
/// # Errors
/// A text that says what is accepted.
pub fn parse_probability(text: &str) -> Result<f64, String> {
    let (number, scale) = text
        .strip_suffix('%')
        .map_or((text, 1.0), |percent| (percent, 100.0));
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value / scale)) => Ok(value / scale),
        _ => Err("must be a probability from 0 to 1, or a percentage from 0% to 100%".to_owned()),
    }
}

/// Reads a delay of 0 to 10,000 milliseconds.
///
/// # Errors
/// A text that says what is accepted.
pub fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=10_000.0).contains(&value) => Ok(Duration::from_secs_f64(value / 1e3)),
        _ => Err("must be milliseconds from 0 to 10000".to_owned()),
    }
}
