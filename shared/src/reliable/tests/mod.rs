//! Ends and links that the tests of this module share.

mod exchange;
mod hostile;

use std::collections::BTreeMap;

use renet::{RenetServer, ServerEvent};

use super::*;
use crate::random::Random;

/// An end of a session, ours or stock.
trait Peer {
    fn send(&mut self, channel: Channel, message: Bytes);
    fn receive(&mut self, packet: &[u8]);
    fn pop(&mut self) -> Option<(Channel, Bytes)>;
    fn poll(&mut self, now: Duration) -> Vec<Vec<u8>>;
}

impl Peer for Reliable {
    fn send(&mut self, channel: Channel, message: Bytes) {
        Reliable::send(self, channel, message).unwrap();
    }

    fn receive(&mut self, packet: &[u8]) {
        Reliable::receive(self, packet).unwrap();
    }

    fn pop(&mut self) -> Option<(Channel, Bytes)> {
        Reliable::pop(self)
    }

    fn poll(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        Reliable::poll(self, now, usize::MAX, |packet| packets.push(packet.to_vec())).unwrap();
        assert!(packets.iter().all(|packet| packet.len() <= PAYLOAD_BYTES_MAX));
        packets
    }
}

struct StockClient(RenetClient, Duration);

impl StockClient {
    fn new() -> Self {
        let mut client = RenetClient::new(ConnectionConfig::default());
        client.set_connected();
        Self(client, Duration::ZERO)
    }
}

impl Peer for StockClient {
    fn send(&mut self, channel: Channel, message: Bytes) {
        self.0.send_message(channel as u8, message);
    }

    fn receive(&mut self, packet: &[u8]) {
        self.0.process_packet(packet);
        assert_eq!(self.0.disconnect_reason(), None);
    }

    fn pop(&mut self) -> Option<(Channel, Bytes)> {
        Channel::ALL
            .into_iter()
            .find_map(|channel| Some((channel, self.0.receive_message(channel as u8)?)))
    }

    fn poll(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.0.update(now - self.1);
        self.1 = now;
        self.0.get_packets_to_send()
    }
}

struct StockServer(RenetServer, Duration);

impl StockServer {
    fn new() -> Self {
        let mut server = RenetServer::new(ConnectionConfig::default());
        server.add_connection(7);
        assert_eq!(
            server.get_event(),
            Some(ServerEvent::ClientConnected { client_id: 7 })
        );
        Self(server, Duration::ZERO)
    }
}

impl Peer for StockServer {
    fn send(&mut self, channel: Channel, message: Bytes) {
        self.0.send_message(7, channel as u8, message);
    }

    fn receive(&mut self, packet: &[u8]) {
        self.0.process_packet_from(packet, 7).unwrap();
        assert_eq!(self.0.disconnect_reason(7), None);
    }

    fn pop(&mut self) -> Option<(Channel, Bytes)> {
        Channel::ALL
            .into_iter()
            .find_map(|channel| Some((channel, self.0.receive_message(7, channel as u8)?)))
    }

    fn poll(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.0.update(now - self.1);
        self.1 = now;
        self.0.get_packets_to_send(7).unwrap()
    }
}

/// A one-way link that loses, duplicates and delays packets, from a seed.
struct Link {
    random: Random,
    loss_percent: u64,
    jitter_ms: u64,
    under_way: BTreeMap<(Duration, u64), Vec<u8>>,
    packets: u64,
}

impl Link {
    fn new(seed: u64, loss_percent: u64, jitter_ms: u64) -> Self {
        Self {
            random: Random::new(seed),
            loss_percent,
            jitter_ms,
            under_way: BTreeMap::new(),
            packets: 0,
        }
    }

    fn carry(&mut self, now: Duration, packets: Vec<Vec<u8>>, to: &mut dyn Peer) {
        for packet in packets {
            self.packets += 1;
            let copies = 1 + u64::from(self.random.below(20) == 0);
            for copy in 0..copies {
                if self.random.below(100) >= self.loss_percent {
                    let arrival = now + Duration::from_millis(20 + self.random.below(self.jitter_ms + 1));
                    self.under_way
                        .insert((arrival, self.packets * 2 + copy), packet.clone());
                }
            }
        }
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            to.receive(&entry.remove());
        }
    }
}

/// Returns message `number`, whose length depends on the number.
fn message(number: u32, bytes_max: usize) -> Bytes {
    let length = 4 + number as usize * 7_919 % (bytes_max - 3);
    number
        .to_le_bytes()
        .into_iter()
        .chain(std::iter::repeat(number as u8))
        .take(length)
        .collect()
}

fn number(message: &[u8]) -> u32 {
    u32::from_le_bytes(*message.first_chunk().unwrap())
}

fn varint(value: u64) -> Vec<u8> {
    match packet::varint_bytes(value) {
        1 => vec![value as u8],
        2 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        4 => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

fn small(sequence: u64, channel: u8, messages: &[(u64, usize)]) -> Vec<u8> {
    let mut packet = [vec![0], varint(sequence), vec![channel, 0, messages.len() as u8]].concat();
    for &(id, bytes) in messages {
        packet.extend([varint(id), varint(bytes as u64), vec![1; bytes]].concat());
    }
    packet
}

fn slice(kind: u8, sequence: u64, channel: u8, [id, index, count]: [u64; 3], bytes: usize) -> Vec<u8> {
    let head = [varint(id), varint(index), varint(count), varint(bytes as u64)].concat();
    [vec![kind], varint(sequence), vec![channel], head, vec![1; bytes]].concat()
}

/// Returns an acknowledgement of ranges of (last, size), descending, with gaps between them.
fn ack(sequence: u64, ranges: &[(u64, u64)]) -> Vec<u8> {
    let (last, size) = ranges[0];
    let mut packet = [
        vec![4],
        varint(sequence),
        varint(last),
        varint(size),
        varint(ranges.len() as u64 - 1),
    ]
    .concat();
    for &(gap, size) in &ranges[1..] {
        packet.extend([varint(gap), varint(size)].concat());
    }
    packet
}
