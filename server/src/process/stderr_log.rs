//! The log on standard error, and all else that the process writes there.
//!
//! Owns the [`LineWriter`] of standard error. Guarantees that no thread waits for standard error or panics because it
//! takes nothing: events of the log and the messages of panics go through the writer's queue. What other code writes
//! to standard error by itself, as Bevy does when a system panics, cannot block once a panic has found that standard
//! error is not read.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::line_writer::{LineWriter, unlocked};

/// Limit on the time for which the end of the process waits for the last lines.
const FLUSH_AT_END: Duration = Duration::from_millis(300);
/// Limit on the time for which a panic waits until its message is written.
const FLUSH_PANIC: Duration = Duration::from_millis(100);

static STDERR: OnceLock<LineWriter> = OnceLock::new();

/// Starts to log what `filter` allows, and to report panics. If there is a logger already, that one and the panic hook
/// stay.
///
/// # Errors
/// Returns the system's error if it provides no thread.
pub(super) fn start(filter: Targets) -> io::Result<()> {
    take_file_size_signal()?;
    let terminal = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let writer = match STDERR.get() {
        Some(writer) => writer,
        None => {
            let started = LineWriter::start("log", unlocked(io::stderr()))?;
            STDERR.get_or_init(|| started)
        }
    };
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(move || writer)
        // The layer would print its errors to standard error, and panic where that fails.
        .log_internal_errors(false)
        .with_ansi(terminal)
        .with_target(false);
    let logger = tracing_subscriber::registry().with(lines).with(filter);
    if logger.try_init().is_ok() {
        panic::set_hook(Box::new(report_panic));
    }
    Ok(())
}

/// Makes a write beyond a limit on file sizes an error, where the system would end the process by a signal. The Rust
/// runtime does the same for writes to a closed pipe.
#[cfg(unix)]
fn take_file_size_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // The handler stays when its receiver is dropped.
    runtime.block_on(async { signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop) })
}

#[cfg(not(unix))]
fn take_file_size_signal() -> io::Result<()> {
    Ok(())
}

/// Writes a line to standard error, behind the lines of the log, whatever the filter of the log. Waits only if no log
/// was started.
pub(super) fn write_line(line: &str) {
    let line = format!("{line}\n");
    match STDERR.get() {
        Some(writer) => writer.push(line.as_bytes()),
        // A closed standard error cannot report its own failure.
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until the log is written, but for 300 ms at most.
pub(super) fn flush() {
    if let Some(writer) = STDERR.get() {
        writer.flush(FLUSH_AT_END);
    }
}

/// Flushes the log when it is dropped, also when a panic ends the thread.
pub(super) struct FlushLog;

impl Drop for FlushLog {
    fn drop(&mut self) {
        flush();
    }
}

/// The panic hook: writes what the standard one does, but through the queue.
fn report_panic(info: &PanicHookInfo<'_>) {
    static IS_SILENCED: AtomicBool = AtomicBool::new(false);
    write_line(&panic_message(info, &Backtrace::capture()));
    // The panic may be followed by an abort, or by code that writes to standard error by itself and would wait there for
    // ever. So the message is given a moment, and standard error is silenced if the moment is not enough.
    let Some(writer) = STDERR.get().filter(|_| !IS_SILENCED.load(Relaxed)) else {
        return;
    };
    if !writer.flush(FLUSH_PANIC) {
        IS_SILENCED.store(true, Relaxed);
        silence_stderr();
    }
}

fn panic_message(info: &PanicHookInfo<'_>, backtrace: &Backtrace) -> String {
    let thread = thread::current();
    let mut text = format!("\nthread '{}' panicked", thread.name().unwrap_or("<unnamed>"));
    // Writing to a string cannot fail.
    if let Some(location) = info.location() {
        let _ = write!(text, " at {location}");
    }
    let _ = write!(text, ":\n{}", info.payload_as_str().unwrap_or("(no message)"));
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = write!(text, "\nstack backtrace:\n{backtrace}");
    }
    text
}

/// Makes later writes to standard error vanish. The log has a descriptor of its own and goes on.
#[cfg(unix)]
fn silence_stderr() {
    // Where there is no such device, standard error stays as it is.
    if let Ok(nothing) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(nothing);
    }
}

#[cfg(not(unix))]
fn silence_stderr() {}
