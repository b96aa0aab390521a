//! Fuzz targets for netcode: handshakes whose datagrams may be damaged, and connect tokens.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use throng_shared::netcode::{
    ClientNetcode, ConnectToken, Entropy, PROTOCOL_ID, Reply, SEAL_HEAD_BYTES, SEAL_TAIL_BYTES,
    ServerNetcode, ServerNetcodeConfig, ServerReceived, SessionId, TokenRequest, USER_DATA_BYTES,
};

/// The private key of the fuzzed server and its tokens.
const PRIVATE_KEY: [u8; 32] = [7; 32];
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);
/// Creation time of tokens, in seconds since 1970.
const UNIX_S: u64 = 1_800_000_000;
/// The most steps of one run.
const STEPS_MAX: usize = 256;
/// The most datagrams under way in one direction.
const IN_FLIGHT_MAX: usize = 16;

fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed([seed; 32])
}

fn token(client_id: u64, timeout_s: i32) -> ConnectToken {
    let request = TokenRequest {
        protocol_id: PROTOCOL_ID,
        client_id,
        addresses: &[SERVER],
        expire_s: 30,
        timeout_s,
        user_data: &[9; USER_DATA_BYTES],
        private_key: &PRIVATE_KEY,
    };
    ConnectToken::generate(UNIX_S, &request, &mut entropy(client_id as u8)).expect("one address is a token")
}

/// A server, two clients and the datagrams under way between them.
struct HandshakeNetwork {
    now: Duration,
    server: ServerNetcode,
    clients: [ClientNetcode; 2],
    up: VecDeque<(SocketAddr, Vec<u8>)>,
    down: VecDeque<(SocketAddr, Vec<u8>)>,
    sessions: Vec<SessionId>,
}

fn client_address(client: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1_000 + client as u16))
}

fn push(queue: &mut VecDeque<(SocketAddr, Vec<u8>)>, address: SocketAddr, datagram: &[u8]) {
    if queue.len() < IN_FLIGHT_MAX {
        queue.push_back((address, datagram.to_vec()));
    }
}

impl HandshakeNetwork {
    fn new() -> Self {
        let config = ServerNetcodeConfig {
            sessions_max: 2,
            ..ServerNetcodeConfig::new(PRIVATE_KEY, vec![SERVER])
        };
        let client = |id| ClientNetcode::new(Duration::ZERO, &token(id, 5));
        Self {
            now: Duration::ZERO,
            server: ServerNetcode::new(config, &mut entropy(1)),
            clients: [client(1), client(2)],
            up: VecDeque::new(),
            down: VecDeque::new(),
            sessions: Vec::new(),
        }
    }

    fn reach_server(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        let length = datagram.len();
        let mut reply = Reply::new();
        let unix_s = UNIX_S + self.now.as_secs();
        match self
            .server
            .receive(self.now, unix_s, from, &mut datagram, &mut reply)
        {
            ServerReceived::Connected { session, .. } => self.sessions.push(session),
            ServerReceived::Payload { payload, .. } => assert!(!payload.is_empty()),
            _ => {}
        }
        assert!(
            reply.as_slice().len() <= length,
            "{} bytes in response to {length}",
            reply.as_slice().len()
        );
        if !reply.is_empty() {
            push(&mut self.down, from, reply.as_slice());
        }
        assert!(self.server.connected() <= 2, "more sessions than allowed");
    }

    fn reach_client(&mut self, client: usize, mut datagram: Vec<u8>) {
        let _ = self.clients[client].receive(self.now, &mut datagram);
    }

    /// Advances the time by `by` and updates both sides.
    fn advance(&mut self, by: Duration) {
        self.now += by;
        let down = &mut self.down;
        self.server.update(
            self.now,
            &mut |to, datagram| push(down, to, datagram),
            &mut |_| {},
        );
        for (client, netcode) in self.clients.iter_mut().enumerate() {
            let up = &mut self.up;
            let _ = netcode.update(self.now, &mut |_, datagram| {
                push(up, client_address(client), datagram);
            });
        }
    }

    fn send_payloads(&mut self, payload: &[u8]) {
        let mut buffer = vec![0; SEAL_HEAD_BYTES + payload.len() + SEAL_TAIL_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
        for (client, netcode) in self.clients.iter_mut().enumerate() {
            buffer[range.clone()].copy_from_slice(payload);
            if let Ok(sealed) = netcode.seal(self.now, &mut buffer, range.clone()) {
                push(&mut self.up, client_address(client), &buffer[sealed]);
            }
        }
        for &session in &self.sessions {
            buffer[range.clone()].copy_from_slice(payload);
            let Some(address) = self.server.address(session) else {
                continue;
            };
            if let Ok(sealed) = self.server.seal(session, self.now, &mut buffer, range.clone()) {
                push(&mut self.down, address, &buffer[sealed]);
            }
        }
    }
}

/// Damages a datagram in the way that `damage` selects: not at all, in one byte, truncated, or extended. `position` is
/// the place of the damage in units of a 256th of the length, or the number of bytes to add.
fn mangle(mut datagram: Vec<u8>, damage: u8, position: u8) -> Vec<u8> {
    let index = usize::from(position) * datagram.len() / 256;
    match damage {
        0..=199 => {}
        200..=219 => {
            if let Some(byte) = datagram.get_mut(index) {
                *byte ^= damage;
            }
        }
        220..=239 => datagram.truncate(index),
        _ => datagram.resize(datagram.len() + usize::from(position), damage),
    }
    datagram
}

/// Delivers datagrams from any address to a server and to two clients in any state.
///
/// It must not panic. No reply is longer than its request, and there are no more sessions than allowed. Every third
/// byte is a step, and the two bytes after it are its arguments.
pub fn datagrams(data: &[u8]) {
    let mut network = HandshakeNetwork::new();
    for step in data.chunks_exact(3).take(STEPS_MAX) {
        let &[action, first, second] = step else { continue };
        match action % 8 {
            0 => network.advance(Duration::from_millis(u64::from(first) * 16)),
            1 | 2 => {
                if let Some((from, datagram)) = network.up.pop_front() {
                    network.reach_server(from, mangle(datagram, first, second));
                }
            }
            3 | 4 => {
                if let Some((to, datagram)) = network.down.pop_front() {
                    let client = usize::from(to.port() != client_address(0).port());
                    network.reach_client(client, mangle(datagram, first, second));
                }
            }
            // A datagram arrives a second time, possibly from another address.
            5 => {
                if let Some((from, datagram)) = network.up.back().cloned() {
                    let from = if first & 1 == 0 {
                        from
                    } else {
                        client_address(usize::from(second))
                    };
                    network.reach_server(from, datagram);
                }
            }
            6 => network.send_payloads(&data[..data.len().min(1 + usize::from(first))]),
            _ => {
                let random = data[..data.len().min(usize::from(first))].to_vec();
                network.reach_server(client_address(usize::from(second)), random.clone());
                network.reach_client(usize::from(second & 1), random);
            }
        }
    }
}

/// Reads connect tokens, as a client does. Any bytes are refused or read back equal, and a client accepts every
/// valid token without a panic.
pub fn tokens(data: &[u8]) {
    if let Ok(token) = ConnectToken::from_bytes(data) {
        let again = ConnectToken::from_bytes(&token.to_bytes()[..]);
        assert!(
            again.is_ok_and(|again| again == token),
            "a token changed in its encoding"
        );
        try_token(&token);
    }
    // A valid token with the input written over a part of it reaches more code than random bytes.
    let mut bytes = token(3, 5).to_bytes();
    let Some((index, overlay)) = data.split_first_chunk::<2>() else {
        return;
    };
    let index = usize::from(u16::from_le_bytes(*index)) % bytes.len();
    let length = overlay.len().min(bytes.len() - index);
    bytes[index..index + length].copy_from_slice(&overlay[..length]);
    if let Ok(token) = ConnectToken::from_bytes(&bytes[..]) {
        try_token(&token);
    }
}

/// Connects to a server with a token, for a minute.
fn try_token(token: &ConnectToken) {
    let mut network = HandshakeNetwork::new();
    network.clients[0] = ClientNetcode::new(Duration::ZERO, token);
    for _ in 0..12 {
        network.advance(Duration::from_secs(5));
        while let Some((from, datagram)) = network.up.pop_front() {
            network.reach_server(from, datagram);
        }
        while let Some((to, datagram)) = network.down.pop_front() {
            network.reach_client(usize::from(to.port() != client_address(0).port()), datagram);
        }
    }
}
