//! Instructions of replication for one client in one tick, which no busy machine disturbs.
//!
//! callgrind counts the instructions of the example `replication_cost`, whose crowd follows from a fixed seed, without
//! sockets, encryption or a clock. A run of twice as many ticks minus one run leaves the steady state.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::machine;
use super::results::Provenance;
use crate::process::build;

/// Name of the row for `--only`, and of its file.
pub const NAME: &str = "instructions";
/// Description of the row for `--list`.
pub const TITLE: &str = "instructions of replication per client-tick, counted by callgrind";

const CLIENTS: u32 = 1_000;
const TICKS: u32 = 100;
/// The example's function that serves all clients in one tick. The functions that it calls are inlined into it.
const REPLICATION: &str = "replication_cost::serve";

/// The counts of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstructionCounts {
    /// The machine and the commit of the measurement.
    pub provenance: Provenance,
    /// The command whose instructions were counted.
    pub command: String,
    /// Instructions per client-tick of writing snapshots and of processing their acknowledgements.
    pub replication: f64,
    /// Instructions per client-tick of the whole program, which also moves the crowd and publishes frames.
    pub program: f64,
}

/// Counts the instructions of replication. Takes a few minutes.
///
/// # Errors
/// If the example does not build, or valgrind is not installed or fails.
pub fn measure() -> Result<InstructionCounts> {
    let program = build(&["--example", "replication_cost"])?.join("examples/replication_cost");
    let steady = |function| -> Result<f64> {
        let once = count(&program, TICKS, function)?;
        let twice = count(&program, 2 * TICKS, function)?;
        Ok(twice.saturating_sub(once) as f64 / f64::from(CLIENTS) / f64::from(TICKS))
    };
    Ok(InstructionCounts {
        provenance: machine::provenance("valgrind"),
        command: format!("replication_cost --clients {CLIENTS} --ticks {TICKS}"),
        replication: steady(Some(REPLICATION))?,
        program: steady(None)?,
    })
}

/// Returns the number of instructions that a run executes in `function` and in what it calls, or in the whole program if
/// no function is given.
fn count(program: &Path, ticks: u32, function: Option<&str>) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    if let Some(name) = function {
        valgrind.args(["--collect-atstart=no", &format!("--toggle-collect={name}")]);
    }
    let output = valgrind
        .arg(program)
        .args(["--clients", &CLIENTS.to_string(), "--ticks", &ticks.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("valgrind is not installed")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed:\n{log}");
    let counted = log.lines().find_map(|line| line.split_once("Collected : "));
    let counted = counted.and_then(|(_, count)| count.trim().parse().ok());
    counted.filter(|&count| count > 0).with_context(|| {
        format!(
            "callgrind counted nothing in {}:\n{log}",
            function.unwrap_or("the program")
        )
    })
}

/// Returns the document's section about the instruction counts.
#[must_use]
pub fn section(counts: &InstructionCounts) -> String {
    let from = &counts.provenance;
    let mut text = format!(
        "\n## Instructions\n\nThe work of a net worker for one client in one tick of the crowd with 60 visible entities, \
         counted by callgrind\nwithout sockets and encryption. The pace of the machine does not change it.\n\n\
         `{}`, commit {}, {}\n\n| what | instructions per client-tick |\n|---|---:|\n",
        counts.command, from.commit, from.date
    );
    let rows = [
        ("snapshots and their acknowledgements", counts.replication),
        (
            "the whole program, the crowd's own steps included",
            counts.program,
        ),
    ];
    for (what, instructions) in rows {
        let _ = writeln!(text, "| {what} | **{instructions:.0}** |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results;
    use super::*;

    #[test]
    fn stored_counts_are_loaded_and_shown() {
        let folder = tempfile::tempdir().unwrap();
        let load = || results::load::<InstructionCounts>(folder.path(), NAME).unwrap();
        assert_eq!(load(), None);
        let counts = InstructionCounts {
            provenance: Provenance::default(),
            command: "replication_cost".to_owned(),
            replication: 8_855.4,
            program: 9_963.0,
        };
        results::save(folder.path(), NAME, &counts).unwrap();
        assert_eq!(load().as_ref(), Some(&counts));
        assert!(section(&counts).contains("| **8855** |"), "{}", section(&counts));
    }
}
