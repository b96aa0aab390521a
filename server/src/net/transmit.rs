//! How bytes leave and enter a worker, whatever carries them: a socket or the simulator.
//!
//! Owns the traits that both kinds of socket I/O implement and the counters that they fill. Guarantees
//! that a datagram is written once, in the buffer from which it is sent. Refuses to know sessions.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;

/// Bytes of one datagram buffer: more than the largest datagram that is read, so that a larger one shows.
pub const DATAGRAM_BUFFER_BYTES: usize = 1_408;

const _: () = assert!(DATAGRAM_BUFFER_BYTES > DATAGRAM_RECEIVE_BYTES_MAX);

/// Datagrams in one batch: what one system call moves.
pub const BATCH_DATAGRAMS: usize = 64;

/// Where datagrams are written to be sent.
pub trait Transmit {
    /// The buffer of the next datagram, [`DATAGRAM_BUFFER_BYTES`] long, with whatever it held before. May be
    /// called again without [`Transmit::commit`]: what was written is then discarded.
    fn begin(&mut self) -> &mut [u8];

    /// Sends `range` of the buffer that [`Transmit::begin`] gave, now or at the next flush.
    fn commit(&mut self, to: SocketAddr, range: Range<usize>);

    /// Copies a finished datagram. Bytes beyond a buffer's size are a defect and are not sent.
    fn copy(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Some(buffer) = self.begin().get_mut(..datagram.len()) {
            buffer.copy_from_slice(datagram);
            self.commit(to, 0..datagram.len());
        }
    }
}

/// A [`Transmit`] that collects and must be told when to send.
pub trait Flush: Transmit {
    /// Sends everything committed. What the kernel refuses for good is dropped and counted.
    fn flush(&mut self);
}

/// Where a datagram came from, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The sender, as the socket shows it.
    pub from: SocketAddr,
    /// When the system took it in, since 1970; `None` while that is not noted, for it has its price.
    pub unix: Option<Duration>,
}

/// Who is handed what was received. A closure that takes datagrams is one.
pub trait Take {
    /// A hint, where a batch is read at once: from whom the datagrams are that will be taken next, in order.
    fn expect(&mut self, from: impl Iterator<Item = SocketAddr>) {
        drop(from);
    }

    /// Takes in a datagram, which may be decrypted in place.
    fn take(&mut self, arrival: Arrival, datagram: &mut [u8]);
}

impl<F: FnMut(Arrival, &mut [u8])> Take for F {
    fn take(&mut self, arrival: Arrival, datagram: &mut [u8]) {
        self(arrival, datagram);
    }
}

/// Where datagrams are read from.
pub trait Receive {
    /// Reads up to [`BATCH_DATAGRAMS`] waiting datagrams without blocking and hands each to `taker`.
    /// Datagrams above [`DATAGRAM_RECEIVE_BYTES_MAX`] are dropped and counted. Returns how many were read: 0
    /// when none waits.
    ///
    /// # Errors
    /// What the system reports, transient errors aside.
    fn receive(&mut self, taker: &mut impl Take) -> io::Result<usize>;
}

/// What a socket did, readable from any thread. Each is a count since the start.
#[derive(Debug, Default)]
pub struct SocketCounters {
    /// Datagrams received.
    pub datagrams_in: AtomicU64,
    /// UDP payload bytes received.
    pub bytes_in: AtomicU64,
    /// System calls that received something.
    pub batches_in: AtomicU64,
    /// Received datagrams above the size limit, dropped.
    pub oversized: AtomicU64,
    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub overflowed: AtomicU64,
    /// Datagrams sent.
    pub datagrams_out: AtomicU64,
    /// UDP payload bytes sent.
    pub bytes_out: AtomicU64,
    /// System calls that sent something.
    pub batches_out: AtomicU64,
    /// Sends repeated because the kernel took only a part, or had no room yet.
    pub send_retries: AtomicU64,
    /// Datagrams given up after the retries, or refused by the kernel.
    pub send_failures: AtomicU64,
}

impl SocketCounters {
    /// Counts a batch of received datagrams.
    pub(super) fn received(&self, datagrams: usize, bytes: usize) {
        add(&self.datagrams_in, datagrams);
        add(&self.bytes_in, bytes);
        add(&self.batches_in, 1);
    }

    /// Counts a batch of sent datagrams.
    pub(super) fn sent(&self, datagrams: usize, bytes: usize) {
        add(&self.datagrams_out, datagrams);
        add(&self.bytes_out, bytes);
        add(&self.batches_out, 1);
    }
}

/// Adds to a counter that one thread writes and others read: a plain addition, no locked instruction.
pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(amount as u64), Relaxed);
}
