//! Runs the server and the swarm as child processes, each on its own processors if there are enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::machine;
use crate::process::{ServerProcess, build};

/// The processors on which each side runs. If there are none, the system chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The last processor, for the swarm. The server runs on all processors before it.
    swarm: Option<usize>,
}

impl Placement {
    /// Places the swarm on the last processor and the server on all others, if `pinning` and at least two exist.
    #[must_use]
    pub fn choose(pinning: bool) -> Self {
        let cores = machine::cores();
        Self {
            swarm: (pinning && cores >= 2).then(|| cores - 1),
        }
    }

    /// Returns a description for the document.
    #[must_use]
    pub fn describe(self) -> String {
        match self.swarm {
            Some(1) => "server on processor 0, swarm on processor 1".to_owned(),
            Some(last) => format!(
                "server on processors 0 to {}, swarm on processor {last}",
                last - 1
            ),
            None => "not confined to processors".to_owned(),
        }
    }

    /// Starts the server on its processors.
    ///
    /// # Errors
    /// If the server does not start. Its output is in the error.
    pub fn start_server(self, flags: &[String]) -> Result<ServerProcess> {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let start = || ServerProcess::start(&flags);
        match self.swarm {
            Some(last) => on_processors(0..last, start)?,
            None => start(),
        }
    }

    /// Runs the swarm to its end. A failing exit code is not an error, as the report contains the reason.
    ///
    /// # Errors
    /// If the swarm does not start.
    pub fn run_swarm(self, swarm: &Path, flags: &[String]) -> Result<()> {
        let run = || {
            Command::new(swarm)
                .args(flags)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
        };
        let status = match self.swarm {
            Some(last) => on_processors(last..last + 1, run)?,
            None => run(),
        };
        status.with_context(|| format!("cannot start {}", swarm.display()))?;
        Ok(())
    }
}

/// Runs `act` only on these processors. Child processes inherit the restriction.
fn on_processors<T>(processors: std::ops::Range<usize>, act: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None).context("cannot read which processors may be used")?;
    let mut confined = CpuSet::new();
    processors.for_each(|processor| confined.set(processor));
    sched_setaffinity(None, &confined).context("cannot confine a process to processors; try --no-pinning")?;
    let done = act();
    sched_setaffinity(None, &before).context("cannot use all processors again")?;
    Ok(done)
}

/// Builds the swarm with this program's profile and returns its path.
///
/// # Errors
/// If cargo fails, or a path is unknown.
pub fn build_swarm() -> Result<PathBuf> {
    Ok(build(&["--bin", "swarm"])?.join("swarm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_inherits_its_processors_and_the_parents_are_restored() {
        let all = machine::cores();
        let child = on_processors(0..1, || Command::new("nproc").output())
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&child.stdout).trim(), "1");
        assert_eq!(machine::cores(), all);
    }
}
