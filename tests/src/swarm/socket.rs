//! The UDP socket of a bot.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;

use super::report::BotTotals;

/// Opens a socket on a port chosen by the system.
pub(super) fn open_socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    Ok(socket)
}

/// Sends a datagram and counts it.
pub(super) fn transmit(socket: &UdpSocket, totals: &mut BotTotals, datagram: &[u8]) {
    // A datagram that the system does not accept now is lost.
    if let Ok(length) = socket.send(datagram) {
        totals.up_bytes += length as u64;
        totals.up_datagrams += 1;
    }
}
