//! The provenance of a benchmark: processor, kernel, compiler, commit and date.

use std::fs;
use std::process::Command;

use super::results::Provenance;

/// Describes this machine and work tree. Parts that cannot be determined are "unknown".
#[must_use]
pub fn provenance(placement: &str) -> Provenance {
    Provenance {
        machine: format!(
            "{}, {} cores, Linux {}, {}",
            processor().unwrap_or_else(|| "unknown processor".to_owned()),
            cores(),
            fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim(),
            output_of("rustc", &["--version"]).unwrap_or_else(|| "unknown compiler".to_owned()),
        ),
        commit: commit(),
        date: output_of("date", &["-u", "+%F"]).unwrap_or_else(|| "unknown date".to_owned()),
        placement: placement.to_owned(),
    }
}

/// Returns the number of processors that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Returns the short commit, with a `+` if files have changed. Changes in `docs` do not count, as every run makes them.
fn commit() -> String {
    let Some(commit) = output_of("git", &["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changes = output_of("git", &["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    let changed = changes.lines().any(|line| !line.contains("docs/"));
    if changed { format!("{commit}+") } else { commit }
}

/// Returns the trimmed output of a program, or `None` if it fails.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
