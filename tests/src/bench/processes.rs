//! The server and the swarm as child processes: started on free ports, ended with their parent.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::machine;

/// How long a server may take from start to its first answer, and from the signal to its end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which processors each side runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    server: Option<String>,
    swarm: Option<String>,
}

impl Placement {
    /// The swarm on the last processor, the server on all others; nothing where that is impossible.
    #[must_use]
    pub fn choose(pinning: bool) -> Self {
        let cores = machine::cores();
        let usable = Command::new("taskset")
            .arg("--version")
            .output()
            .is_ok_and(|said| said.status.success());
        if !pinning || cores < 2 || !usable {
            return Self {
                server: None,
                swarm: None,
            };
        }
        let last = cores - 1;
        let server = if last == 1 {
            "0".to_owned()
        } else {
            format!("0-{}", last - 1)
        };
        Self {
            server: Some(server),
            swarm: Some(last.to_string()),
        }
    }

    /// For the document.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.server, &self.swarm) {
            (Some(server), Some(swarm)) => {
                format!("server on processor {server}, swarm on processor {swarm}")
            }
            _ => "not confined to processors".to_owned(),
        }
    }

    fn command(processors: Option<&String>, program: &Path) -> Command {
        match processors {
            Some(processors) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(processors).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

/// The release binaries, beside this one.
#[derive(Debug, Clone)]
pub struct Binaries {
    server: PathBuf,
    swarm: PathBuf,
}

impl Binaries {
    /// Builds both and finds them.
    pub fn build() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "-p", "throng-server", "-p", "throng-tests"]);
        build.args(["--bin", "throng-server", "--bin", "swarm"]);
        let status = build
            .status()
            .context("cannot run cargo to build the server and the swarm")?;
        if !status.success() {
            bail!("the server or the swarm does not build");
        }
        let this = std::env::current_exe().context("cannot tell where this program lies")?;
        let target = this
            .parent()
            .and_then(Path::parent)
            .context("this program lies outside a target folder")?;
        let release = target.join("release");
        Ok(Self {
            server: release.join("throng-server"),
            swarm: release.join("swarm"),
        })
    }
}

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    http: String,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(
        binaries: &Binaries,
        placement: &Placement,
        workers: u8,
        arguments: &[String],
    ) -> Result<Self> {
        let http = format!("127.0.0.1:{}", free_tcp_port()?);
        let udp = format!("127.0.0.1:{}", free_udp_ports(u16::from(workers.max(1)))?);
        let log = std::env::temp_dir().join(format!("throng-bench-{}.log", http.replace(':', "-")));
        let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = output.try_clone().context("cannot share the log file")?;
        let child = Placement::command(placement.server.as_ref(), &binaries.server)
            .args(["--http", &http, "--udp", &udp])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", binaries.server.display()))?;
        let mut server = Self { child, http, log };
        server.await_health()?;
        Ok(server)
    }

    /// Its HTTP address.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    fn await_health(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let url = format!("http://{}/v1/health", self.http);
        while ureq::get(&url).call().is_err() {
            if let Some(status) = self.child.try_wait().context("cannot watch the server")? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the server ended at once ({status}):\n{log}");
            }
            if Instant::now() > deadline {
                bail!(
                    "the server does not answer at {url} after {PATIENCE:?}; see {}",
                    self.log.display()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends the server as an operator would and expects exit code 0.
    pub fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        asked.context("cannot signal the server")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().context("cannot watch the server")? {
                Some(status) if status.success() => break,
                Some(status) => bail!("the server ended with {status}; see {}", self.log.display()),
                None if Instant::now() > deadline => bail!("the server ignores SIGTERM for {PATIENCE:?}"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        // A log that cannot be removed does no harm in the temporary folder.
        let _ = fs::remove_file(&self.log);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the swarm to its end. Its exit code is not an error: the report says what it means.
pub fn run_swarm(binaries: &Binaries, placement: &Placement, arguments: &[String]) -> Result<()> {
    Placement::command(placement.swarm.as_ref(), &binaries.swarm)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", binaries.swarm.display()))?;
    Ok(())
}

fn free_tcp_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free TCP port")?;
    Ok(listener.local_addr().context("no free TCP port")?.port())
}

/// The first of `count` consecutive free UDP ports.
fn free_udp_ports(count: u16) -> Result<u16> {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0").context("no free UDP port")?;
        let base = first.local_addr().context("no free UDP port")?.port();
        let rest = (1..count).map(|step| {
            base.checked_add(step)
                .map(|port| UdpSocket::bind(("127.0.0.1", port)))
        });
        if rest.into_iter().all(|bound| matches!(bound, Some(Ok(_)))) {
            return Ok(base);
        }
    }
    bail!("no {count} consecutive free UDP ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_ports_are_free_together() {
        let base = free_udp_ports(3).unwrap();
        let bound: Vec<_> = (0..3)
            .map(|step| UdpSocket::bind(("127.0.0.1", base + step)))
            .collect();
        assert!(bound.iter().all(Result::is_ok));
    }
}
