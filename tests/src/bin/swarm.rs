//! Loads a server with many bots; see `--help`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use throng_client::table::{grouped, stdout_is_colourful};
use throng_tests::swarm::{self, flags::SwarmFlags, table};

fn main() -> anyhow::Result<ExitCode> {
    let flags = SwarmFlags::parse();
    let report = swarm::run(&flags)?;
    let title = format!(
        "{} bots at {}{}",
        grouped(u64::from(flags.clients)),
        flags.server,
        flags.conditions()
    );
    let drawn = table::draw(&report, &title, stdout_is_colourful());
    io::stdout().write_all(drawn.as_bytes())?;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
