//! The server and the swarm as child processes, each on processors of its own where there are enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::machine;
use crate::process::ServerProcess;

/// Which processors each side runs on: none stands for wherever the system likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The last processor, for the swarm; the server gets those before it.
    swarm: Option<usize>,
}

impl Placement {
    /// The swarm on the last processor and the server on all others, where there are two at least.
    #[must_use]
    pub fn choose(pinning: bool) -> Self {
        let cores = machine::cores();
        Self {
            swarm: (pinning && cores >= 2).then(|| cores - 1),
        }
    }

    /// For the document.
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

    /// Starts the server.
    ///
    /// # Errors
    /// When it does not start; its output is in the error.
    pub fn start_server(self, flags: &[String]) -> Result<ServerProcess> {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let start = || ServerProcess::start(&flags);
        match self.swarm {
            Some(last) => on_processors(0..last, start)?,
            None => start(),
        }
    }

    /// Runs the swarm to its end. Its exit code is not an error: the report says what it means.
    ///
    /// # Errors
    /// When it does not start.
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

/// Does something on these processors alone: child processes inherit that.
fn on_processors<T>(processors: std::ops::Range<usize>, act: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None).context("cannot tell which processors may be used")?;
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
/// When cargo fails.
pub fn build_swarm() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's path")?;
    let folder = own.parent().context("a target folder")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "-p", "throng-tests", "--bin", "swarm"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?;
    let status = build
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cargo")?;
    ensure!(status.success(), "the swarm does not build");
    Ok(folder.join("swarm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_inherits_its_processors_and_the_parent_gets_its_own_back() {
        let all = machine::cores();
        let child = on_processors(0..1, || Command::new("nproc").output())
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&child.stdout).trim(), "1");
        assert_eq!(machine::cores(), all);
    }
}
