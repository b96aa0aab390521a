//! The floor's server: one thread, one socket, a tick every 50 ms.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::UdpSocket;
use ring::aead::{Aad, LessSafeKey};
use rustix::time::{ClockId, clock_gettime};
use throng_server::internals::{
    Arrival, BatchedReceiver, BatchedSender, Flush, Receive, SocketCounters, Transmit,
};
use throng_shared::limits::PAYLOAD_BYTES_MAX;

use super::world::{FloorMap, RECORD_BYTES};
use super::{INPUT_BYTES, PERIOD, TAG_BYTES, key, nonce, now};

/// Ticks before the measurement begins.
const WARM_UP_TICKS: u32 = 40;
/// Number of times in a tick that the socket is read.
const READS_PER_TICK: u32 = 10;
/// Bytes of the packet's number before its records.
const HEAD_BYTES: usize = 8;
/// The most records that fit into a datagram.
const RECORDS_MAX: usize = (PAYLOAD_BYTES_MAX - HEAD_BYTES - TAG_BYTES) / RECORD_BYTES;

/// Counters of the measurement, without the warm-up.
pub(super) struct FloorMeasurement {
    pub(super) ticks: u32,
    pub(super) cpu: Duration,
    pub(super) elapsed: Duration,
    pub(super) bytes: u64,
    pub(super) records: u64,
    /// Datagrams that were sent, including the warm-up.
    pub(super) datagrams_in_all: u64,
}

struct FloorClient {
    address: SocketAddr,
    key: LessSafeKey,
    sent: u64,
}

pub(super) struct FloorServer {
    receiver: BatchedReceiver,
    sender: BatchedSender,
    clients: Vec<FloorClient>,
    by_address: HashMap<SocketAddr, u32>,
    world: FloorMap,
}

impl FloorServer {
    /// Creates a server whose clients are already known.
    pub(super) fn new(socket: UdpSocket, clients: &[SocketAddr], visible: u32) -> Self {
        let (socket, counters) = (Arc::new(socket), Arc::new(SocketCounters::default()));
        let client = |(index, &address): (usize, &SocketAddr)| FloorClient {
            address,
            key: key(index),
            sent: 0,
        };
        Self {
            receiver: BatchedReceiver::new(Arc::clone(&socket), Arc::clone(&counters)),
            sender: BatchedSender::new(socket, counters),
            clients: clients.iter().enumerate().map(client).collect(),
            by_address: clients.iter().copied().zip(0..).collect(),
            world: FloorMap::new(clients.len(), visible),
        }
    }

    /// Serves this many ticks after a warm-up.
    pub(super) fn run(&mut self, ticks: u32) -> Result<FloorMeasurement> {
        let mut due = now();
        let (mut started, mut cpu_before) = (due, Duration::ZERO);
        let (mut bytes, mut records) = (0, 0);
        for tick in 0..WARM_UP_TICKS + ticks {
            if tick == WARM_UP_TICKS {
                (started, cpu_before) = (now(), thread_cpu());
                (bytes, records) = (0, 0);
            }
            for _ in 0..READS_PER_TICK {
                due += PERIOD / READS_PER_TICK;
                thread::sleep(due.saturating_duration_since(now()));
                self.read().context("cannot read the server's socket")?;
            }
            self.world.step();
            let (tick_bytes, tick_records) = self.send();
            bytes += tick_bytes;
            records += tick_records;
        }
        Ok(FloorMeasurement {
            ticks,
            cpu: thread_cpu().saturating_sub(cpu_before),
            elapsed: now().duration_since(started),
            bytes,
            records,
            datagrams_in_all: self.clients.iter().map(|client| client.sent).sum(),
        })
    }

    fn read(&mut self) -> std::io::Result<()> {
        let Self {
            receiver,
            clients,
            by_address,
            world,
            ..
        } = self;
        while receiver.receive(&mut |arrival: Arrival, datagram: &mut [u8]| {
            let Some(&index) = by_address.get(&arrival.from) else {
                return;
            };
            let (head, sealed) = datagram.split_at_mut(HEAD_BYTES.min(datagram.len()));
            let Ok(head) = <[u8; HEAD_BYTES]>::try_from(&*head) else {
                return;
            };
            let number = u64::from_le_bytes(head);
            let client = &clients[index as usize];
            if let Ok(input) = client
                .key
                .open_in_place(nonce(number, true), Aad::from(head), sealed)
                && input.len() == INPUT_BYTES - HEAD_BYTES
            {
                world.turn(index as usize, input[0]);
            }
        })? > 0
        {}
        Ok(())
    }

    /// Sends each client its view. Returns the bytes and records.
    fn send(&mut self) -> (u64, u64) {
        let (mut bytes, mut records) = (0, 0);
        for (index, client) in self.clients.iter_mut().enumerate() {
            let number = client.sent;
            client.sent += 1;
            let buffer = self.sender.begin();
            let (head, body) = buffer.split_at_mut(HEAD_BYTES);
            head.copy_from_slice(&number.to_le_bytes());
            let count = self
                .world
                .write_view(index, &mut body[..RECORDS_MAX * RECORD_BYTES]);
            let (body, rest) = body.split_at_mut(count * RECORD_BYTES);
            let aad = Aad::from(number.to_le_bytes());
            let Ok(tag) = client
                .key
                .seal_in_place_separate_tag(nonce(number, false), aad, body)
            else {
                continue;
            };
            rest[..TAG_BYTES].copy_from_slice(tag.as_ref());
            let length = HEAD_BYTES + body.len() + TAG_BYTES;
            self.sender.commit(client.address, 0..length);
            bytes += length as u64;
            records += count as u64;
        }
        self.sender.flush();
        (bytes, records)
    }
}

/// Returns the CPU time of this thread, including the kernel's work for it.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
