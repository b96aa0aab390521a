//! The game's content as the rules use it: loaded from RON files, checked, and reloaded between ticks.
//!
//! Owns the current [`Rules`]. Guarantees that they are complete and consistent: names resolve, numbers are in
//! range, and the indices that entities store keep their meaning when content is reloaded. An invalid file changes
//! nothing, and the log names its line and the reason.

mod load;
mod reload;
mod rules;
#[cfg(test)]
mod tests;

pub use load::{ContentError, FILES, Sources};
pub(super) use reload::adopt_content;
pub use reload::{ContentWatch, ReloadedRules};
pub use rules::{Rules, pulse, ticks};
