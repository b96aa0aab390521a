//! The interface by which a worker sends and receives datagrams, over a socket or the simulated network.
//!
//! Owns the traits that both kinds of socket I/O implement and the counters that they fill. Guarantees
//! that a datagram is written once, in the buffer from which it is sent. Does not know sessions.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;

/// Bytes of one datagram buffer: more than the largest accepted datagram, so that a larger one is recognized.
pub const DATAGRAM_BUFFER_BYTES: usize = 1_408;

const _: () = assert!(DATAGRAM_BUFFER_BYTES > DATAGRAM_RECEIVE_BYTES_MAX);

/// Datagrams in one batch: as many as one system call moves.
pub(crate) const BATCH_DATAGRAMS: usize = 64;

/// Destination to which datagrams are written to be sent.
pub trait Transmit {
    /// Returns the buffer of the next datagram, [`DATAGRAM_BUFFER_BYTES`] long, with stale content. May be called again
    /// without [`Transmit::commit`]; the bytes written before are then discarded.
    fn begin(&mut self) -> &mut [u8];

    /// Sends `range` of the buffer that [`Transmit::begin`] returned, now or at the next flush.
    fn commit(&mut self, to: SocketAddr, range: Range<usize>);

    /// Sends a copy of a finished datagram. A datagram larger than the buffer is a defect and is not sent.
    fn copy(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Some(buffer) = self.begin().get_mut(..datagram.len()) {
            buffer.copy_from_slice(datagram);
            self.commit(to, 0..datagram.len());
        }
    }
}

/// A [`Transmit`] that collects datagrams until it is flushed.
pub trait Flush: Transmit {
    /// Sends all datagrams that were committed. Datagrams that the kernel finally refuses are dropped and counted.
    fn flush(&mut self);
}

/// A [`Transmit`] that keeps the sent datagrams in memory, in place of a socket.
#[derive(Debug)]
pub struct Collected {
    buffer: [u8; DATAGRAM_BUFFER_BYTES],
    /// Destination and bytes of each datagram, in the order in which they were sent.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
}

impl Default for Collected {
    fn default() -> Self {
        Self {
            buffer: [0; DATAGRAM_BUFFER_BYTES],
            sent: Vec::new(),
        }
    }
}

impl Transmit for Collected {
    fn begin(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        self.sent.push((to, self.buffer[range].to_vec()));
    }
}

/// Sender and arrival time of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Address of the sender, as the socket reports it.
    pub from: SocketAddr,
    /// Time at which the system received the datagram, since 1970. `None` while arrival times are not recorded,
    /// because recording them costs time.
    pub unix: Option<Duration>,
}

/// A consumer of the datagrams that a receiver reads. Implemented by closures that take a datagram.
pub trait Take {
    /// Announces the senders of the next datagrams, in order. Only a hint for prefetching, given when a batch is read
    /// at once.
    fn expect(&mut self, from: impl Iterator<Item = SocketAddr>) {
        drop(from);
    }

    /// Processes a datagram, which may be decrypted in place.
    fn take(&mut self, arrival: Arrival, datagram: &mut [u8]);
}

impl<F: FnMut(Arrival, &mut [u8])> Take for F {
    fn take(&mut self, arrival: Arrival, datagram: &mut [u8]) {
        self(arrival, datagram);
    }
}

/// Source from which datagrams are read.
pub trait Receive {
    /// Reads up to 64 waiting datagrams without blocking and passes each to `taker`.
    /// Datagrams above [`DATAGRAM_RECEIVE_BYTES_MAX`] are dropped and counted. Returns how many were read: 0
    /// when none waits.
    ///
    /// # Errors
    /// The system's error, unless it is transient.
    fn receive(&mut self, taker: &mut impl Take) -> io::Result<usize>;
}

/// Counters of one socket since the start, readable from any thread.
#[derive(Debug, Default)]
pub struct SocketCounters {
    /// Datagrams received.
    pub datagrams_in: AtomicU64,
    /// UDP payload bytes received.
    pub bytes_in: AtomicU64,
    /// System calls that received at least one datagram.
    pub batches_in: AtomicU64,
    /// Received datagrams above the size limit, dropped.
    pub oversized: AtomicU64,
    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub overflowed: AtomicU64,
    /// Datagrams sent.
    pub datagrams_out: AtomicU64,
    /// UDP payload bytes sent.
    pub bytes_out: AtomicU64,
    /// System calls that sent at least one datagram.
    pub batches_out: AtomicU64,
    /// Sends repeated because the kernel took only a part, or had no room yet.
    pub send_retries: AtomicU64,
    /// Datagrams dropped after the retries, or refused by the kernel.
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

/// Adds to a counter that one thread writes and others read. With a single writer, a load and a store suffice, and no
/// locked instruction is needed.
pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(amount as u64), Relaxed);
}
