//! A writer of lines that never makes its callers wait: a bounded queue, and a thread that writes it.
//!
//! Owns the queue and what happens at its bound. Guarantees that [`LineWriter::push`] neither waits for the target
//! nor fails, whatever the target is: a full disk, a closed pipe, or a pipe that is not read. Lines for which the
//! queue has no room, and lines that the target refuses, are dropped and counted; the number is written as a line of
//! its own as soon as the target takes lines again.

use std::fmt::Write as _;
#[cfg(unix)]
use std::fs::File;
use std::io::{self, ErrorKind, Write};
#[cfg(unix)]
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Bound of the text that waits for the thread, in bytes: about ten thousand lines.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Time between two attempts on a target that another process has made non-blocking and that has no room.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// A bounded queue of lines and the thread that writes them. Dropping it ends the thread once the queue is written.
#[derive(Debug)]
pub(super) struct LineWriter(Arc<LineQueue>);

#[derive(Debug, Default)]
struct LineQueue {
    state: Mutex<QueuedLines>,
    /// Notified when there is text, or no more to come.
    filled: Condvar,
    /// Notified when all text is written or given up.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct QueuedLines {
    text: Vec<u8>,
    /// Lines that found no room since the thread last took the text.
    overflowed: u64,
    is_writing: bool,
    is_closed: bool,
}

impl LineWriter {
    /// Starts a thread called `name` that writes to `target`.
    ///
    /// # Errors
    /// Returns the system's error if it provides no thread.
    pub(super) fn start(name: &str, target: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(LineQueue::default());
        let mut lines = LineTarget::new(target);
        let taken = Arc::clone(&queue);
        let write = move || {
            let mut batch = Vec::new();
            while let Some(overflowed) = taken.take(&mut batch) {
                lines.write(&batch, overflowed);
            }
            lines.report_lost();
        };
        thread::Builder::new().name(name.to_owned()).spawn(write)?;
        Ok(Self(queue))
    }

    /// Appends whole lines to the queue, or drops and counts them if it is full. Takes as long as copying the text.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.0.lock();
        if state.text.len() + lines.len() > QUEUE_BYTES_MAX {
            state.overflowed += count_lines(lines);
            return;
        }
        state.text.extend_from_slice(lines);
        drop(state);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written or given up, but for `limit` at most. Returns whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let is_pending = |state: &mut QueuedLines| state.is_writing || !state.text.is_empty();
        let waited = self
            .0
            .drained
            .wait_timeout_while(self.0.lock(), limit, is_pending);
        let waited = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.filled.notify_one();
    }
}

/// Takes what a logger writes, which is a whole line each time.
impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineQueue {
    /// Locks the state, which is whole even if a thread panicked with the lock.
    fn lock(&self) -> MutexGuard<'_, QueuedLines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for text and swaps it into `batch`, whose content is written. Returns the number of lines that found no
    /// room behind it; `None` when no more text will come.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        batch.clear();
        let mut state = self.lock();
        state.is_writing = false;
        if state.text.is_empty() {
            self.drained.notify_all();
        }
        let is_idle = |state: &mut QueuedLines| state.text.is_empty() && !state.is_closed;
        let mut state = self
            .filled
            .wait_while(state, is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.text.is_empty() {
            return None;
        }
        std::mem::swap(&mut state.text, batch);
        state.is_writing = true;
        Some(std::mem::take(&mut state.overflowed))
    }
}

/// Returns a standard stream without its lock, which a thread that is blocked in a write would hold.
#[cfg(unix)]
pub(super) fn unlocked(stream: impl AsFd + Write + Send + 'static) -> Box<dyn Write + Send> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        // Without a free descriptor the lock is better than no output.
        Err(_) => Box::new(stream),
    }
}

#[cfg(not(unix))]
pub(super) fn unlocked(stream: impl Write + Send + 'static) -> Box<dyn Write + Send> {
    Box::new(stream)
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// The thread's end: the target, and what it did not take.
struct LineTarget<W> {
    target: W,
    /// Lines that were dropped and are not reported yet, and the reason why the last of them was.
    lost: u64,
    reason: String,
    /// Whether the target took a part of a line last.
    is_mid_line: bool,
}

impl<W: Write> LineTarget<W> {
    fn new(target: W) -> Self {
        Self {
            target,
            lost: 0,
            reason: String::new(),
            is_mid_line: false,
        }
    }

    /// Writes a batch, with the number of lost lines where they are missing: before it those that the target refused
    /// earlier, and after it the `overflowed` ones.
    fn write(&mut self, batch: &[u8], overflowed: u64) {
        if self.report_lost() {
            self.put(batch);
        } else {
            self.lost += count_lines(batch);
        }
        if overflowed > 0 {
            self.lost += overflowed;
            "they came faster than they could be written".clone_into(&mut self.reason);
            self.report_lost();
        }
    }

    /// Writes the number of lost lines if there are any. Returns whether none are left to report.
    fn report_lost(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let mut notice = String::new();
        // The time looks as in every other line of the log. Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut notice));
        let lost = std::mem::take(&mut self.lost);
        let (lines, reason) = (if lost == 1 { "line" } else { "lines" }, &self.reason);
        let _ = writeln!(notice, "  WARN {lost} {lines} of the log were lost: {reason}");
        let is_written = self.put(notice.as_bytes());
        if !is_written {
            // The notice itself is not a line of the log.
            self.lost = lost;
        }
        is_written
    }

    /// Writes lines, and counts those that the target does not take. Returns whether it took all.
    fn put(&mut self, lines: &[u8]) -> bool {
        if self.is_mid_line && self.put_bytes(b"\n").is_err() {
            self.lost += count_lines(lines);
            return false;
        }
        self.is_mid_line = false;
        let Err((written, error)) = self.put_bytes(lines) else {
            return true;
        };
        self.is_mid_line = written > 0 && lines[written - 1] != b'\n';
        self.lost += count_lines(&lines[written..]);
        self.reason = error.to_string();
        false
    }

    /// Writes bytes, or returns how many were written before the error.
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.target.write(&bytes[written..]) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_EVERY),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// What a target does with the next write.
    enum Next {
        Takes,
        /// Takes this many bytes and no more.
        TakesPart(usize),
        Fails,
        IsBusy,
    }

    /// A target that waits for its next instruction in each write, and shows what it took.
    struct Scripted {
        script: Receiver<Next>,
        seen: Sender<String>,
    }

    impl Write for Scripted {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let taken = match self.script.recv().unwrap_or(Next::Takes) {
                Next::Takes => text.len(),
                Next::TakesPart(count) => count.min(text.len()),
                Next::Fails => return Err(ErrorKind::StorageFull.into()),
                Next::IsBusy => return Err(ErrorKind::WouldBlock.into()),
            };
            let _ = self
                .seen
                .send(String::from_utf8_lossy(&text[..taken]).into_owned());
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (LineWriter, Sender<Next>, Receiver<String>) {
        let (script, instructions) = channel();
        let (sender, seen) = channel();
        let target = Scripted {
            script: instructions,
            seen: sender,
        };
        (LineWriter::start("lines", target).unwrap(), script, seen)
    }

    fn is_notice(line: &str, lost: u64) -> bool {
        line.contains(&format!(" WARN {lost} line")) && line.contains(" of the log were lost: ")
    }

    #[test]
    fn lines_are_written_in_order() {
        let (lines, script, seen) = scripted();
        for line in ["one\n", "two\n"] {
            lines.push(line.as_bytes());
            script.send(Next::Takes).unwrap();
            assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), line);
        }
        assert!(lines.flush(PATIENCE));
    }

    #[test]
    fn a_target_that_blocks_holds_up_no_caller_and_what_did_not_fit_is_counted() {
        let (lines, script, seen) = scripted();
        lines.push(b"blocked\n");
        // Once the thread waits in its first write, the queue is empty.
        while !lines.0.lock().is_writing {
            thread::yield_now();
        }
        assert!(!lines.flush(Duration::from_millis(1)), "it is not written yet");
        let line = [&[b'x'; 1_023][..], b"\n"].concat();
        let fits = QUEUE_BYTES_MAX / line.len();
        for _ in 0..fits + 500 {
            lines.push(&line);
        }
        assert_eq!(
            lines.0.lock().text.len(),
            fits * line.len(),
            "the queue is bounded"
        );
        drop(script);
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "blocked\n");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().len(), fits * line.len());
        let notice = seen.recv_timeout(PATIENCE).unwrap();
        assert!(is_notice(&notice, 500), "{notice}");
        assert!(lines.flush(PATIENCE));
    }

    #[test]
    fn lines_that_the_target_refuses_are_counted_and_reported_when_it_takes_lines_again() {
        let (lines, script, seen) = scripted();
        for line in ["a\n", "b\n"] {
            lines.push(line.as_bytes());
            script.send(Next::Fails).unwrap();
            assert!(lines.flush(PATIENCE), "a failed write is given up");
        }
        lines.push(b"c\n");
        drop(script);
        let notice = seen.recv_timeout(PATIENCE).unwrap();
        assert!(is_notice(&notice, 2), "{notice}");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "c\n");
    }

    #[test]
    fn the_last_lost_lines_are_reported_at_the_end() {
        let (lines, script, seen) = scripted();
        lines.push(b"a\n");
        script.send(Next::Fails).unwrap();
        drop((lines, script));
        let notice = seen.recv_timeout(PATIENCE).unwrap();
        assert!(is_notice(&notice, 1), "{notice}");
    }

    #[test]
    fn a_line_that_was_written_in_part_does_not_spoil_the_next_one() {
        let (lines, script, seen) = scripted();
        lines.push(b"whole\ntorn\n");
        script.send(Next::TakesPart(8)).unwrap();
        script.send(Next::Fails).unwrap();
        assert!(lines.flush(PATIENCE));
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "whole\nto");
        lines.push(b"next\n");
        drop(script);
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "\n");
        let notice = seen.recv_timeout(PATIENCE).unwrap();
        assert!(is_notice(&notice, 1), "{notice}");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "next\n");
    }

    #[test]
    fn a_non_blocking_target_without_room_is_tried_again() {
        let (lines, script, seen) = scripted();
        lines.push(b"a\n");
        script.send(Next::IsBusy).unwrap();
        script.send(Next::Takes).unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "a\n");
    }
}
