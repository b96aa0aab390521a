//! The command line of the benchmark program.

use std::path::PathBuf;

use clap::Parser;

/// Measures Throng and writes docs/benchmarks.md.
///
/// Starts a release server and the swarm on free ports of this machine, row after row. Results are kept as
/// JSON in docs/benchmarks/, so that rows can be measured again one by one. The document and its charts are
/// always assembled from all results.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
pub struct BenchFlags {
    /// Measure only the row of this name, or all whose names contain it; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// One short run of each row instead of three full ones. The results are not for publication.
    #[arg(long)]
    pub quick: bool,

    /// Runs of each row.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,

    /// Measured seconds of each run.
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,

    /// List the rows and do nothing.
    #[arg(long)]
    pub list: bool,

    /// Measure nothing; assemble the document from the results on disk.
    #[arg(long)]
    pub assemble: bool,

    /// Let the system place the processes. Otherwise the swarm runs alone on the last processor, and the server
    /// on all others.
    #[arg(long)]
    pub no_pinning: bool,

    /// Folder that receives `benchmarks.md`; the results go to its subfolder `benchmarks`.
    #[arg(long, value_name = "DIR", default_value = "docs")]
    pub docs: PathBuf,
}

impl BenchFlags {
    /// Returns the number of runs of each row and the seconds of each run.
    #[must_use]
    pub fn effort(&self) -> (u32, u32) {
        if self.quick {
            (1, self.seconds.min(6))
        } else {
            (self.runs, self.seconds)
        }
    }

    /// Returns whether to measure the row `name`, which is one of `names`.
    #[must_use]
    pub fn wants(&self, name: &str, names: &[&str]) -> bool {
        let matches = |part: &String| {
            // A complete name selects only that row, even if it is a part of other names.
            if names.contains(&part.as_str()) {
                name == part
            } else {
                name.contains(part.as_str())
            }
        };
        self.only.is_empty() || self.only.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_name_selects_one_row_and_a_part_several() {
        let names = ["crowd-60-20", "crowd-60-200", "static"];
        let wanted = |only: &[&str]| {
            let line = ["bench"]
                .into_iter()
                .chain(only.iter().flat_map(|part| ["--only", part]));
            let flags = BenchFlags::parse_from(line);
            names
                .into_iter()
                .filter(|name| flags.wants(name, &names))
                .collect::<Vec<_>>()
        };
        assert_eq!(wanted(&["crowd-60-20"]), ["crowd-60-20"]);
        assert_eq!(wanted(&["crowd"]), ["crowd-60-20", "crowd-60-200"]);
        assert_eq!(wanted(&["static", "200"]), ["crowd-60-200", "static"]);
        assert_eq!(wanted(&[]), names);
    }
}
