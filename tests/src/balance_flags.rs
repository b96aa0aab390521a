//! The command line of the balance program.

use std::path::PathBuf;

use clap::Parser;

/// Runs duels of every pair of classes and a match, in memory, and prints the results.
#[derive(Debug, Parser)]
#[command(name = "balance", version)]
pub struct BalanceFlags {
    /// Folder with the content (default: built in).
    #[arg(long, value_name = "FOLDER")]
    pub content: Option<PathBuf>,
    /// Duels of each pair of classes.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub duels: u64,
    /// Pilots of the match. With 0 there is no match.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub pilots: u64,
    /// Duration of the match in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub seconds: u32,
}
