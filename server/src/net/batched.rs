//! Batched socket I/O on Linux: `recvmmsg` and `sendmmsg` over 64 reused buffers each.
//!
//! Owns the buffers and the retries of a batch of which the kernel takes only a part: it is retried a bounded
//! number of times, then the rest is dropped and counted. Guarantees no allocation after start and no wait
//! longer than [`SEND_WAITS_MAX`] milliseconds per batch for a full send buffer.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;
use throng_shared::prefetch::prefetch_part;

use super::syscalls::{self, OutgoingDatagram, ReceiveRing};
use super::transmit::{
    BATCH_DATAGRAMS, DATAGRAM_BUFFER_BYTES, Flush, Receive, SocketCounters, Take, Transmit, add,
};
use super::wait::wait_writable;

/// Longest single wait for room in a full send buffer.
const SEND_WAIT: Duration = Duration::from_millis(1);
/// Waits for a full send buffer per batch, of up to a millisecond each. After them the rest of the batch is dropped,
/// because the next snapshot is worth more than this one.
pub(crate) const SEND_WAITS_MAX: u32 = 4;

/// Bytes of the next buffer that are prefetched while one is written. Most snapshots are not longer.
const USUAL_BYTES: usize = 256;

/// The receiving half of batched I/O.
pub struct BatchedReceiver {
    socket: Arc<UdpSocket>,
    ring: ReceiveRing,
    counters: Arc<SocketCounters>,
    overflow_seen: u32,
    measured: u32,
}

/// The kernel records arrival times in one of this many intervals between measurements, because that costs 0.25 us
/// per datagram.
const NOTE_ONE_IN: u32 = 8;

impl BatchedReceiver {
    /// Creates a receiver for `socket`.
    #[must_use]
    pub fn new(socket: Arc<UdpSocket>, counters: Arc<SocketCounters>) -> Self {
        Self {
            socket,
            ring: ReceiveRing::new(),
            counters,
            overflow_seen: 0,
            measured: 0,
        }
    }

    /// Copies the kernel's drop counter into the statistics and switches the recording of arrival times on or off.
    /// Up to two system calls; meant to be called about twice a second.
    pub fn measure(&mut self) {
        let is_noting = self.measured.is_multiple_of(NOTE_ONE_IN);
        if is_noting || self.measured % NOTE_ONE_IN == 1 {
            // A failure only means that the wait of inputs is not measured.
            let _ = syscalls::note_arrivals(descriptor(&self.socket), is_noting);
        }
        self.measured = self.measured.wrapping_add(1);
        if let Ok(dropped) = syscalls::receive_overflow(descriptor(&self.socket)) {
            add(
                &self.counters.overflowed,
                dropped.wrapping_sub(self.overflow_seen) as usize,
            );
            self.overflow_seen = dropped;
        }
    }
}

impl Receive for BatchedReceiver {
    fn receive(&mut self, taker: &mut impl Take) -> io::Result<usize> {
        let count = match self.ring.receive(descriptor(&self.socket)) {
            Ok(count) => count,
            Err(error) if is_transient(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        taker.expect((0..count).filter_map(|index| self.ring.sender(index)));
        let mut bytes_in = 0;
        for index in 0..count {
            match self.ring.datagram(index) {
                Some((arrival, bytes)) if bytes.len() <= DATAGRAM_RECEIVE_BYTES_MAX => {
                    bytes_in += bytes.len();
                    taker.take(arrival, bytes);
                }
                _ => add(&self.counters.oversized, 1),
            }
        }
        if count > 0 {
            self.counters.received(count, bytes_in);
        }
        Ok(count)
    }
}

/// The sending half of batched I/O.
pub struct BatchedSender {
    socket: Arc<UdpSocket>,
    buffers: Box<[[u8; DATAGRAM_BUFFER_BYTES]; BATCH_DATAGRAMS]>,
    /// Destination and range of each finished buffer, in order.
    pending: Vec<(SocketAddr, Range<usize>)>,
    segment: bool,
    counters: Arc<SocketCounters>,
}

impl BatchedSender {
    /// Creates a sender for `socket`.
    #[must_use]
    pub fn new(socket: Arc<UdpSocket>, counters: Arc<SocketCounters>) -> Self {
        let buffers = vec![[0; DATAGRAM_BUFFER_BYTES]; BATCH_DATAGRAMS].into_boxed_slice();
        let buffers = buffers
            .try_into()
            .expect("the vector has as many buffers as the array");
        let pending = Vec::with_capacity(BATCH_DATAGRAMS);
        Self {
            socket,
            buffers,
            pending,
            segment: true,
            counters,
        }
    }

    /// Returns whether the message that starts at datagram `start` may have been sent with segmentation.
    fn is_segmenting(&self, start: usize) -> bool {
        self.segment
            && self
                .pending
                .get(start + 1)
                .is_some_and(|(to, _)| *to == self.pending[start].0)
    }

    /// Sends the pending datagrams from index `start` on. Returns how many the kernel took.
    fn send_from(&self, start: usize) -> io::Result<usize> {
        const NOWHERE: SocketAddr =
            SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0));
        let mut datagrams = [OutgoingDatagram {
            to: NOWHERE,
            bytes: &[],
        }; BATCH_DATAGRAMS];
        let pending = &self.pending[start..];
        for ((datagram, (to, range)), buffer) in datagrams.iter_mut().zip(pending).zip(&self.buffers[start..])
        {
            *datagram = OutgoingDatagram {
                to: *to,
                bytes: &buffer[range.clone()],
            };
        }
        syscalls::send_batch(
            descriptor(&self.socket),
            &datagrams[..pending.len()],
            self.segment,
        )
    }
}

impl Transmit for BatchedSender {
    fn begin(&mut self) -> &mut [u8] {
        if self.pending.len() == BATCH_DATAGRAMS {
            self.flush();
        }
        let index = self.pending.len();
        if let Some(next) = self.buffers.get(index + 1) {
            prefetch_part(next, 0..USUAL_BYTES);
        }
        &mut self.buffers[index]
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        if self.pending.len() < BATCH_DATAGRAMS && range.end <= DATAGRAM_BUFFER_BYTES {
            self.pending.push((to, range));
        }
    }
}

impl Flush for BatchedSender {
    fn flush(&mut self) {
        let (mut start, mut waits) = (0, 0);
        while start < self.pending.len() {
            match self.send_from(start) {
                Ok(sent) => {
                    let done = &self.pending[start..start + sent];
                    self.counters
                        .sent(sent, done.iter().map(|(_, range)| range.len()).sum());
                    start += sent;
                    if start < self.pending.len() {
                        add(&self.counters.send_retries, 1);
                    }
                }
                Err(error) if is_full(&error) && waits < SEND_WAITS_MAX => {
                    add(&self.counters.send_retries, 1);
                    wait_writable(descriptor(&self.socket), SEND_WAIT);
                    waits += 1;
                }
                Err(error) if is_full(&error) => {
                    add(&self.counters.send_failures, self.pending.len() - start);
                    break;
                }
                Err(error) if self.is_segmenting(start) && is_unsegmentable(&error) => {
                    self.segment = false;
                    tracing::info!(%error, "segmentation offload is not available: sending datagrams one by one");
                }
                Err(error) => {
                    // The error concerns the first datagram; the others can still be sent.
                    tracing::debug!(to = %self.pending[start].0, %error, "datagram not sent");
                    add(&self.counters.send_failures, 1);
                    start += 1;
                }
            }
        }
        self.pending.clear();
    }
}

fn descriptor(socket: &UdpSocket) -> BorrowedFd<'_> {
    socket.as_fd()
}

/// Returns whether the error means an empty socket, or comes from a datagram that we sent earlier.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused
    )
}

/// Returns whether the error means that the kernel has no room now.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    ) || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

/// Returns whether the error means that the route's device or the kernel cannot segment datagrams.
fn is_unsegmentable(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP)
    )
}
