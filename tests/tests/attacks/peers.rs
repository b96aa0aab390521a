//! The attackers: many sockets that send any bytes, and one authenticated peer.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use throng_client::join::Joined;
use throng_shared::{
    limits::INPUTS_PER_PACKET,
    netcode::{
        ClientNetcode, ClientReceived, ClientState, ConnectToken, PACKET_BYTES_MAX, SEAL_HEAD_BYTES,
        SEAL_TAIL_BYTES,
    },
    protocol::{
        PayloadKind,
        hello::{HELLO_BYTES_MAX, Hello},
        input::{INPUT_PACKET_BYTES_MAX, InputBytes, InputList, InputPacket},
        version::ProtocolVersion,
    },
    tick::Tick,
};

use super::{PATIENCE, now};

/// Sent datagrams, and bytes of UDP payload in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) datagrams: u64,
    pub(super) sent: u64,
    pub(super) replied: u64,
}

/// Many addresses that send to one server.
pub(super) struct Attackers {
    sockets: Vec<UdpSocket>,
    server: SocketAddr,
    pub(super) exchange: Exchange,
}

impl Attackers {
    /// Opens `count` sockets, each at its own loopback address if the system has several.
    pub(super) fn new(server: SocketAddr, count: u8) -> Self {
        let socket = |number: u8| {
            let own = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2 + number), 0));
            let socket = own
                .or_else(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
                .unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self {
            sockets: (0..count).map(socket).collect(),
            server,
            exchange: Exchange::default(),
        }
    }

    /// Sends from the next address in turn. A datagram that the system refuses is not counted.
    pub(super) fn send(&mut self, datagram: &[u8]) {
        let socket = &self.sockets[self.exchange.datagrams as usize % self.sockets.len()];
        if let Ok(length) = socket.send_to(datagram, self.server) {
            self.exchange.datagrams += 1;
            self.exchange.sent += length as u64;
        }
    }

    /// Counts the replies to all addresses.
    pub(super) fn count_replies(&mut self) {
        let mut buffer = [0; 2_048];
        for socket in &self.sockets {
            while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                self.exchange.replied += length as u64;
            }
        }
    }

    /// Sends the datagrams that `next` returns, `burst` every 5 ms, `bursts` times. Then counts replies for a while.
    pub(super) fn flood(mut self, bursts: u32, burst: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> Exchange {
        for number in 0..bursts {
            for datagram in number * burst..(number + 1) * burst {
                let datagram = next(datagram);
                self.send(&datagram);
            }
            self.count_replies();
            thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(10));
            self.count_replies();
        }
        self.exchange
    }
}

/// Returns the connection request for a token.
pub(super) fn request(token: &ConnectToken) -> Vec<u8> {
    let mut request = Vec::new();
    let _ = ClientNetcode::new(Duration::ZERO, token).update(Duration::ZERO, &mut |_, datagram| {
        request = datagram.to_vec();
    });
    request
}

/// A peer with a token: real netcode, with any bytes as payloads.
pub(super) struct Peer {
    socket: UdpSocket,
    netcode: ClientNetcode,
    origin: Instant,
    joined_at: Tick,
    tick_length: Duration,
    pub(super) exchange: Exchange,
    /// Received payloads of kinds other than snapshots.
    pub(super) received: Vec<Vec<u8>>,
}

impl Peer {
    /// Creates a peer and completes its handshake.
    pub(super) fn connect(joined: &Joined) -> Self {
        let origin = now();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(joined.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut peer = Self {
            socket,
            netcode: ClientNetcode::new(Duration::ZERO, &joined.token),
            origin,
            joined_at: joined.tick,
            tick_length: Duration::from_secs(1) / u32::from(joined.tick_rate_hz),
            exchange: Exchange::default(),
            received: Vec::new(),
        };
        peer.pump_until(|peer| peer.netcode.is_connected());
        peer
    }

    /// Sends a hello and waits for the server's reply.
    pub(super) fn greet(&mut self, version: ProtocolVersion) {
        let mut hello = [0; HELLO_BYTES_MAX];
        let length = Hello { version }.write(&mut hello);
        self.send(&hello[..length]);
        self.pump_until(|peer| !peer.received.is_empty());
    }

    /// Returns the server's approximate tick.
    pub(super) fn tick(&self) -> Tick {
        let ticks = self.origin.elapsed().as_nanos() / self.tick_length.as_nanos();
        self.joined_at + ticks as u32
    }

    pub(super) fn state(&self) -> ClientState {
        self.netcode.state()
    }

    /// Reads the received datagrams and sends the one that is due.
    pub(super) fn pump(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.exchange.replied += length as u64;
            let time = self.origin.elapsed();
            if let ClientReceived::Payload { payload, .. } = self.netcode.receive(time, &mut buffer[..length])
                && PayloadKind::of(payload) != Some(PayloadKind::Snapshot)
            {
                self.received.push(payload.to_vec());
            }
        }
        let time = self.origin.elapsed();
        let mut due = None;
        let _ = self
            .netcode
            .update(time, &mut |_, datagram| due = Some(datagram.to_vec()));
        if let Some(datagram) = due {
            self.send_raw(&datagram);
        }
    }

    /// Pumps until `done`.
    pub(super) fn pump_until(&mut self, done: impl Fn(&Self) -> bool) {
        let begun = now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.netcode.state());
            self.pump();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Pumps for this many milliseconds.
    pub(super) fn rest(&mut self, millis: u64) {
        let begun = now();
        while begun.elapsed() < Duration::from_millis(millis) {
            self.pump();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends any bytes from the session's address.
    pub(super) fn send_raw(&mut self, datagram: &[u8]) {
        if let Ok(length) = self.socket.send(datagram) {
            self.exchange.datagrams += 1;
            self.exchange.sent += length as u64;
        }
    }

    /// Seals a payload as a datagram.
    pub(super) fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; SEAL_HEAD_BYTES + payload.len() + SEAL_TAIL_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
        buffer[range.clone()].copy_from_slice(payload);
        let time = self.origin.elapsed();
        let sealed = self.netcode.seal(time, &mut buffer, range).unwrap();
        buffer[sealed].to_vec()
    }

    /// Seals and sends a payload.
    pub(super) fn send(&mut self, payload: &[u8]) {
        let datagram = self.seal(payload);
        self.send_raw(&datagram);
    }

    /// Sends one encoded input for `tick` with its repeats.
    pub(super) fn send_input(&mut self, tick: Tick, input: &[u8]) {
        let packet = input_packet(tick, input);
        self.send(&packet);
    }

    /// Ends the session and sends the disconnect to the server.
    pub(super) fn leave(&mut self) {
        let mut disconnects = Vec::new();
        self.netcode
            .disconnect(&mut |_, datagram| disconnects.push(datagram.to_vec()));
        disconnects.iter().for_each(|datagram| self.send_raw(datagram));
    }

    /// Counts the replies that arrive after the end of the session.
    pub(super) fn count_replies(&mut self) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.exchange.replied += length as u64;
        }
    }
}

/// Returns an input packet whose inputs are all equal.
pub(super) fn input_packet(tick: Tick, input: &[u8]) -> Vec<u8> {
    let mut inputs = InputList::default();
    for _ in 0..INPUTS_PER_PACKET {
        inputs.push_older(InputBytes::new(input).unwrap());
    }
    let packet = InputPacket {
        newest_tick: tick.wire(),
        inputs,
        ..InputPacket::default()
    };
    let mut out = [0; INPUT_PACKET_BYTES_MAX];
    let length = packet.write(&mut out);
    out[..length].to_vec()
}
