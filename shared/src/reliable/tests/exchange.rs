//! Both ends with each other and with stock renet, over lossy links.

use proptest::prelude::*;

use super::*;
use crate::limits::MESSAGE_BYTES_MAX;

/// Lets both ends send `count` messages through each reliable channel, and checks that all arrive.
fn exchange<'a>(
    a: &'a mut dyn Peer,
    b: &'a mut dyn Peer,
    links: &mut [Link; 2],
    count: u32,
    bytes_max: usize,
) {
    let reliable = [Channel::ReliableUnordered, Channel::ReliableOrdered];
    let mut arrived: [BTreeMap<Channel, Vec<u32>>; 2] = Default::default();
    let mut sent = 0;
    for step in 0..8_000u64 {
        let now = Duration::from_secs(1_000) + Duration::from_millis(step * 16);
        // In bursts, as much as a peer with stock renet may have under way.
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
    [Link::new(seed, loss, jitter), Link::new(!seed, loss, jitter)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_messages_arrive_between_our_ends(seed: u64, loss in 0u64..40, jitter in 0u64..120) {
        let (mut a, mut b) = (Reliable::new(), Reliable::new());
        exchange(&mut a, &mut b, &mut links(seed, loss, jitter), 400, MESSAGE_BYTES_MAX);
        prop_assert!(a.is_idle() && b.is_idle());
    }

    #[test]
    fn all_messages_arrive_between_us_and_a_stock_client(seed: u64, loss in 0u64..20, jitter in 0u64..60) {
        let (mut ours, mut stock) = (Reliable::new(), StockClient::new());
        exchange(&mut ours, &mut stock, &mut links(seed, loss, jitter), 400, 60);
    }

    #[test]
    fn all_messages_arrive_between_us_and_a_stock_server(seed: u64, loss in 0u64..20, jitter in 0u64..60) {
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
fn acknowledgements_are_sent_at_most_once_an_interval() {
    let mut end = Reliable::new();
    let mut acks = 0;
    for step in 0..1_000u64 {
        end.receive(&small(step, Channel::ReliableOrdered as u8, &[(step, 8)]))
            .unwrap();
        end.pop().unwrap();
        acks += Peer::poll(&mut end, Duration::from_millis(step * 10)).len();
    }
    assert_eq!(acks, 100);
}

#[test]
fn a_pause_does_not_make_up_for_missed_resends() {
    let mut end = Reliable::new();
    let send = |end: &mut Reliable, count| {
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
fn resent_packets_fit_the_datagram_when_all_were_lost() {
    let mut end = Reliable::new();
    let send = |end: &mut Reliable, bytes: usize| {
        Reliable::send(end, Channel::ReliableOrdered, vec![1; bytes].into()).unwrap();
    };
    (0..24).for_each(|_| send(&mut end, 590));
    // Nothing arrives; `Peer::poll` checks every packet.
    let start = Duration::from_secs(1);
    for step in 0..100 {
        let packets = Peer::poll(&mut end, start + Duration::from_millis(step * 33));
        assert!(packets.len() <= 27, "{} packets", packets.len());
    }
}

#[test]
fn a_new_batch_is_not_sent_at_the_instant_of_a_resend() {
    let mut end = Reliable::new();
    let send = |end: &mut Reliable, bytes: usize| {
        Reliable::send(end, Channel::ReliableOrdered, vec![1; bytes].into()).unwrap();
    };
    let start = Duration::from_secs(1);
    send(&mut end, 590);
    assert_eq!(Peer::poll(&mut end, start).len(), 1);
    // The second batch would be sent at the instant at which the first message is resent.
    let before = start + RESEND_AFTER - Duration::from_nanos(1);
    send(&mut end, 900);
    send(&mut end, 590);
    assert_eq!(Peer::poll(&mut end, before).len(), 1);
    assert_eq!(Peer::poll(&mut end, before + Duration::from_millis(1)).len(), 2);
}

#[test]
fn a_lost_packet_does_not_make_the_sender_exceed_the_peers_window() {
    let (mut a, mut b) = (Reliable::new(), Reliable::new());
    let mut lost = 0;
    let mut taken = 0;
    for step in 0..4_000 {
        let now = Duration::from_millis(step * 10);
        if step < 1_000 {
            Reliable::send(&mut a, Channel::ReliableOrdered, message(step as u32, 8)).unwrap();
        }
        for packet in Peer::poll(&mut a, now) {
            // The first message is lost ten times.
            let is_first = match Packet::parse(&packet).unwrap().body {
                PacketBody::SmallReliable { mut messages, .. } => messages.any(|id| id == 0),
                _ => false,
            };
            if is_first && lost < 10 {
                lost += 1;
            } else {
                Peer::receive(&mut b, &packet);
            }
        }
        Peer::poll(&mut b, now)
            .iter()
            .for_each(|packet| Peer::receive(&mut a, packet));
        while let Some((_, received)) = b.pop() {
            assert_eq!(received, message(taken, 8));
            taken += 1;
        }
    }
    assert_eq!((lost, taken), (10, 1_000));
}

#[test]
fn a_byte_budget_ends_a_poll_and_loses_no_message() {
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
fn the_send_queue_is_bounded() {
    let mut end = Reliable::new();
    let mut send = |channel, bytes| Reliable::send(&mut end, channel, vec![1; bytes].into());
    assert_eq!(send(Channel::ReliableOrdered, 0), Err(SendError::Empty));
    assert_eq!(
        send(Channel::ReliableOrdered, MESSAGE_BYTES_MAX + 1),
        Err(SendError::TooLong(MESSAGE_BYTES_MAX + 1))
    );
    for channel in Channel::ALL {
        let full = (0..100).find_map(|_| send(channel, MESSAGE_BYTES_MAX).err());
        assert!(
            matches!(full, Some(SendError::Full { channel: of, bytes: MESSAGE_BYTES_MAX, room }) if of == channel && room < MESSAGE_BYTES_MAX),
            "{full:?}"
        );
    }
}

#[test]
fn no_connection_is_created_before_the_first_message() {
    let mut end = Reliable::new();
    end.poll(Duration::from_secs(1), usize::MAX, |_| panic!("nothing to send"))
        .unwrap();
    assert!(end.is_idle() && end.pop().is_none() && end.connection.is_none());
    assert!(end.receive(&[7]).is_err());
    assert!(end.connection.is_none());
}
