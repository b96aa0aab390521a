//! Packets of a hostile peer, byte by byte.

use proptest::prelude::*;

use super::*;
use crate::limits::RELIABLE_WINDOW_MESSAGES;

const ORDERED: u8 = Channel::ReliableOrdered as u8;
const UNORDERED: u8 = Channel::ReliableUnordered as u8;

proptest! {
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
    fn damaged_packets_never_panic(seed: u64, index in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>()) {
        let (mut stock, mut end) = (StockClient::new(), Reliable::new());
        let mut link = Link::new(seed, 0, 0);
        for step in 0..20u64 {
            stock.send(Channel::ALL[link.random.below(3) as usize], message(step as u32, 4_000));
            for mut packet in stock.poll(Duration::from_millis(step * 400)) {
                if link.random.below(8) == 0 {
                    let index = index.index(packet.len());
                    packet[index] = value;
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

#[test]
fn packets_that_no_renet_peer_sends_are_refused() {
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
fn messages_ahead_of_a_missing_one_are_held_up_to_the_limit() {
    let mut end = Reliable::new();
    let error = (1..).find_map(|id| end.receive(&small(id, ORDERED, &[(id, 1_100)])).err());
    assert!(matches!(error, Some(GuardError::Renet(_))), "{error:?}");
}

#[test]
fn packets_count_as_lost_while_received_messages_are_not_taken() {
    let mut end = Reliable::new();
    let receive = |end: &mut Reliable, id| end.receive(&small(id, ORDERED, &[(id, 1_100)])).unwrap();
    (0..100).for_each(|id| receive(&mut end, id));
    let held = std::iter::from_fn(|| end.pop()).count() as u64;
    assert!((50..65).contains(&held), "{held} messages");
    // The peer sends the others again.
    (held..100).for_each(|id| receive(&mut end, id));
    assert_eq!(std::iter::from_fn(|| end.pop()).count() as u64, 100 - held);
}

#[test]
fn repeated_slices_of_complete_messages_are_only_acknowledged() {
    let mut end = Reliable::new();
    let mut sequence = 0..;
    let mut receive = |end: &mut Reliable, slice_of, bytes| {
        end.receive(&slice(2, sequence.next().unwrap(), UNORDERED, slice_of, bytes))
            .unwrap();
    };
    // Message 0 is missing, so that the complete ones stay in the window.
    for id in 1..=40 {
        receive(&mut end, [id, 0, 2], 1_200);
        receive(&mut end, [id, 1, 2], 3);
        assert_eq!(end.pop().unwrap().1.len(), 1_203);
    }
    // renet would take each of these for a new message, and hold its memory forever.
    for id in 1..=40 {
        receive(&mut end, [id, 0, 2], 1_200);
    }
    assert_eq!(end.pop(), None);
    assert_eq!(
        Peer::poll(&mut end, Duration::from_secs(9)),
        [ack(0, &[(119, 119)])]
    );
}

#[test]
fn a_repeated_packet_counts_once() {
    let mut end = Reliable::new();
    let packet = [1, 3, Channel::Unreliable as u8, 0, 1, 1, 42];
    end.receive(&packet).unwrap();
    end.receive(&small(4, ORDERED, &[])).unwrap();
    end.receive(&packet).unwrap();
    assert_eq!(end.pop(), Some((Channel::Unreliable, Bytes::from_static(&[42]))));
    assert_eq!(end.pop(), None);
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
