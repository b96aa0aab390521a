//! A client's socket behind a simulated network, and a count of what passes.
//!
//! Owns the [`ClientSocket`] and, while they are wanted, two [`Link`]s that lose and delay what goes through:
//! settable while a session runs, so that a player can feel a bad line. A perfect line costs nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bevy_ecs::prelude::Resource;

use super::simulated_link::{Link, LinkConditions};
use super::socket::ClientSocket;

/// Datagrams taken from the socket in one call at most.
const DATAGRAMS_PER_CALL: usize = 64;

/// What has gone through a client's sockets, the simulated line included. UDP payloads, without headers.
#[derive(Resource, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Datagrams that arrived.
    pub(crate) datagrams_in: u64,
    /// Their bytes.
    pub(crate) bytes_in: u64,
    /// Datagrams that were sent.
    pub(crate) datagrams_out: u64,
    /// Their bytes.
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
    /// A socket to `server` behind a network of these conditions, whose decisions follow from `seed`.
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

    /// Turns to another server.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub(crate) fn connect_to(&mut self, server: SocketAddr) -> io::Result<()> {
        self.socket = ClientSocket::connect(server)?;
        Ok(())
    }

    /// The server.
    pub(crate) fn server(&self) -> SocketAddr {
        self.socket.server()
    }

    /// Changes the conditions, each way.
    pub(crate) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
        self.down.set_conditions(conditions);
        self.up.set_conditions(conditions);
    }

    /// What has passed since the last call.
    pub(crate) fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// The next datagram that has arrived by `now`. Also sends what was delayed until now.
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

    /// Sends a datagram, or delays or loses it.
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

    fn heard(server: &UdpSocket) -> usize {
        let mut buffer = [0; 16];
        std::iter::from_fn(|| server.recv(&mut buffer).ok()).count()
    }

    #[test]
    fn a_line_becomes_bad_and_good_again_while_it_is_used() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let address = server.local_addr().unwrap();
        let mut line = SimulatedSocket::connect(address, LinkConditions::PERFECT, 1).unwrap();
        let send = |line: &mut SimulatedSocket, at: u64| line.send(Duration::from_millis(at), b"x").unwrap();
        send(&mut line, 0);
        assert_eq!(heard(&server), 1);
        line.set_conditions(LinkConditions {
            latency: Duration::from_millis(100),
            ..LinkConditions::PERFECT
        });
        send(&mut line, 10);
        assert_eq!(heard(&server), 0, "on its way");
        line.set_conditions(LinkConditions::PERFECT);
        send(&mut line, 50);
        assert!(
            line.receive_datagram(Duration::from_millis(60))
                .unwrap()
                .is_none()
        );
        assert_eq!(heard(&server), 1, "what came after the change is not held up");
        assert!(
            line.receive_datagram(Duration::from_millis(110))
                .unwrap()
                .is_none()
        );
        assert_eq!(heard(&server), 1);
        line.set_conditions(LinkConditions {
            loss: 1.0,
            ..LinkConditions::PERFECT
        });
        send(&mut line, 120);
        assert_eq!(heard(&server), 0);
        assert_eq!(line.take_traffic().datagrams_out, 4);
        assert_eq!(line.take_traffic(), Traffic::default());
    }
}
