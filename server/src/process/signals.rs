//! The signals that stop the server: the first asks it to stop, the second ends the process.
//!
//! | signal | sent by |
//! |---|---|
//! | SIGINT | ctrl-c |
//! | SIGTERM | `kill`, a supervisor, a container |
//! | SIGHUP | a terminal that is closed; not taken where it is ignored, as under `nohup` |
//!
//! Guarantees that the process ends: a server that has not stopped [`STOP_WITHIN`] after the first signal is ended.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::stderr_log;

/// Exit code after a second signal, as shells give it for ctrl-c.
const FORCED_EXIT_CODE: i32 = 130;
/// Exit code of a server that did not stop in time.
const STUCK_EXIT_CODE: i32 = 1;
/// Limit on the time from the first signal to the end of the server: goodbyes take milliseconds, so something is stuck.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Calls `stop` at the first signal, on a thread of its own. The server has stopped when the sender of `running` is
/// dropped.
///
/// # Errors
/// Returns the system's error if it provides no thread or no handler for signals.
pub(super) fn stop_on_signal(
    mut running: watch::Receiver<()>,
    stop: impl FnOnce(&'static str) + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    // Handlers are registered here, so that no signal is missed once this returns.
    let mut signals = runtime.block_on(async { StopSignals::new() })?;
    let watch = move || {
        runtime.block_on(async {
            stop(signals.next().await);
            let name = tokio::select! {
                name = signals.next() => name,
                () = tokio::time::sleep(STOP_WITHIN) => {
                    tracing::error!("still running {STOP_WITHIN:?} after the signal: ending at once");
                    exit(STUCK_EXIT_CODE);
                }
                // Nothing is ever sent: the channel only closes. What the program does afterwards has no limit.
                _ = running.changed() => signals.next().await,
            };
            tracing::warn!("{name} again: ending at once");
            exit(FORCED_EXIT_CODE);
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}

/// Ends the process, whatever its other threads do.
fn exit(code: i32) -> ! {
    stderr_log::flush();
    process::exit(code)
}

#[cfg(unix)]
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl StopSignals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "ctrl-c",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hangup => "SIGHUP",
        }
    }
}

/// Returns whether the process was started with SIGHUP ignored. Only Linux tells; elsewhere `nohup` has no effect.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, libc::SIGHUP))
}

/// Returns whether a `/proc/PID/status` says that the process ignores `signal`.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        // Without a console there are no signals; the process is ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "ctrl-c"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_of_the_process() {
        let nohup = "Name:\tthrong-server\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
        assert!(ignores(nohup, libc::SIGHUP) && ignores(nohup, libc::SIGPIPE));
        assert!(!ignores(nohup, libc::SIGTERM) && !ignores(nohup, libc::SIGINT));
        assert!(!ignores("SigIgn:\tnonsense\n", libc::SIGHUP) && !ignores("", libc::SIGHUP));
    }
}
