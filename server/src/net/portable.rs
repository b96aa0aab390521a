//! Portable socket I/O (`--io portable`): one datagram per call, on any system that `mio` supports.
//!
//! Owns one buffer in each direction. Guarantees the same behaviour as the batched I/O, though slower; the same tests
//! cover both.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;
use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;

use super::transmit::{
    Arrival, BATCH_DATAGRAMS, DATAGRAM_BUFFER_BYTES, Flush, Receive, SocketCounters, Take, Transmit, add,
};

/// Waits of a millisecond each for a full send buffer, per datagram. After them the datagram is dropped.
const SEND_WAITS_MAX: u32 = 4;

/// The receiving half of portable I/O.
pub(crate) struct PortableReceiver {
    socket: Arc<UdpSocket>,
    buffer: Box<[u8; DATAGRAM_BUFFER_BYTES]>,
    counters: Arc<SocketCounters>,
}

impl PortableReceiver {
    /// Creates a receiver for `socket`.
    #[must_use]
    pub(crate) fn new(socket: Arc<UdpSocket>, counters: Arc<SocketCounters>) -> Self {
        Self {
            socket,
            buffer: Box::new([0; DATAGRAM_BUFFER_BYTES]),
            counters,
        }
    }
}

impl Receive for PortableReceiver {
    fn receive(&mut self, taker: &mut impl Take) -> io::Result<usize> {
        let unix = Some(unix_now());
        for count in 0..BATCH_DATAGRAMS {
            match self.socket.recv_from(&mut self.buffer[..]) {
                Ok((bytes, _)) if bytes > DATAGRAM_RECEIVE_BYTES_MAX => add(&self.counters.oversized, 1),
                Ok((bytes, from)) => {
                    self.counters.received(1, bytes);
                    let arrival = Arrival {
                        from: without_flow(from),
                        unix,
                    };
                    taker.take(arrival, &mut self.buffer[..bytes]);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(count),
                    // Caused by a datagram that we sent; on Windows also by a received one larger than the buffer.
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(BATCH_DATAGRAMS)
    }
}

/// Returns the system's time since 1970. It stands for the arrival time, which a portable socket does not report.
#[expect(
    clippy::disallowed_methods,
    reason = "the system's time is read here and passed on as a value"
)]
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The sending half of portable I/O.
pub(crate) struct PortableSender {
    socket: Arc<UdpSocket>,
    buffer: Box<[u8; DATAGRAM_BUFFER_BYTES]>,
    counters: Arc<SocketCounters>,
}

impl PortableSender {
    /// Creates a sender for `socket`.
    #[must_use]
    pub(crate) fn new(socket: Arc<UdpSocket>, counters: Arc<SocketCounters>) -> Self {
        Self {
            socket,
            buffer: Box::new([0; DATAGRAM_BUFFER_BYTES]),
            counters,
        }
    }
}

impl Transmit for PortableSender {
    fn begin(&mut self) -> &mut [u8] {
        &mut self.buffer[..]
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        let Some(datagram) = self.buffer.get(range) else {
            return;
        };
        for _ in 0..=SEND_WAITS_MAX {
            match self.socket.send_to(datagram, to) {
                Ok(_) => return self.counters.sent(1, datagram.len()),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    add(&self.counters.send_retries, 1);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => {
                    tracing::debug!(%to, %error, "datagram not sent");
                    break;
                }
            }
        }
        add(&self.counters.send_failures, 1);
    }
}

impl Flush for PortableSender {
    fn flush(&mut self) {}
}

/// Clears the flow label of an IPv6 address. It may differ between datagrams of one client and does not identify it.
fn without_flow(mut from: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut from {
        v6.set_flowinfo(0);
    }
    from
}
