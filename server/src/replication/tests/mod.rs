//! Frames, a lossy link and a mirror, compared entity by entity and field by field in every tick.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use throng_client::mirror::{Mirror, MirrorConfig, Received};
use throng_shared::limits::PAYLOAD_BYTES_MAX;
use throng_shared::protocol::ids::{GlobalId, SourceId};
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::known::each_id;
use super::*;
use crate::frame::FrameHistory;
use world::{Random, World};

/// One direction of a link: packets by the step in which they arrive.
struct Pipe<T> {
    in_flight: Vec<(u32, T)>,
    loss: f32,
    duplication: f32,
    jitter: u64,
    delay: u32,
    is_stalled: bool,
}

impl<T: Clone> Pipe<T> {
    fn new(loss: f32, duplication: f32, delay: u32, jitter: u64) -> Self {
        Self {
            in_flight: Vec::new(),
            loss,
            duplication,
            jitter,
            delay,
            is_stalled: false,
        }
    }

    fn send(&mut self, now: u32, value: &T, random: &mut Random) {
        let copies = 1 + u32::from(random.chance(self.duplication));
        for _ in 0..copies {
            if !self.is_stalled && !random.chance(self.loss) {
                let at = now + self.delay + random.below(self.jitter + 1) as u32;
                self.in_flight.push((at, value.clone()));
            }
        }
    }

    fn receive(&mut self, now: u32) -> Vec<T> {
        let (due, left) = self.in_flight.drain(..).partition(|(at, _)| *at <= now);
        self.in_flight = left;
        due.into_iter().map(|(_, value)| value).collect()
    }
}

/// Packets of one tick.
struct Packets {
    buffer: Vec<u8>,
    packets: Vec<Vec<u8>>,
}

impl PacketSink for Packets {
    fn begin(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.buffer)
    }
    fn commit(&mut self, len: usize) {
        self.packets.push(self.buffer[..len].to_vec());
    }
}

struct Client {
    replication: ClientReplication,
    mirror: Mirror,
    down: Pipe<Vec<u8>>,
    up: Pipe<SnapshotAck>,
    /// Whom the client is to know, by the rule applied to whole frames.
    expected: BTreeSet<GlobalId>,
    bytes: usize,
    updated: u32,
}

struct Session {
    config: ReplicationConfig,
    protocol: Protocol,
    scratch: ReplicationScratch,
    history: [FrameHistory; 1],
    world: World,
    clients: Vec<Client>,
    random: Random,
    step: u32,
}

#[derive(Clone, Copy)]
struct Setting {
    seed: u64,
    start: Tick,
    config: ReplicationConfig,
    side: f32,
    entities: usize,
    clients: u32,
    radius: f32,
    loss: f32,
    delay: u32,
    jitter: u64,
}

impl Setting {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            start: Tick(1_000),
            config: ReplicationConfig {
                bytes_per_second: BYTES_PER_SECOND_MAX,
                ..ReplicationConfig::default()
            },
            side: 150.0,
            entities: 120,
            clients: 3,
            radius: 40.0,
            loss: 0.0,
            delay: 0,
            jitter: 0,
        }
    }

    fn lossy(self, loss: f32, delay: u32, jitter: u64) -> Self {
        Self {
            loss,
            delay,
            jitter,
            ..self
        }
    }
}

impl Session {
    fn new(setting: Setting) -> Self {
        setting.config.validate().unwrap();
        let protocol = world::protocol();
        let world = World::new(
            setting.seed,
            setting.start,
            setting.side,
            setting.entities,
            setting.clients,
            setting.radius,
        );
        let client = |_| Client {
            replication: ClientReplication::new(&setting.config),
            mirror: Mirror::new(&MirrorConfig {
                tick_rate: setting.config.tick_rate,
                components: protocol.components().len() as u32,
                tick: setting.start,
            }),
            down: Pipe::new(setting.loss, 0.1, setting.delay, setting.jitter),
            up: Pipe::new(setting.loss, 0.1, setting.delay, setting.jitter),
            expected: BTreeSet::new(),
            bytes: 0,
            updated: 0,
        };
        Self {
            config: setting.config,
            scratch: ReplicationScratch::new(&setting.config, &protocol),
            history: [FrameHistory::default()],
            clients: (0..setting.clients).map(client).collect(),
            random: Random(!setting.seed),
            step: 0,
            protocol,
            world,
        }
    }

    fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
        }
    }

    /// A tick of everybody, with all comparisons that hold at any time.
    fn step(&mut self) {
        self.step += 1;
        let frame = self.world.step();
        self.history[0].push(frame);
        for at in 0..self.clients.len() {
            self.serve(at);
            self.compare(at);
        }
    }

    fn serve(&mut self, at: usize) {
        let histories = [std::mem::take(&mut self.history[0])];
        self.serve_with(at, &histories);
        [self.history[0]] = histories;
    }

    fn serve_with(&mut self, at: usize, histories: &[FrameHistory]) {
        let client = &mut self.clients[at];
        for ack in client.up.receive(self.step) {
            client.replication.acknowledge(ack);
        }
        let packets = self.write(at, histories);
        let client = &mut self.clients[at];
        client.bytes += packets.iter().map(|packet| packet.len() + 25).sum::<usize>();
        packets
            .iter()
            .for_each(|packet| client.down.send(self.step, packet, &mut self.random));
        for packet in client.down.receive(self.step) {
            match client.mirror.receive(&packet, &mut ()) {
                Ok(Received::Applied(applied)) => client.updated += applied.updated + applied.entered,
                Ok(Received::Duplicate | Received::Stale) => {}
                Err(error) => panic!("step {}, client {at}: {error}", self.step),
            }
        }
        if let Some(ack) = client.mirror.ack() {
            client.up.send(self.step, &ack, &mut self.random);
        }
    }

    fn write(&mut self, at: usize, histories: &[FrameHistory]) -> Vec<Vec<u8>> {
        let view = ReplicationView {
            config: &self.config,
            protocol: &self.protocol,
            histories,
            worker: 0,
            session: self.world.players[at].session,
        };
        let mut sink = Packets {
            buffer: vec![0; PAYLOAD_BYTES_MAX],
            packets: Vec::new(),
        };
        let written = self.clients[at]
            .replication
            .write(&mut self.scratch, &view, 0, &mut sink);
        assert_eq!(written.packets as usize, sink.packets.len());
        assert_eq!(written.bytes, sink.packets.iter().map(Vec::len).sum::<usize>());
        sink.packets
    }

    fn compare(&mut self, at: usize) {
        let ids = self.config.short_ids();
        let client = &mut self.clients[at];
        for entity in client.mirror.entities() {
            let past = &self.world.past[&entity.tick.0];
            let then = past.entities.get(&entity.global);
            let then = then.unwrap_or_else(|| panic!("{} was not there at {}", entity.global, entity.tick));
            assert_eq!(entity.pose, then.pose, "{} at {}", entity.global, entity.tick);
            let components = client.mirror.components(entity.id).iter();
            let components: BTreeMap<u8, Vec<u8>> = components
                .map(|component| (component.id.0, component.bytes.clone()))
                .collect();
            assert_eq!(
                components,
                past.visible(then, &past.players[at]),
                "{} at {}",
                entity.global,
                entity.tick
            );
        }
        let known = &client.replication.known;
        assert!(known.entries.len() <= ids.next_multiple_of(64));
        assert!(known.live.len() <= self.config.known && known.live.len() + known.leaving.len() <= ids);
        // The rule of interest, applied to the whole frame.
        let kept = self.world.within(at, crate::space::REACH_FACTOR);
        let near = self.world.within(at, 1.0);
        client.expected.retain(|global| kept.contains(global));
        client.expected.extend(near);
        if kept.len() <= self.config.known && known.live.len() + known.leaving.len() < ids {
            assert_eq!(
                known_globals(&self.history[0], known),
                client.expected,
                "step {}",
                self.step
            );
        } else {
            client.expected = known_globals(&self.history[0], known);
        }
    }

    /// Stops world and loss until everything must have arrived, then compares for equality.
    fn settle(&mut self) {
        self.world.is_still = true;
        for client in &mut self.clients {
            (client.down.loss, client.up.loss) = (0.0, 0.0);
        }
        self.run(120);
        for (at, client) in self.clients.iter().enumerate() {
            let known = known_globals(&self.history[0], &client.replication.known);
            let mirrored: BTreeSet<GlobalId> = client.mirror.entities().map(|entity| entity.global).collect();
            assert_eq!(mirrored, known, "client {at}");
            for entity in client.mirror.entities() {
                let now = &self.world.entities[&entity.global];
                assert_eq!(
                    (entity.pose, entity.is_own),
                    (now.pose, Some(now.slot) == self.world.players[at].row.entity)
                );
            }
            assert_eq!(client.replication.known.leaving.len(), 0);
            let late = client
                .mirror
                .owner()
                .last_input
                .map(|tick| self.world.tick.since(tick));
            assert!(late.unwrap() <= 1 + client.down.delay as i32 + client.down.jitter as i32);
        }
    }
}

fn known_globals(history: &FrameHistory, known: &known::Known) -> BTreeSet<GlobalId> {
    let frame = history.newest().unwrap();
    let mut globals = BTreeSet::new();
    for (at, &word) in known.live.words().iter().enumerate() {
        each_id(at, word, |id| {
            globals.insert(frame.identity(known.entries[id].key.slot()).global);
        });
    }
    globals
}

#[test]
fn without_loss_the_mirror_is_the_frame() {
    for seed in 0..6 {
        let mut session = Session::new(Setting::new(seed));
        session.run(100);
        for client in &session.clients {
            assert_eq!(client.mirror.newest_tick(), session.world.tick);
            for entity in client.mirror.entities() {
                assert_eq!(entity.pose, session.world.entities[&entity.global].pose);
            }
            assert_eq!(client.mirror.len(), client.replication.known_count());
        }
        session.settle();
    }
}

#[test]
fn any_link_ends_in_the_same_world() {
    for seed in 0..24 {
        let loss = [0.0, 0.05, 0.2, 0.4][seed as usize % 4];
        let mut session = Session::new(Setting::new(seed).lossy(loss, (seed % 5) as u32, seed % 7));
        session.run(250);
        session.settle();
        assert!(session.clients.iter().all(|client| client.updated > 1_000));
    }
}

#[test]
fn wraps_of_ticks_and_packet_numbers_are_crossed() {
    for (seed, start) in [65_536 - 60, u32::MAX - 60, 0x7fff_ffff - 60]
        .into_iter()
        .enumerate()
    {
        let setting = Setting {
            start: Tick(start),
            ..Setting::new(seed as u64)
        };
        let mut session = Session::new(setting.lossy(0.1, 1, 3));
        for client in &mut session.clients {
            client.replication.sent.start_at(u16::MAX - 70);
        }
        session.run(200);
        session.settle();
        assert!(
            session
                .clients
                .iter()
                .all(|client| client.mirror.ack().unwrap().newest < 1_000)
        );
    }
}

#[test]
fn a_stalled_link_recovers() {
    for seed in 0..6 {
        let mut session = Session::new(Setting::new(seed).lossy(0.02, 1, 1));
        session.run(60);
        for client in &mut session.clients {
            client.down.is_stalled = true;
            client.up.is_stalled = seed % 2 == 0;
        }
        session.run(40 + 50 * seed as u32);
        for client in &mut session.clients {
            (client.down.is_stalled, client.up.is_stalled) = (false, false);
        }
        session.run(60);
        session.settle();
    }
}

#[test]
fn a_server_that_hears_no_acknowledgements_recovers() {
    let mut session = Session::new(Setting::new(5));
    session.run(50);
    session
        .clients
        .iter_mut()
        .for_each(|client| client.up.is_stalled = true);
    session.run(150);
    session
        .clients
        .iter_mut()
        .for_each(|client| client.up.is_stalled = false);
    session.settle();
}

#[test]
fn a_crowd_is_cut_to_the_nearest() {
    for (seed, known) in [(1, 1), (2, 2), (3, 8), (4, 30), (5, 100)] {
        let setting = Setting::new(seed);
        let config = ReplicationConfig {
            known,
            ..setting.config
        };
        let mut session = Session::new(
            Setting {
                config,
                entities: 250,
                ..setting
            }
            .lossy(0.1, 1, 2),
        );
        session.run(150);
        session.settle();
        for (at, client) in session.clients.iter().enumerate() {
            let row = &session.world.players[at].row;
            let distance = |global: &GlobalId| {
                let entity = &session.world.entities[global];
                if Some(entity.slot) == row.entity {
                    return 0.0;
                }
                let weight = [2.0, 1.0, 0.5][usize::from(entity.identity.importance)];
                (entity.pose.position().0 - row.eye).length() * weight
            };
            let near = session.world.within(at, 1.0);
            let held: BTreeSet<GlobalId> = client.mirror.entities().map(|entity| entity.global).collect();
            assert!(
                (known.min(near.len())..=known).contains(&held.len()),
                "seed {seed}"
            );
            let mut ranked: Vec<GlobalId> = near.into_iter().collect();
            ranked.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            // The weighted nearest that were gathered; a margin for what the cells' order left out.
            let core = (known - known / 4).min(ranked.len()) / 2;
            assert!(
                ranked[..core].iter().all(|global| held.contains(global)),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_small_budget_is_kept_and_everybody_gets_a_turn() {
    for seed in 0..4 {
        let setting = Setting {
            radius: 80.0,
            ..Setting::new(seed)
        };
        let config = ReplicationConfig {
            bytes_per_second: 2_048,
            ..setting.config
        };
        let mut session = Session::new(Setting { config, ..setting });
        session.run(100);
        let before: Vec<usize> = session.clients.iter().map(|client| client.bytes).collect();
        session.run(200);
        for (client, before) in session.clients.iter().zip(before) {
            let rate = (client.bytes - before) / 10;
            assert!((1_500..=2_300).contains(&rate), "{rate} bytes a second");
            let oldest = client
                .mirror
                .entities()
                .filter(|entity| {
                    let now = session.world.entities.get(&entity.global);
                    // Those of importance 0 wait for as long as there is anything else to say.
                    now.is_some_and(|now| now.pose != entity.pose && now.identity.importance > 0)
                })
                .map(|entity| session.world.tick.since(entity.tick))
                .max();
            assert!(oldest.unwrap_or(0) < 60, "{oldest:?}");
        }
        session.settle();
    }
}

#[test]
fn far_entities_are_thinned_out_when_asked() {
    let setting = Setting::new(3);
    let updated = |far_fraction| {
        let config = ReplicationConfig {
            far_fraction,
            ..setting.config
        };
        let mut session = Session::new(Setting { config, ..setting });
        session.run(150);
        session.settle();
        session.clients.iter().map(|client| client.updated).sum::<u32>()
    };
    let (all, half) = (updated(1.0), updated(0.5));
    assert!(half * 10 < all * 7, "{half} of {all}");
}

#[test]
fn a_lying_client_harms_only_itself() {
    for seed in 0..4 {
        let mut session = Session::new(Setting::new(seed));
        for _ in 0..200 {
            let lie = SnapshotAck {
                newest: session.random.next() as u16 & 0xff,
                bits: session.random.next(),
            };
            session.clients[0].replication.acknowledge(lie);
            session.step += 1;
            let frame = session.world.step();
            session.history[0].push(frame);
            let histories = [std::mem::take(&mut session.history[0])];
            session.write(0, &histories);
            [session.history[0]] = histories;
            for at in 1..session.clients.len() {
                session.serve(at);
                session.compare(at);
            }
        }
    }
}

/// Two simulations in one session, the second some ticks behind the first.
#[test]
fn frames_of_two_simulations_are_merged() {
    let setting = Setting::new(7).lossy(0.1, 1, 2);
    let mut session = Session::new(setting);
    let mut second = World::neighbour(SourceId(5), &session.world, 60);
    let mut second_history = FrameHistory::default();
    let mut seen = [0, 0];
    for step in 0..260 {
        session.step += 1;
        if step == 200 {
            session.world.is_still = true;
            second.is_still = true;
            session
                .clients
                .iter_mut()
                .for_each(|client| (client.down.loss, client.up.loss) = (0.0, 0.0));
        }
        let frame = session.world.step();
        session.history[0].push(frame);
        // It lags by a changing number of ticks.
        while (session.world.tick - step / 8 % 5).is_after(second.tick) {
            for (there, here) in second.players.iter_mut().zip(&session.world.players) {
                (there.row.eye, there.row.team) = (here.row.eye, here.row.team);
            }
            second_history.push(second.step());
        }
        let histories = [
            std::mem::take(&mut session.history[0]),
            std::mem::take(&mut second_history),
        ];
        for at in 0..session.clients.len() {
            session.serve_with(at, &histories);
            for entity in session.clients[at].mirror.entities() {
                let worlds = [&session.world, &second];
                let found = worlds.map(|world| world.past.get(&entity.tick.0)?.entities.get(&entity.global));
                let then = found[0].or(found[1]).unwrap();
                assert_eq!(then.pose, entity.pose, "step {step}, {}", entity.global);
                seen[usize::from(found[0].is_none())] += 1;
            }
        }
        let [first, other] = histories;
        (session.history[0], second_history) = (first, other);
    }
    assert!(seen[0] > 1_000 && seen[1] > 1_000, "{seen:?}");
    for (at, client) in session.clients.iter().enumerate() {
        let mirrored: BTreeSet<GlobalId> = client.mirror.entities().map(|entity| entity.global).collect();
        for (world, player) in [(&session.world, at), (&second, at)] {
            assert!(world.within(player, 1.0).is_subset(&mirrored));
        }
        let reach = crate::space::REACH_FACTOR;
        let all: BTreeSet<GlobalId> = &session.world.within(at, reach) | &second.within(at, reach);
        assert!(mirrored.is_subset(&all));
    }
}
