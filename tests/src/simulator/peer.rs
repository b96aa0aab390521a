//! An authenticated peer that a test controls: real netcode, with any bytes as payloads.

use std::net::SocketAddr;

use throng_shared::netcode::{
    ClientNetcode, ClientReceived, ClientState, ConnectToken, PAYLOAD_BYTES_MAX, SEAL_HEAD_BYTES,
    SEAL_TAIL_BYTES,
};

use super::Simulator;

/// A peer that receives through a mailbox of the simulator.
pub struct RawPeer {
    address: SocketAddr,
    netcode: ClientNetcode,
    received: Vec<Vec<u8>>,
}

impl RawPeer {
    /// Creates a peer at `address` that connects with `token`.
    pub fn new(simulator: &mut Simulator, address: SocketAddr, token: &ConnectToken) -> Self {
        simulator.open_mailbox(address);
        Self {
            address,
            netcode: ClientNetcode::new(simulator.now(), token),
            received: Vec::new(),
        }
    }

    /// Creates a peer and completes its handshake.
    ///
    /// # Panics
    /// If the peer does not connect within two seconds.
    pub fn connected(simulator: &mut Simulator, address: SocketAddr, client_id: u64) -> Self {
        let now = simulator.now();
        let token = simulator.server().issue_token(now, client_id);
        let mut peer = Self::new(simulator, address, &token);
        for _ in 0..40 {
            peer.step(simulator);
            if peer.netcode.is_connected() {
                return peer;
            }
            simulator.run(1);
        }
        panic!("the peer did not connect: {:?}", peer.netcode.state());
    }

    /// Returns the address from which the peer sends.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the state of the handshake.
    #[must_use]
    pub fn state(&self) -> ClientState {
        self.netcode.state()
    }

    /// Removes and returns the payloads received since the last call.
    pub fn take_received(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.received)
    }

    /// Reads the received datagrams and sends those that are due.
    pub fn step(&mut self, simulator: &mut Simulator) {
        let now = simulator.now();
        while let Some(mut datagram) = simulator.take_datagram(self.address) {
            if let ClientReceived::Payload { payload, .. } = self.netcode.receive(now, &mut datagram) {
                self.received.push(payload.to_vec());
            }
        }
        let from = self.address;
        let _ = self
            .netcode
            .update(now, &mut |to, datagram| simulator.send_raw(from, to, datagram));
    }

    /// Seals and sends one payload of at most [`PAYLOAD_BYTES_MAX`] bytes.
    ///
    /// # Panics
    /// If the payload is longer.
    pub fn send(&mut self, simulator: &mut Simulator, payload: &[u8]) {
        let mut buffer = [0; SEAL_HEAD_BYTES + PAYLOAD_BYTES_MAX + SEAL_TAIL_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
        buffer[range.clone()].copy_from_slice(payload);
        if let Ok(sealed) = self.netcode.seal(simulator.now(), &mut buffer, range) {
            simulator.send_raw(self.address, self.netcode.server_address(), &buffer[sealed]);
        }
    }
}
