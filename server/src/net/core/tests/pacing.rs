//! Tests of many reliable messages to one client, and of clients that do not acknowledge them.

use bytes::Bytes;
use throng_shared::protocol::ids::Channel;
use throng_shared::random::Random;

use super::closing::{Listener, ORDERED, kick, listener};
use super::*;

const UNORDERED: Channel = Channel::ReliableUnordered;

/// Returns message `number` of `bytes` bytes.
fn message(number: u32, bytes: usize) -> Bytes {
    let mut message = vec![7; bytes];
    message[..4].copy_from_slice(&number.to_le_bytes());
    message.into()
}

fn numbers(received: &[Bytes]) -> Vec<u32> {
    let number = |bytes: &Bytes| u32::from_le_bytes(*bytes.first_chunk().unwrap());
    received.iter().map(number).collect()
}

fn tell(bench: &mut Bench, key: SessionKey, channel: Channel, numbers: std::ops::Range<u32>, bytes: usize) {
    for number in numbers {
        let link = &mut bench.simulation().link;
        assert!(link.send(key, channel.id(), message(number, bytes)));
    }
}

/// Runs a tick with an input of the client, and lets the client acknowledge what it received.
fn tick(bench: &mut Bench, client: &mut Listener) {
    bench.tick();
    client.exchange(bench);
    if !client.peer.is_ended {
        let newest = bench.simulation().tick.0 + 2;
        bench.inputs(&mut client.peer, newest, &[1]);
    }
}

/// Drops each of the waiting datagrams to all clients with this chance.
fn lose(bench: &mut Bench, random: &mut Random, percent: u64) {
    bench.out.sent.retain(|_| random.below(100) >= percent);
}

/// Counts of a flood of messages to one client.
struct Flood {
    ticks: u32,
    snapshots: u32,
    /// Bytes of messages in a second, as part of the client's bandwidth.
    share: f64,
}

/// Tells a client 240 messages of 1,000 bytes in one tick, and runs until they have arrived. `acknowledges` says whether the
/// client acknowledges snapshots; a server that gets no acknowledgement takes them for lost.
fn flood(acknowledges: bool) -> Flood {
    const MESSAGES: u32 = 240;
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    bench.simulation().has_inputs = true;
    tell(&mut bench, key, ORDERED, 0..MESSAGES, 1_000);
    let started_at = bench.now;
    let (mut ticks, mut snapshots) = (0, 0);
    while client.received.len() < MESSAGES as usize {
        ticks += 1;
        let goodbye = client.peer.goodbye();
        assert!(ticks < 4_000 && !client.peer.is_ended, "{goodbye:?}");
        client.peer.inbox.clear();
        bench.tick();
        client.exchange(&mut bench);
        snapshots += client.peer.count(PayloadKind::SNAPSHOT) as u32;
        let newest = bench.simulation().tick.0 + 2;
        let ack = (acknowledges && snapshots > 0).then(|| SnapshotAck {
            newest: (snapshots - 1) as u16,
            bits: u64::MAX,
        });
        bench.inputs_with(&mut client.peer, newest, &[1], ack);
    }
    assert_eq!(numbers(&client.received), (0..MESSAGES).collect::<Vec<_>>());
    assert_eq!(bench.figure("sessions_overflowed"), 0);
    let rate = f64::from(MESSAGES * 1_000) / (bench.now - started_at).as_secs_f64();
    Flood {
        ticks,
        snapshots,
        share: rate / f64::from(ReplicationConfig::default().bytes_per_second),
    }
}

#[test]
fn many_messages_of_one_tick_are_paced_beside_the_snapshots_and_arrive_in_order() {
    let Flood {
        ticks,
        snapshots,
        share,
    } = flood(true);
    assert!(share < 0.55, "messages take {share} of the bandwidth");
    assert!(
        snapshots * 10 > ticks * 9,
        "{snapshots} snapshots in {ticks} ticks"
    );
}

#[test]
fn many_messages_do_not_stop_the_snapshots_of_a_client_whose_bandwidth_was_reduced() {
    let Flood {
        ticks,
        snapshots,
        share,
    } = flood(false);
    assert!(share < 0.2, "messages take {share} of the bandwidth");
    assert!(
        snapshots * 10 > ticks * 9,
        "{snapshots} snapshots in {ticks} ticks"
    );
}

#[test]
fn messages_of_all_channels_share_one_queue_and_arrive_when_packets_are_lost() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new();
        let (mut client, key) = listener(&mut bench, 1);
        // Small ones, large ones, and both channels.
        tell(&mut bench, key, ORDERED, 0..60, 1_000);
        tell(&mut bench, key, UNORDERED, 1_000..1_060, 1_000);
        tell(&mut bench, key, ORDERED, 60..600, 10);
        for _ in 0..600 {
            bench.tick();
            lose(&mut bench, &mut random, 20);
            client.exchange(&mut bench);
        }
        let received = numbers(&client.received);
        let (ordered, mut unordered): (Vec<_>, Vec<_>) = received.into_iter().partition(|&n| n < 1_000);
        unordered.sort_unstable();
        assert_eq!(ordered, (0..600).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(unordered, (1_000..1_060).collect::<Vec<_>>(), "seed {seed}");
        // One more than fits both channels together ends the session.
        tell(&mut bench, key, ORDERED, 0..130, 1_000);
        tell(&mut bench, key, UNORDERED, 0..130, 1_000);
        bench.tick();
        client.exchange(&mut bench);
        assert_eq!(client.peer.goodbye(), Some(Goodbye::Overflow), "seed {seed}");
    }
}

#[test]
fn a_client_that_acknowledges_nothing_for_five_seconds_is_disconnected_for_that_reason() {
    let mut bench = Bench::new();
    let (mut good, good_key) = listener(&mut bench, 1);
    let (mut deaf, deaf_key) = listener(&mut bench, 2);
    for key in [good_key, deaf_key] {
        tell(&mut bench, key, ORDERED, 0..3, 100);
    }
    bench.simulation().drain();
    let started_at = bench.now;
    while !deaf.peer.is_ended {
        tick(&mut bench, &mut good);
        // It plays on, and its end of the messages receives nothing.
        bench.exchange(&mut deaf.peer);
        let newest = bench.simulation().tick.0 + 2;
        if !deaf.peer.is_ended {
            bench.inputs(&mut deaf.peer, newest, &[1]);
        }
        assert!(bench.now < started_at + Duration::from_secs(10));
    }
    let lasted = bench.now - started_at;
    assert!((4_900..5_500).contains(&lasted.as_millis()), "{lasted:?}");
    assert_eq!(deaf.peer.goodbye(), Some(Goodbye::Unacknowledged));
    let left = arrivals(&bench.simulation().drain());
    assert_eq!(left, [Err(LeaveReason::Unacknowledged)]);
    assert_eq!(bench.figure("sessions_unacknowledged"), 1);
    assert!(!good.peer.is_ended && good.received.len() == 3);
}

#[test]
fn a_client_that_only_sends_keep_alives_is_disconnected_when_it_acknowledges_nothing() {
    let mut bench = Bench::new();
    let (mut deaf, key) = listener(&mut bench, 1);
    tell(&mut bench, key, ORDERED, 0..3, 100);
    for _ in 0..200 {
        bench.tick();
        bench.exchange(&mut deaf.peer);
    }
    assert_eq!(deaf.peer.goodbye(), Some(Goodbye::Unacknowledged));
}

#[test]
fn a_client_whose_line_was_cut_has_time_to_acknowledge() {
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    for round in 0..5 {
        tell(&mut bench, key, ORDERED, round * 3..round * 3 + 3, 100);
        // Shorter than the time-out of its token, which is 5 s.
        for _ in 0..90 {
            bench.tick();
            client.lose(&mut bench);
        }
        for _ in 0..20 {
            tick(&mut bench, &mut client);
        }
    }
    assert_eq!(client.peer.goodbye(), None);
    assert_eq!(numbers(&client.received), (0..15).collect::<Vec<_>>());
}

#[test]
fn many_messages_before_a_kick_arrive_before_the_goodbye_when_packets_are_lost() {
    const MESSAGES: u32 = 240;
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new();
        let (mut client, key) = listener(&mut bench, 1);
        tell(&mut bench, key, ORDERED, 0..MESSAGES, 1_000);
        let goodbye = kick(&mut bench, key);
        for _ in 0..2_000 {
            bench.tick();
            lose(&mut bench, &mut random, 20);
            client.exchange(&mut bench);
            if bench.core.connected() == 0 {
                break;
            }
        }
        let expected: Vec<_> = (0..MESSAGES).collect();
        assert_eq!(numbers(&client.received), expected, "seed {seed}");
        assert_eq!(client.peer.goodbye(), Some(goodbye), "seed {seed}");
    }
}
