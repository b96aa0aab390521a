//! Both ends against each other and against stock renet, over bad links; and what a hostile peer sends.

use std::collections::BTreeMap;

use proptest::prelude::*;
use renet::{RenetServer, ServerEvent};

use super::*;
use crate::limits::{MESSAGE_BYTES_MAX, RELIABLE_WINDOW_MESSAGES};

const ORDERED: u8 = Channel::ReliableOrdered as u8;
const UNORDERED: u8 = Channel::ReliableUnordered as u8;

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

/// A one-way link that loses, doubles and delays, from a seed.
struct Link {
    random: u64,
    loss_percent: u64,
    jitter_ms: u64,
    under_way: BTreeMap<(Duration, u64), Vec<u8>>,
    packets: u64,
}

impl Link {
    fn new(seed: u64, loss_percent: u64, jitter_ms: u64) -> Self {
        Self {
            random: seed | 1,
            loss_percent,
            jitter_ms,
            under_way: BTreeMap::new(),
            packets: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    fn carry(&mut self, now: Duration, packets: Vec<Vec<u8>>, to: &mut dyn Peer) {
        for packet in packets {
            self.packets += 1;
            let copies = 1 + u64::from(self.below(20) == 0);
            for copy in 0..copies {
                if self.below(100) >= self.loss_percent {
                    let at = now + Duration::from_millis(20 + self.below(self.jitter_ms + 1));
                    self.under_way
                        .insert((at, self.packets * 2 + copy), packet.clone());
                }
            }
        }
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            to.receive(&entry.remove());
        }
    }
}

/// Message `number`, of a length that depends on it.
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

/// Lets both ends send `count` messages through each reliable channel, and checks that all arrive.
fn exchange(a: &mut dyn Peer, b: &mut dyn Peer, links: &mut [Link; 2], count: u32, bytes_max: usize) {
    let reliable = [Channel::ReliableUnordered, Channel::ReliableOrdered];
    let mut arrived: [BTreeMap<Channel, Vec<u32>>; 2] = Default::default();
    let mut sent = 0;
    for step in 0..8_000u64 {
        let now = Duration::from_secs(1_000) + Duration::from_millis(step * 16);
        // As much as stock renet's peer may have under way, in bursts.
        while sent < count && sent <= step as u32 / 4 {
            for channel in reliable {
                a.send(channel, message(sent, bytes_max));
                b.send(channel, message(sent, bytes_max));
            }
            a.send(Channel::Unreliable, message(sent, MESSAGE_BYTES_MAX));
            b.send(Channel::Unreliable, message(sent, MESSAGE_BYTES_MAX));
            sent += 1;
        }
        links[0].carry(now, a.poll(now), b);
        links[1].carry(now, b.poll(now), a);
        for (end, arrived) in [&mut *a, &mut *b].into_iter().zip(&mut arrived) {
            while let Some((channel, received)) = end.pop() {
                let max = if channel.is_reliable() {
                    bytes_max
                } else {
                    MESSAGE_BYTES_MAX
                };
                assert_eq!(received, message(number(&received), max));
                arrived.entry(channel).or_default().push(number(&received));
            }
        }
    }
    for mut arrived in arrived {
        let all: Vec<u32> = (0..count).collect();
        assert_eq!(arrived[&Channel::ReliableOrdered], all);
        arrived
            .get_mut(&Channel::ReliableUnordered)
            .unwrap()
            .sort_unstable();
        assert_eq!(arrived[&Channel::ReliableUnordered], all);
        assert!(!arrived[&Channel::Unreliable].is_empty());
    }
}

fn links(seed: u64, loss: u64, jitter: u64) -> [Link; 2] {
    [
        Link::new(seed, loss, jitter),
        Link::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), loss, jitter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_arrives_between_our_ends(seed: u64, loss in 0u64..40, jitter in 0u64..120) {
        let (mut a, mut b) = (Reliable::new(), Reliable::new());
        exchange(&mut a, &mut b, &mut links(seed, loss, jitter), 400, MESSAGE_BYTES_MAX);
        prop_assert!(a.is_idle() && b.is_idle());
    }

    #[test]
    fn all_arrives_between_us_and_a_stock_client(seed: u64, loss in 0u64..20, jitter in 0u64..60) {
        let (mut ours, mut stock) = (Reliable::new(), StockClient::new());
        exchange(&mut ours, &mut stock, &mut links(seed, loss, jitter), 400, 60);
    }

    #[test]
    fn all_arrives_between_us_and_a_stock_server(seed: u64, loss in 0u64..20, jitter in 0u64..60) {
        let (mut ours, mut stock) = (Reliable::new(), StockServer::new());
        exchange(&mut ours, &mut stock, &mut links(seed, loss, jitter), 400, 60);
    }

    #[test]
    fn sliced_messages_of_a_stock_peer_arrive(seed: u64, loss in 0u64..40) {
        let (mut ours, mut stock) = (Reliable::new(), StockServer::new());
        let mut links = links(seed, loss, 30);
        let mut arrived = 0;
        for step in 0..4_000u64 {
            let now = Duration::from_millis(step * 16);
            if step % 400 == 0 && step < 3_000 {
                stock.send(Channel::ReliableUnordered, message(step as u32, 9_600));
                stock.send(Channel::ReliableOrdered, message(step as u32, 9_600));
            }
            links[0].carry(now, Peer::poll(&mut ours, now), &mut stock);
            links[1].carry(now, stock.poll(now), &mut ours);
            while let Some((_, received)) = ours.pop() {
                prop_assert_eq!(&received, &message(number(&received), 9_600));
                arrived += 1;
            }
        }
        prop_assert_eq!(arrived, 16);
    }

    #[test]
    fn random_bytes_never_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..30)) {
        let mut end = Reliable::new();
        for mut packet in packets {
            if let Some(kind) = packet.first_mut() {
                *kind %= 5;
            }
            if end.receive(&packet).is_err() {
                break;
            }
            if end.poll(Duration::from_secs(1), usize::MAX, |_| {}).is_err() {
                break;
            }
        }
    }

    #[test]
    fn damaged_packets_never_panic(seed: u64, at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>()) {
        let (mut stock, mut end) = (StockClient::new(), Reliable::new());
        let mut link = Link::new(seed, 0, 0);
        for step in 0..20u64 {
            stock.send(Channel::ALL[link.below(3) as usize], message(step as u32, 4_000));
            for mut packet in stock.poll(Duration::from_millis(step * 400)) {
                if link.below(8) == 0 {
                    let at = at.index(packet.len());
                    packet[at] = value;
                    packet.truncate(1 + cut.index(packet.len()));
                }
                if end.receive(&packet).is_err() {
                    return Ok(());
                }
            }
            while end.pop().is_some() {}
        }
    }
}

#[test]
fn truncated_packets_are_refused_at_every_length() {
    let mut stock = StockClient::new();
    for channel in Channel::ALL {
        stock.send(channel, message(70_000, 3_000));
        stock.send(channel, message(3, 60));
    }
    for end in [1_000, 1_002] {
        stock.receive(&ack(end, &[(0, 0)]));
    }
    for packet in stock.poll(Duration::from_secs(1)) {
        assert!(Packet::parse(&packet).is_ok());
        for end in 0..packet.len() {
            assert!(Packet::parse(&packet[..end]).is_err());
        }
        let longer = [&packet[..], &[0]].concat();
        assert_eq!(Packet::parse(&longer).unwrap_err(), GuardError::Trailing(1));
    }
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
    let place = [varint(id), varint(index), varint(count), varint(bytes as u64)].concat();
    [vec![kind], varint(sequence), vec![channel], place, vec![1; bytes]].concat()
}

/// An acknowledgement of ranges of (last, size), descending, with gaps between them.
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

#[test]
fn what_no_renet_peer_sends_is_refused() {
    use GuardError::*;
    let far = RELIABLE_WINDOW_MESSAGES;
    let cases: [(GuardError, Vec<Vec<u8>>); 19] = [
        (Truncated, vec![vec![]]),
        (Truncated, vec![vec![0]]),
        (UnknownKind(5), vec![vec![5, 0]]),
        (UnknownChannel(9), vec![small(0, 9, &[(0, 1)])]),
        (UnknownChannel(0), vec![small(0, 0, &[(0, 1)])]),
        (UnknownChannel(2), vec![vec![1, 0, ORDERED, 0, 1, 1, 1]]),
        (EmptyMessage, vec![small(0, ORDERED, &[(0, 0)])]),
        (EmptyMessage, vec![vec![1, 0, 0, 0, 1, 0]]),
        (MessageTooFar, vec![small(0, ORDERED, &[(far, 1)])]),
        (
            MessageTooFar,
            vec![
                small(0, UNORDERED, &[(0, 1)]),
                small(1, UNORDERED, &[(far + 1, 1)]),
            ],
        ),
        (MessageTooFar, vec![slice(2, 0, ORDERED, [far, 0, 2], 1_200)]),
        (
            SliceIndex { index: 7, count: 2 },
            vec![slice(2, 0, ORDERED, [0, 7, 2], 1_200)],
        ),
        (
            SliceIndex { index: 7, count: 2 },
            vec![slice(3, 0, 0, [0, 7, 2], 1_200)],
        ),
        (SliceCount(9), vec![slice(2, 0, ORDERED, [0, 0, 9], 1_200)]),
        (
            SliceCountChanged,
            vec![
                slice(2, 0, ORDERED, [0, 0, 2], 1_200),
                slice(2, 1, ORDERED, [0, 0, 8], 1_200),
            ],
        ),
        (SliceBytes(5), vec![slice(2, 0, ORDERED, [0, 0, 2], 5)]),
        (
            MixedMessage,
            vec![
                slice(2, 0, ORDERED, [0, 0, 2], 1_200),
                small(1, ORDERED, &[(0, 1)]),
            ],
        ),
        (AckOfUnsent(0), vec![ack(0, &[(0, 0)])]),
        (AckRange, vec![ack(0, &[(3, 4)])]),
    ];
    for (expected, packets) in cases {
        let mut end = Reliable::new();
        let (last, first) = packets.split_last().unwrap();
        for packet in first {
            end.receive(packet).unwrap();
        }
        assert_eq!(end.receive(last), Err(expected), "{packets:?}");
    }
    let many = vec![(0, 0); 200];
    assert_eq!(Reliable::new().receive(&ack(0, &many)), Err(AckRanges(199)));
}

#[test]
fn messages_ahead_are_held_only_up_to_the_limit() {
    let mut end = Reliable::new();
    let error = (1..).find_map(|id| end.receive(&small(id, ORDERED, &[(id, 1_100)])).err());
    assert!(matches!(error, Some(GuardError::Renet(_))), "{error:?}");
    let mut end = Reliable::new();
    let error = (0..).find_map(|id| end.receive(&small(id, ORDERED, &[(id, 1_100)])).err());
    assert_eq!(error, Some(GuardError::NotTaken));
}

#[test]
fn repeated_slices_of_a_complete_message_are_only_acknowledged() {
    let mut end = Reliable::new();
    // Message 0 is missing, so the complete message 1 stays in the window.
    end.receive(&slice(2, 0, UNORDERED, [1, 0, 2], 1_200)).unwrap();
    end.receive(&slice(2, 1, UNORDERED, [1, 1, 2], 3)).unwrap();
    assert_eq!(end.pop().unwrap().1.len(), 1_203);
    for sequence in 2..100 {
        end.receive(&slice(2, sequence, UNORDERED, [1, 0, 2], 1_200))
            .unwrap();
    }
    assert_eq!(end.pop(), None);
    let mut acks = Vec::new();
    end.poll(Duration::from_secs(9), usize::MAX, |packet| {
        acks.push(packet.to_vec())
    })
    .unwrap();
    assert_eq!(acks, [ack(0, &[(99, 99)])]);
}

#[test]
fn duplicate_acknowledgements_change_nothing() {
    let mut end = Reliable::new();
    Reliable::send(&mut end, Channel::ReliableOrdered, Bytes::from_static(b"once")).unwrap();
    assert_eq!(Peer::poll(&mut end, Duration::from_secs(1)).len(), 1);
    for sequence in 0..500 {
        end.receive(&ack(sequence, &[(0, 0)])).unwrap();
        end.receive(&ack(sequence, &[(0, 0)])).unwrap();
    }
    assert!(
        Peer::poll(&mut end, Duration::from_secs(2))
            .iter()
            .all(|packet| packet[0] == 4)
    );
    assert!(end.is_idle());
}

#[test]
fn acknowledgements_die_out() {
    let (mut a, mut b) = (Reliable::new(), Reliable::new());
    let mut links = links(3, 0, 0);
    Reliable::send(&mut a, Channel::ReliableOrdered, Bytes::from_static(b"hello")).unwrap();
    for step in 0..1_000 {
        let now = Duration::from_millis(step * 16);
        links[0].carry(now, Peer::poll(&mut a, now), &mut b);
        links[1].carry(now, Peer::poll(&mut b, now), &mut a);
    }
    assert_eq!((links[0].packets, links[1].packets), (1, 1));
}

#[test]
fn acknowledgements_are_at_most_every_interval() {
    let mut end = Reliable::new();
    let mut acks = 0;
    for step in 0..1_000u64 {
        end.receive(&small(step, ORDERED, &[(step, 8)])).unwrap();
        end.pop().unwrap();
        acks += Peer::poll(&mut end, Duration::from_millis(step * 10)).len();
    }
    assert_eq!(acks, 100);
}

#[test]
fn a_pause_does_not_repeat_what_it_missed() {
    let mut end = Reliable::new();
    let mut send = |end: &mut Reliable, count| {
        for number in 0..count {
            Reliable::send(end, Channel::ReliableOrdered, message(number, MESSAGE_BYTES_MAX)).unwrap();
        }
    };
    send(&mut end, 10);
    let first = Peer::poll(&mut end, Duration::from_secs(1)).len();
    let again = Peer::poll(&mut end, Duration::from_secs(60)).len();
    assert!(first > 4 && again <= first, "{first} {again}");
}

#[test]
fn a_budget_ends_a_poll_and_loses_nothing() {
    let (mut a, mut b) = (Reliable::new(), Reliable::new());
    for number in 0..40 {
        Reliable::send(
            &mut a,
            Channel::ReliableOrdered,
            message(number, MESSAGE_BYTES_MAX),
        )
        .unwrap();
    }
    let mut taken = 0;
    for step in 0..1_000 {
        let now = Duration::from_millis(step * 50);
        let mut packets = Vec::new();
        a.poll(now, 600, |packet| packets.push(packet.to_vec())).unwrap();
        assert!(packets.len() <= 2);
        packets.iter().for_each(|packet| Peer::receive(&mut b, packet));
        Peer::poll(&mut b, now)
            .iter()
            .for_each(|packet| Peer::receive(&mut a, packet));
        while let Some((_, received)) = b.pop() {
            assert_eq!(received, message(taken, MESSAGE_BYTES_MAX));
            taken += 1;
        }
    }
    assert_eq!(taken, 40);
}

#[test]
fn sending_is_bounded() {
    let mut end = Reliable::new();
    let mut send = |channel, bytes| Reliable::send(&mut end, channel, vec![1; bytes].into());
    assert_eq!(send(Channel::ReliableOrdered, 0), Err(SendError::Empty));
    assert_eq!(
        send(Channel::ReliableOrdered, MESSAGE_BYTES_MAX + 1),
        Err(SendError::TooLong(MESSAGE_BYTES_MAX + 1))
    );
    for channel in Channel::ALL {
        let full = (0..100).find_map(|_| send(channel, MESSAGE_BYTES_MAX).err());
        assert_eq!(full, Some(SendError::Full(channel)));
    }
}

#[test]
fn nothing_is_created_before_the_first_message() {
    let mut end = Reliable::new();
    end.poll(Duration::from_secs(1), usize::MAX, |_| panic!("nothing to send"))
        .unwrap();
    assert!(end.is_idle() && end.pop().is_none() && end.connection.is_none());
    assert!(end.receive(&[7]).is_err());
    assert!(end.connection.is_none());
}
