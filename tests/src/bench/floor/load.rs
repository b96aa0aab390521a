//! The floor's load: clients that send an input every tick and count the datagrams that they receive.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::thread;

use ring::aead::{Aad, LessSafeKey};

use super::{INPUT_BYTES, PERIOD, TAG_BYTES, key, nonce, now};

/// Groups of clients that send at different times of a tick.
const GROUPS: usize = 25;

struct LoadClient {
    socket: UdpSocket,
    key: LessSafeKey,
    sent: u64,
}

pub(super) struct Load {
    clients: Vec<LoadClient>,
}

impl Load {
    /// Opens a socket for each client and connects it to the server.
    pub(super) fn open(clients: u32, server: SocketAddr) -> io::Result<Self> {
        let client = |index| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            socket.connect(server)?;
            Ok(LoadClient {
                socket,
                key: key(index as usize),
                sent: 0,
            })
        };
        let clients = (0..clients).map(client).collect::<io::Result<_>>()?;
        Ok(Self { clients })
    }

    /// Returns the clients' addresses.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.clients.iter().map(|client| client.socket.local_addr());
        addresses.collect()
    }

    /// Sends and reads until `done` is set. Returns the number of received datagrams.
    pub(super) fn run(&mut self, done: &AtomicBool) -> io::Result<u64> {
        let mut due = now();
        let (mut received, mut buffer) = (0, [0; 2_048]);
        let group = self.clients.len().div_ceil(GROUPS);
        loop {
            for clients in self.clients.chunks_mut(group) {
                due += PERIOD / GROUPS as u32;
                thread::sleep(due.saturating_duration_since(now()));
                for client in clients {
                    received += client.turn(&mut buffer)?;
                }
            }
            if done.load(Acquire) {
                return Ok(received);
            }
        }
    }
}

impl LoadClient {
    /// Reads all waiting datagrams and sends one input. Returns the number of datagrams read.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<u64> {
        let mut received = 0;
        loop {
            match self.socket.recv(buffer) {
                Ok(_) => received += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut input = [1; INPUT_BYTES + TAG_BYTES];
        let (head, rest) = input.split_at_mut(8);
        head.copy_from_slice(&self.sent.to_le_bytes());
        let (body, tail) = rest.split_at_mut(INPUT_BYTES - 8);
        let aad = Aad::from(self.sent.to_le_bytes());
        if let Ok(tag) = self
            .key
            .seal_in_place_separate_tag(nonce(self.sent, true), aad, body)
        {
            tail.copy_from_slice(tag.as_ref());
            self.sent += 1;
            match self.socket.send(&input) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(received)
    }
}
