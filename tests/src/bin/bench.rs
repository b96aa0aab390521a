//! Measures Throng and writes `docs/benchmarks.md`; see `--help`.

use clap::Parser;
use throng_tests::bench::{self, flags::BenchFlags};

fn main() -> anyhow::Result<()> {
    bench::run(&BenchFlags::parse())
}
