//! The player's choice of graphics detail, which the flags and the saved settings name.

use serde::{Deserialize, Serialize};

/// The player's choice of graphics detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum DetailChoice {
    /// Chosen by the graphics adapter.
    #[default]
    Auto,
    /// All effects are drawn.
    High,
    /// Only what software rendering can draw.
    Low,
}
