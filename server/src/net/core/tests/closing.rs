//! Tests of the last words: what a client receives between the end of its session for the game and the goodbye.

use bytes::Bytes;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::kick_text::KickText;
use throng_shared::reliable::Reliable;

use super::*;

pub(super) const ORDERED: Channel = Channel::ReliableOrdered;

/// A client that joined, with its end of the reliable messages.
pub(super) struct Listener {
    pub(super) peer: Peer,
    pub(super) renet: Reliable,
    pub(super) received: Vec<Bytes>,
}

pub(super) fn listener(bench: &mut Bench, client_id: u64) -> (Listener, SessionKey) {
    let peer = bench.join(client_id);
    let key = *bench.simulation().players.last().unwrap();
    let listener = Listener {
        peer,
        renet: Reliable::new(),
        received: Vec::new(),
    };
    (listener, key)
}

impl Listener {
    /// Receives the datagrams that arrived, and acknowledges their messages.
    pub(super) fn exchange(&mut self, bench: &mut Bench) {
        bench.exchange(&mut self.peer);
        let (messages, others) = (self.peer.inbox.drain(..))
            .partition::<Vec<_>, _>(|payload| PayloadKind::of(payload) == Some(PayloadKind::Renet));
        self.peer.inbox = others;
        for payload in messages {
            self.renet.receive(&payload).unwrap();
        }
        self.received
            .extend(std::iter::from_fn(|| self.renet.pop()).map(|(_, bytes)| bytes));
        let mut packets = Vec::new();
        self.renet
            .poll(bench.now, 10_000, |packet| packets.push(packet.to_vec()))
            .unwrap();
        if !self.peer.is_ended {
            for packet in packets {
                bench.send(&mut self.peer, &packet);
            }
        }
    }

    /// Drops the datagrams that were sent to the client.
    pub(super) fn lose(&self, bench: &mut Bench) -> usize {
        let mine = bench.out.sent.extract_if(.., |(to, _)| *to == self.peer.address);
        mine.count()
    }
}

fn tell(bench: &mut Bench, key: SessionKey, bytes: &'static [u8]) {
    let link = &mut bench.simulation().link;
    assert!(link.send(key, ORDERED.id(), Bytes::from_static(bytes)));
}

pub(super) fn kick(bench: &mut Bench, key: SessionKey) -> Goodbye {
    let text = KickText::new("no shouting");
    let link = &mut bench.simulation().link;
    link.disconnect(key, LeaveReason::Kicked, Some(Box::new(text)));
    Goodbye::Kicked(text)
}

#[test]
fn messages_told_before_a_kick_arrive_before_the_goodbye() {
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    tell(&mut bench, key, b"one");
    tell(&mut bench, key, b"two");
    let goodbye = kick(&mut bench, key);
    tell(&mut bench, key, b"too late");
    bench.tick();
    // For the game the session has ended.
    assert_eq!(arrivals(&bench.simulation().drain()), [Err(LeaveReason::Kicked)]);
    assert_eq!(bench.shared.directory.simulation_of(key), None);
    client.exchange(&mut bench);
    assert_eq!(client.received, [&b"one"[..], b"two"]);
    assert!(
        client.peer.inbox.is_empty() && !client.peer.is_ended,
        "{:?}",
        client.peer.kinds()
    );
    bench.tick();
    client.exchange(&mut bench);
    assert_eq!(
        (client.peer.goodbye(), client.peer.is_ended),
        (Some(goodbye), true)
    );
    assert!(client.received.len() == 2 && client.peer.count(PayloadKind::SNAPSHOT) == 0);
    assert_eq!((bench.core.connected(), bench.shared.stats.clients()), (0, 0));
}

#[test]
fn every_end_by_the_game_or_the_server_delivers_the_last_messages() {
    for reason in [LeaveReason::Kicked, LeaveReason::Despawned, LeaveReason::Shutdown] {
        let mut bench = Bench::new();
        let (mut client, key) = listener(&mut bench, 1);
        tell(&mut bench, key, b"last");
        if reason == LeaveReason::Shutdown {
            // The simulation's last tick was not served yet.
            bench.core.shutdown(bench.now, &mut bench.out);
        } else {
            bench.simulation().link.disconnect(key, reason, None);
            bench.tick();
        }
        for _ in 0..4 {
            bench.core.update(bench.now, &mut bench.out);
            client.exchange(&mut bench);
            bench.now += Duration::from_millis(25);
        }
        assert_eq!(client.received, [&b"last"[..]], "{reason:?}");
        assert!(
            client.peer.goodbye().is_some() && client.peer.is_ended,
            "{reason:?}"
        );
        assert!(!bench.core.is_closing(), "{reason:?}");
        assert_eq!(arrivals(&bench.simulation().drain()), [Err(reason)]);
    }
}

#[test]
fn lost_last_messages_are_sent_again_for_about_a_second() {
    let mut bench = Bench::new();
    let ((mut lucky, lucky_key), (silent, silent_key)) = (listener(&mut bench, 1), listener(&mut bench, 2));
    for key in [lucky_key, silent_key] {
        tell(&mut bench, key, b"last");
        kick(&mut bench, key);
    }
    let started_at = bench.now;
    bench.tick();
    assert!(lucky.lose(&mut bench) > 0, "the first packet");
    let mut ended_at = None;
    for _ in 0..40 {
        lucky.exchange(&mut bench);
        silent.lose(&mut bench);
        if bench.core.connected() == 0 {
            ended_at.get_or_insert(bench.now);
        }
        bench.tick();
    }
    assert_eq!(lucky.received, [&b"last"[..]]);
    assert!(lucky.peer.goodbye().is_some());
    let lasted = ended_at.expect("a session ends without acknowledgements, too") - started_at;
    assert!((1_000..1_200).contains(&lasted.as_millis()), "{lasted:?}");
}

#[test]
fn many_last_messages_arrive_at_the_clients_bandwidth() {
    const MESSAGES: usize = 60;
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    for _ in 0..MESSAGES {
        tell(&mut bench, key, &[7; 1_000]);
    }
    let goodbye = kick(&mut bench, key);
    let started_at = bench.now;
    let mut sent_bytes = 0;
    while !client.peer.is_ended {
        bench.tick();
        sent_bytes += bench
            .out
            .sent
            .iter()
            .map(|(_, datagram)| datagram.len())
            .sum::<usize>();
        client.exchange(&mut bench);
        assert!(bench.now < started_at + Duration::from_secs(10));
    }
    assert_eq!(
        (client.received.len(), client.peer.goodbye()),
        (MESSAGES, Some(goodbye))
    );
    let rate = sent_bytes as f64 / (bench.now - started_at).as_secs_f64();
    let allowed = f64::from(ReplicationConfig::default().bytes_per_second);
    assert!(rate < 1.2 * allowed, "{rate} of {allowed} bytes a second");
}

#[test]
fn a_session_that_has_ended_for_the_game_forwards_nothing() {
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    tell(&mut bench, key, b"last");
    kick(&mut bench, key);
    bench.tick();
    bench.simulation().drain();
    client.lose(&mut bench);
    client
        .renet
        .send(ORDERED, Bytes::from_static(b"but why"))
        .unwrap();
    client.exchange(&mut bench);
    bench.inputs(&mut client.peer, 1_003, &[1]);
    bench.hello(&mut client.peer);
    bench.tick();
    assert!(bench.simulation().drain().is_empty());
    assert_eq!(bench.figure("payloads_malformed"), 0);
    // A hostile packet ends it at once, and so does its own disconnection.
    let slice = [&[2, 2, 0, 0, 7, 2][..], &[0x44, 0xB0], &[0; 1_200][..1_160]].concat();
    bench.send(&mut client.peer, &slice);
    bench.tick();
    assert_eq!((bench.core.connected(), bench.figure("sessions_abused")), (0, 0));
}

#[test]
fn a_closing_session_gives_way_to_the_clients_next_one() {
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 7);
    tell(&mut bench, key, b"last");
    let goodbye = kick(&mut bench, key);
    bench.tick();
    client.lose(&mut bench);
    let next = bench.connect(7);
    assert!(!next.is_ended && bench.core.connected() == 1);
    client.exchange(&mut bench);
    assert_eq!(client.peer.goodbye(), Some(goodbye));
    assert_eq!(bench.shared.stats.clients(), 1);
}

#[test]
fn a_client_that_leaves_while_it_is_sent_its_last_messages_is_forgotten() {
    for times_out in [false, true] {
        let mut bench = Bench::new();
        let (mut client, key) = listener(&mut bench, 1);
        for _ in 0..60 {
            tell(&mut bench, key, &[7; 1_000]);
        }
        kick(&mut bench, key);
        bench.tick();
        if times_out {
            // Longer than the time-out in the token.
            bench.now += Duration::from_secs(6);
        } else {
            let (core, out, now) = (&mut bench.core, &mut bench.out, bench.now);
            client.peer.netcode.disconnect(&mut |_, datagram| {
                core.receive_datagram(now, client.peer.address, &mut datagram.to_vec(), out);
            });
        }
        bench.core.update(bench.now, &mut bench.out);
        assert_eq!((bench.core.connected(), bench.shared.stats.clients()), (0, 0));
        assert_eq!(arrivals(&bench.simulation().drain()), [Err(LeaveReason::Kicked)]);
    }
}

#[test]
fn a_broadcast_before_the_despawn_of_a_player_reaches_it() {
    use crate::boundary::link::Audience;
    let mut bench = Bench::new();
    let (mut client, key) = listener(&mut bench, 1);
    let simulation = bench.simulation();
    simulation.link.begin(simulation.tick.next());
    let audience = Audience::All;
    simulation
        .link
        .broadcast(audience, ORDERED.id(), Bytes::from_static(b"to all"));
    // The player is not in the frame of this tick any more.
    simulation.players.clear();
    simulation.link.disconnect(key, LeaveReason::Despawned, None);
    simulation
        .link
        .broadcast(audience, ORDERED.id(), Bytes::from_static(b"to the others"));
    bench.tick();
    client.exchange(&mut bench);
    assert_eq!(client.received, [&b"to all"[..]]);
    bench.tick();
    client.exchange(&mut bench);
    assert_eq!(client.peer.goodbye(), Some(Goodbye::Despawned));
}
