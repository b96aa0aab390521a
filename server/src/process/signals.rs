//! Ctrl-c and SIGTERM: the first signal stops the server, the second ends the process.

use std::io;
use std::process;
use std::thread;

/// Exit code after a second signal, as shells give it for ctrl-c.
const FORCED_EXIT_CODE: i32 = 130;

/// Calls `stop` at the first signal, on a thread of its own.
///
/// # Errors
/// Returns the system's error if it provides no thread or no handler for signals.
pub(super) fn stop_on_signal(stop: impl FnOnce(&'static str) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // Handlers are registered here, so that no signal is missed once this returns.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let watch = move || {
        runtime.block_on(async {
            stop(signals.next().await);
            let name = signals.next().await;
            tracing::warn!("{name} again: ending at once");
            process::exit(FORCED_EXIT_CODE);
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "ctrl-c",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
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
