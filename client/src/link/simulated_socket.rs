//! A client's socket behind a simulated network, with traffic counts.
//!
//! Owns the [`ClientSocket`] and two [`Link`]s that lose and delay datagrams. Their conditions can change while
//! a session runs, so that a player can experience a bad network. Perfect conditions cost nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bevy_ecs::prelude::Resource;

use super::simulated_link::{Link, LinkConditions};
use super::socket::ClientSocket;

/// Datagrams taken from the socket in one call at most.
const DATAGRAMS_PER_CALL: usize = 64;

/// Traffic of a client's sockets, as seen behind the simulated network. Counts UDP payloads, without headers.
#[derive(Resource, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Datagrams received.
    pub(crate) datagrams_in: u64,
    /// Bytes received.
    pub(crate) bytes_in: u64,
    /// Datagrams sent.
    pub(crate) datagrams_out: u64,
    /// Bytes sent.
    pub(crate) bytes_out: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, other: Self) {
        self.datagrams_in += other.datagrams_in;
        self.bytes_in += other.bytes_in;
        self.datagrams_out += other.datagrams_out;
        self.bytes_out += other.bytes_out;
    }
}

/// A socket behind a simulated network, perfect or bad.
#[derive(Debug)]
pub(crate) struct SimulatedSocket {
    socket: ClientSocket,
    conditions: LinkConditions,
    down: Link,
    up: Link,
    arrived: Vec<u8>,
    traffic: Traffic,
}

impl SimulatedSocket {
    /// Opens a socket to `server` behind a network of these conditions, whose decisions follow from `seed`.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub(crate) fn connect(server: SocketAddr, conditions: LinkConditions, seed: u64) -> io::Result<Self> {
        Ok(Self {
            socket: ClientSocket::connect(server)?,
            conditions,
            down: Link::new(conditions, seed),
            up: Link::new(conditions, !seed),
            arrived: Vec::new(),
            traffic: Traffic::default(),
        })
    }

    /// Replaces the socket by one to another server.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub(crate) fn connect_to(&mut self, server: SocketAddr) -> io::Result<()> {
        self.socket = ClientSocket::connect(server)?;
        Ok(())
    }

    /// Returns the address of the server that the socket is connected to.
    pub(crate) fn server(&self) -> SocketAddr {
        self.socket.server()
    }

    /// Returns whether the system has reported since the last call that no program listens at the server's address.
    pub(crate) fn take_refusal(&self) -> bool {
        self.socket.take_refusal()
    }

    /// Changes the conditions in both directions.
    pub(crate) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
        self.down.set_conditions(conditions);
        self.up.set_conditions(conditions);
    }

    /// Returns and resets the traffic since the last call.
    pub(crate) fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// Sends the delayed datagrams that are due. Returns whether a datagram has arrived, or the socket is broken. Costs a
    /// system call, which is much less than a poll of the session.
    pub(crate) fn has_work(&mut self, now: Duration) -> bool {
        if self.conditions == LinkConditions::PERFECT
            && self.down.in_flight() == 0
            && self.up.in_flight() == 0
        {
            return self.socket.has_datagram();
        }
        // What arrives is put on the simulated line at once, so that its delay counts from now.
        for _ in 0..DATAGRAMS_PER_CALL {
            match self.socket.receive_datagram() {
                Ok(Some(datagram)) => self.down.send(now, datagram),
                Ok(None) => break,
                Err(_) => return true,
            }
        }
        while let Some(datagram) = self.up.receive_datagram(now) {
            if self.socket.send(&datagram).is_err() {
                return true;
            }
        }
        self.down.is_due(now)
    }

    /// Returns the next datagram that has arrived by `now`. Also sends the delayed datagrams that are due.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub(crate) fn receive_datagram(&mut self, now: Duration) -> io::Result<Option<&mut [u8]>> {
        let Self {
            socket,
            conditions,
            down,
            up,
            arrived,
            traffic,
        } = self;
        while let Some(datagram) = up.receive_datagram(now) {
            socket.send(&datagram)?;
        }
        let count = |length: usize, traffic: &mut Traffic| {
            traffic.datagrams_in += 1;
            traffic.bytes_in += length as u64;
        };
        if *conditions == LinkConditions::PERFECT && down.in_flight() == 0 {
            let datagram = socket.receive_datagram()?;
            if let Some(datagram) = &datagram {
                count(datagram.len(), traffic);
            }
            return Ok(datagram);
        }
        for _ in 0..DATAGRAMS_PER_CALL {
            let Some(datagram) = socket.receive_datagram()? else {
                break;
            };
            down.send(now, datagram);
        }
        let Some(datagram) = down.receive_datagram(now) else {
            return Ok(None);
        };
        count(datagram.len(), traffic);
        *arrived = datagram;
        Ok(Some(arrived))
    }

    /// Sends a datagram, or delays or loses it, according to the conditions.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub(crate) fn send(&mut self, now: Duration, datagram: &[u8]) -> io::Result<()> {
        self.traffic.datagrams_out += 1;
        self.traffic.bytes_out += datagram.len() as u64;
        if self.conditions == LinkConditions::PERFECT && self.up.in_flight() == 0 {
            return self.socket.send(datagram);
        }
        self.up.send(now, datagram);
        while let Some(datagram) = self.up.receive_datagram(now) {
            self.socket.send(&datagram)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn count_received(server: &UdpSocket) -> usize {
        let mut buffer = [0; 16];
        std::iter::from_fn(|| server.recv(&mut buffer).ok()).count()
    }

    #[test]
    fn simulated_conditions_change_while_the_socket_is_used() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let address = server.local_addr().unwrap();
        let mut socket = SimulatedSocket::connect(address, LinkConditions::PERFECT, 1).unwrap();
        let send = |socket: &mut SimulatedSocket, time_ms: u64| {
            socket.send(Duration::from_millis(time_ms), b"x").unwrap();
        };
        send(&mut socket, 0);
        assert_eq!(count_received(&server), 1);
        socket.set_conditions(LinkConditions {
            latency: Duration::from_millis(100),
            ..LinkConditions::PERFECT
        });
        send(&mut socket, 10);
        assert_eq!(count_received(&server), 0, "in flight");
        socket.set_conditions(LinkConditions::PERFECT);
        send(&mut socket, 50);
        assert!(
            socket
                .receive_datagram(Duration::from_millis(60))
                .unwrap()
                .is_none()
        );
        assert_eq!(
            count_received(&server),
            1,
            "a datagram sent after the change is not delayed"
        );
        assert!(
            socket
                .receive_datagram(Duration::from_millis(110))
                .unwrap()
                .is_none()
        );
        assert_eq!(count_received(&server), 1);
        socket.set_conditions(LinkConditions {
            loss: 1.0,
            ..LinkConditions::PERFECT
        });
        send(&mut socket, 120);
        assert_eq!(count_received(&server), 0);
        assert_eq!(socket.take_traffic().datagrams_out, 4);
        assert_eq!(socket.take_traffic(), Traffic::default());
    }
}
