//! A real server process on free ports of the loopback interface.
//!
//! Owns the process: dropping a [`ServerProcess`] ends it. Guarantees that a started server responds over HTTP. It is
//! for tests whose subject is the process (start, stop, signals, sockets). All other tests run in the simulator.

use std::{
    fs::File,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use throng_server::observe::StatsReport;

/// UDP ports in a row that [`free_ports`] reserves: one for each worker that a test may start.
pub const UDP_PORTS: u16 = 4;

/// The most time that a server may take to respond after its start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two checks whether a server responds or has ended.
const POLL: Duration = Duration::from_millis(20);

/// Offset at which the next search for free ports begins. The ports are below the range from which the kernel assigns
/// its own.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// Builds the server once, with the profile of this test, and returns its path.
///
/// # Errors
/// If cargo fails. Its output is in the error.
pub fn server_binary() -> Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    binary(&BINARY, "throng-server")
}

/// Builds the client once, without a window, with the profile of this test, and returns its path.
///
/// # Errors
/// If cargo fails. Its output is in the error.
pub fn client_binary() -> Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    binary(&BINARY, "skirmish")
}

/// Returns the cargo that started this program, without the variables that it set for this program. Build scripts of
/// dependencies look at them: with them, cargo would compile everything once more now, and again the next time without.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

fn binary(built: &'static OnceLock<PathBuf>, name: &str) -> Result<&'static Path> {
    if let Some(path) = built.get() {
        return Ok(path);
    }
    let folder = build(&["--bin", name])?;
    Ok(built.get_or_init(|| folder.join(name)))
}

/// Builds targets of the default members with the profile of this program. Returns the folder of that profile.
///
/// # Errors
/// If cargo fails. Its output is in the error.
pub fn build(targets: &[&str]) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's path is unknown")?;
    // target/PROFILE/deps/THIS for a test, target/PROFILE/THIS for a program.
    let folder = own
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .context("this program is not in a target folder")?;
    let mut build = cargo();
    build.args(["build", "--locked", "--quiet"]).args(targets);
    if folder.ends_with("release") {
        build.arg("--release");
    } else {
        // With a test among the targets, dependencies have the features that `cargo test` gave them. With others, the
        // whole server would be compiled once more.
        build.args(["--test", "behaviour"]);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace folder is unknown")?;
    let output = build
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(folder.to_owned())
}

/// Returns a free TCP port and the first of [`UDP_PORTS`] free UDP ports in a row.
///
/// Another process can bind them before the server does. Tests of one process never receive the same ports.
///
/// # Errors
/// If a thousand attempts find none.
pub fn free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let spread = (std::process::id() % 500) as u16 * 20;
    for _ in 0..1_000 {
        let port = 20_000 + (spread + NEXT_PORT.fetch_add(UDP_PORTS + 1, Ordering::Relaxed)) % 10_000;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let udp: Vec<_> = (0..UDP_PORTS)
            .map_while(|worker| UdpSocket::bind(local(port + worker)).ok())
            .collect();
        let http = local(port + UDP_PORTS);
        if udp.len() == usize::from(UDP_PORTS) && TcpListener::bind(http).is_ok() {
            return Ok((http, local(port)));
        }
    }
    bail!("no free ports");
}

/// A running server process with its addresses and output.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    http: SocketAddr,
    udp: SocketAddr,
    log: tempfile::TempPath,
}

impl ServerProcess {
    /// Starts a server with `--http`, `--udp` and these flags, and waits until it responds over HTTP.
    ///
    /// # Errors
    /// If the server cannot be built, ends or does not respond in time. Its output is in the error.
    pub fn start(flags: &[&str]) -> Result<Self> {
        Self::start_with(flags, |_| {})
    }

    /// Starts a server like [`Self::start`], after `change` has changed its environment or its streams.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
    pub fn start_with(flags: &[&str], change: impl FnOnce(&mut Command)) -> Result<Self> {
        let (http, udp) = free_ports()?;
        let mut command = Command::new(server_binary()?);
        Self::add_flags(&mut command, http, udp, flags);
        Self::start_command(http, udp, command, change)
    }

    /// Starts a server from a shell, and waits until it responds over HTTP. `script` starts it by `exec "$@"`.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
    pub fn start_in_shell(script: &str, flags: &[&str]) -> Result<Self> {
        let (http, udp) = free_ports()?;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(server_binary()?);
        Self::add_flags(&mut command, http, udp, flags);
        Self::start_command(http, udp, command, |_| {})
    }

    fn add_flags(command: &mut Command, http: SocketAddr, udp: SocketAddr, flags: &[&str]) {
        command
            .args(["--http", &http.to_string(), "--udp", &udp.to_string()])
            .args(flags);
    }

    /// Runs a command that is a server at these addresses, and waits until it responds over HTTP.
    ///
    /// # Errors
    /// If the server ends or does not respond in time. Its output is in the error.
    pub fn start_command(
        http: SocketAddr,
        udp: SocketAddr,
        command: Command,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut server = Self::spawn_command(http, udp, command, change)?;
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", server.output()?);
            }
            if ureq::get(format!("http://{http}/v1/health")).call().is_ok() {
                return Ok(server);
            }
            thread::sleep(POLL);
        }
        bail!("no response on {http} after {PATIENCE:?}:\n{}", server.output()?);
    }

    /// Starts a server at these addresses and does not wait for it.
    ///
    /// # Errors
    /// If the server cannot be built or started.
    pub fn spawn(http: SocketAddr, udp: SocketAddr, flags: &[&str]) -> Result<Self> {
        let mut command = Command::new(server_binary()?);
        Self::add_flags(&mut command, http, udp, flags);
        Self::spawn_command(http, udp, command, |_| {})
    }

    fn spawn_command(
        http: SocketAddr,
        udp: SocketAddr,
        mut command: Command,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let log = tempfile::NamedTempFile::new()?;
        // Both streams share one open file. With two, each would overwrite the other's output.
        let output = log.reopen()?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        change(&mut command);
        let child = command.spawn().context("cannot start throng-server")?;
        Ok(Self {
            child,
            http,
            udp,
            log: log.into_temp_path(),
        })
    }

    /// Returns the address of the HTTP server.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Returns the first worker's UDP address.
    #[must_use]
    pub fn udp(&self) -> SocketAddr {
        self.udp
    }

    /// Returns the server's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads the server's figures from `GET /v1/stats`.
    ///
    /// # Errors
    /// If the request fails or the response is invalid.
    pub fn stats(&self) -> Result<StatsReport> {
        let url = format!("http://{}/v1/stats", self.http);
        Ok(ureq::get(url).call()?.body_mut().read_json()?)
    }

    /// Returns the server's output so far.
    ///
    /// # Errors
    /// If the output's file cannot be read.
    pub fn output(&self) -> Result<String> {
        let mut text = String::new();
        File::open(&self.log)?.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Stops the server with SIGTERM and waits until it has ended. Returns its status and output.
    ///
    /// # Errors
    /// If it does not end in time. Its output is in the error.
    pub fn stop(mut self) -> Result<(ExitStatus, String)> {
        self.signal("TERM")?;
        let status = self.wait()?;
        Ok((status, self.output()?))
    }

    /// Sends the server a signal by name, such as `TERM`.
    ///
    /// # Errors
    /// If `kill` fails.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()?;
        ensure!(status.success(), "kill -{name}: {status}");
        Ok(())
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// If it does not end in time. Its output is in the error.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        bail!("still running after {PATIENCE:?}:\n{}", self.output()?);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Errors are ignored: the server may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
