//! Measures the least costs of a server of this kind on this machine; see `--help`.

fn main() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    return {
        use clap::Parser;
        use throng_tests::bench::floor::{self, FloorFlags};
        floor::run(&FloorFlags::parse())
    };
    #[cfg(not(target_os = "linux"))]
    anyhow::bail!("the floor is measured with batched datagrams, which only Linux supports");
}
