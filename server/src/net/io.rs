//! The two kinds of socket I/O behind one type, chosen by `--io`.
//!
//! Owns the choice. Guarantees that both kinds behave in the same way. The choice is made once per call that moves a
//! batch, so it costs nothing per datagram.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use mio::net::UdpSocket;

#[cfg(target_os = "linux")]
use super::batched::{BatchedReceiver, BatchedSender};
use super::portable::{PortableReceiver, PortableSender};
use super::socket::IoKind;
use super::transmit::{Flush, Receive, SocketCounters, Take, Transmit};

/// Reads datagrams by the chosen [`IoKind`].
pub(super) enum DatagramReceiver {
    #[cfg(target_os = "linux")]
    Batched(BatchedReceiver),
    Portable(PortableReceiver),
}

/// Sends datagrams by the chosen [`IoKind`].
pub(super) enum DatagramSender {
    #[cfg(target_os = "linux")]
    Batched(BatchedSender),
    Portable(PortableSender),
}

/// Creates the receiving and the sending half of the I/O on `socket`. On a system without batched I/O, both are
/// portable.
pub(super) fn halves(
    kind: IoKind,
    socket: &Arc<UdpSocket>,
    counters: &Arc<SocketCounters>,
) -> (DatagramReceiver, DatagramSender) {
    let (receive, send) = (Arc::clone(socket), Arc::clone(socket));
    let (counted_in, counted_out) = (Arc::clone(counters), Arc::clone(counters));
    match kind {
        #[cfg(target_os = "linux")]
        IoKind::Batched => (
            DatagramReceiver::Batched(BatchedReceiver::new(receive, counted_in)),
            DatagramSender::Batched(BatchedSender::new(send, counted_out)),
        ),
        _ => (
            DatagramReceiver::Portable(PortableReceiver::new(receive, counted_in)),
            DatagramSender::Portable(PortableSender::new(send, counted_out)),
        ),
    }
}

impl DatagramReceiver {
    /// Copies the kernel's own counters into the statistics.
    pub(super) fn measure(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(receiver) => receiver.measure(),
            Self::Portable(_) => {}
        }
    }
}

impl Receive for DatagramReceiver {
    fn receive(&mut self, taker: &mut impl Take) -> io::Result<usize> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(receiver) => receiver.receive(taker),
            Self::Portable(receiver) => receiver.receive(taker),
        }
    }
}

impl Transmit for DatagramSender {
    fn begin(&mut self) -> &mut [u8] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(sender) => sender.begin(),
            Self::Portable(sender) => sender.begin(),
        }
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(sender) => sender.commit(to, range),
            Self::Portable(sender) => sender.commit(to, range),
        }
    }
}

impl Flush for DatagramSender {
    fn flush(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(sender) => sender.flush(),
            Self::Portable(sender) => sender.flush(),
        }
    }
}
