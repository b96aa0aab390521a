//! The plain UDP socket of one client: connected, non-blocking, one datagram per call.
//!
//! Because it is connected, it receives datagrams of the server alone. Transient errors of a datagram network
//! (no listener *now*, no buffer *now*) count as loss, which the protocol above tolerates.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;

/// A UDP socket connected to one server.
#[derive(Debug)]
pub struct ClientSocket {
    socket: UdpSocket,
    server: SocketAddr,
    /// Set by [`is_refusal`] errors.
    was_refused: AtomicBool,
    buffer: Box<[u8; DATAGRAM_RECEIVE_BYTES_MAX]>,
}

impl ClientSocket {
    /// Opens a socket on a port chosen by the system.
    ///
    /// # Errors
    /// When the system has no port left or no route to the server.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            server,
            was_refused: AtomicBool::new(false),
            buffer: Box::new([0; DATAGRAM_RECEIVE_BYTES_MAX]),
        })
    }

    /// Returns the address of the server that the socket is connected to.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Returns the next datagram, if one has arrived. A datagram longer than any of the protocol's is cut and
    /// will not authenticate.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub fn receive_datagram(&mut self) -> io::Result<Option<&mut [u8]>> {
        match self.socket.recv(self.buffer.as_mut_slice()) {
            Ok(length) => Ok(Some(&mut self.buffer[..length])),
            Err(error) if is_passing(&error) => {
                self.note_refusal(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether a datagram has arrived, which stays unread, or the socket is broken.
    pub(super) fn has_datagram(&self) -> bool {
        match self.socket.peek(&mut [0]) {
            Ok(_) => true,
            Err(error) => {
                self.note_refusal(&error);
                is_refusal(&error) || !is_passing(&error)
            }
        }
    }

    /// Sends one datagram, or loses it on a transient error.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send(datagram) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => {
                self.note_refusal(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether the system has reported since the last call that no program listens at the server's address.
    pub fn take_refusal(&self) -> bool {
        self.was_refused.swap(false, Relaxed)
    }

    fn note_refusal(&self, error: &io::Error) {
        if is_refusal(error) {
            self.was_refused.store(true, Relaxed);
        }
    }
}

/// Returns whether the error says that no program listens at the server's address: a report of the server's system, or of
/// any other on the way. Windows reports it as a connection that was reset.
pub fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionReset)
}

/// Returns whether a later call may succeed: on a lossy network the datagram just counts as lost.
pub fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        WouldBlock,
    };
    matches!(
        error.kind(),
        WouldBlock
            | Interrupted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn client_socket_ignores_datagrams_of_other_addresses() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut client = ClientSocket::connect(server.local_addr().unwrap()).unwrap();
        assert!(client.receive_datagram().unwrap().is_none());
        client.send(b"hello").unwrap();
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");

        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"stranger", from)
            .unwrap();
        server.send_to(b"welcome", from).unwrap();
        let mut received = None;
        for _ in 0..500 {
            received = client
                .receive_datagram()
                .unwrap()
                .map(|datagram| datagram.to_vec());
            if received.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(received.as_deref(), Some(&b"welcome"[..]));
    }

    #[test]
    fn unreachable_server_counts_as_loss() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = ClientSocket::connect(server.local_addr().unwrap()).unwrap();
        drop(server);
        for _ in 0..3 {
            client.send(b"hello?").unwrap();
            assert!(client.receive_datagram().unwrap().is_none());
        }
        // Linux reports it with the next call at the latest. Other systems need not report it.
        if cfg!(target_os = "linux") {
            assert!(client.take_refusal());
        }
        assert!(!client.take_refusal(), "reported once");
    }
}
