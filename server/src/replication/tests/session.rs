//! A server's frames, lossy links and mirrors in one loop, compared in every step.

use std::collections::{BTreeMap, BTreeSet};

use throng_client::mirror::{Mirror, MirrorConfig, Received};
use throng_shared::limits::PAYLOAD_BYTES_MAX;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::registry::Protocol;
use throng_shared::random::Random;
use throng_shared::tick::Tick;

use super::super::known::{self, each_id};
use super::super::*;
use super::world::{self, World};
use crate::boundary::frame::FrameHistory;

/// One direction of a link: packets by the step in which they arrive.
pub(super) struct Pipe<T> {
    pub(super) in_flight: Vec<(u32, T)>,
    pub(super) loss: f32,
    pub(super) duplication: f32,
    pub(super) jitter: u64,
    pub(super) delay: u32,
    pub(super) is_stalled: bool,
}

impl<T: Clone> Pipe<T> {
    pub(super) fn new(loss: f32, duplication: f32, delay: u32, jitter: u64) -> Self {
        Self {
            in_flight: Vec::new(),
            loss,
            duplication,
            jitter,
            delay,
            is_stalled: false,
        }
    }

    pub(super) fn send(&mut self, now: u32, value: &T, random: &mut Random) {
        let copies = 1 + u32::from(random.chance(self.duplication));
        for _ in 0..copies {
            if !self.is_stalled && !random.chance(self.loss) {
                let at = now + self.delay + random.below(self.jitter + 1) as u32;
                self.in_flight.push((at, value.clone()));
            }
        }
    }

    pub(super) fn receive(&mut self, now: u32) -> Vec<T> {
        let (due, left) = self.in_flight.drain(..).partition(|(at, _)| *at <= now);
        self.in_flight = left;
        due.into_iter().map(|(_, value)| value).collect()
    }
}

/// Packets of one tick.
pub(super) struct Packets {
    pub(super) buffer: Vec<u8>,
    pub(super) packets: Vec<Vec<u8>>,
}

impl PacketSink for Packets {
    fn begin(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.buffer)
    }
    fn commit(&mut self, len: usize) {
        self.packets.push(self.buffer[..len].to_vec());
    }
}

pub(super) struct Client {
    pub(super) replication: ClientReplication,
    pub(super) mirror: Mirror,
    pub(super) down: Pipe<Vec<u8>>,
    pub(super) up: Pipe<SnapshotAck>,
    /// Returns the entities that the client is to know, by the rule of interest applied to whole frames.
    pub(super) expected: BTreeSet<GlobalId>,
    pub(super) bytes: usize,
    pub(super) updated: u32,
}

pub(super) struct Session {
    pub(super) config: ReplicationConfig,
    pub(super) protocol: Protocol,
    pub(super) scratch: ReplicationScratch,
    pub(super) history: [FrameHistory; 1],
    pub(super) world: World,
    pub(super) clients: Vec<Client>,
    pub(super) random: Random,
    pub(super) step: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) start: Tick,
    pub(super) config: ReplicationConfig,
    pub(super) side: f32,
    pub(super) entities: usize,
    pub(super) clients: u32,
    pub(super) radius: f32,
    pub(super) loss: f32,
    pub(super) delay: u32,
    pub(super) jitter: u64,
}

impl Setting {
    pub(super) fn new(seed: u64) -> Self {
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

    pub(super) fn lossy(self, loss: f32, delay: u32, jitter: u64) -> Self {
        Self {
            loss,
            delay,
            jitter,
            ..self
        }
    }
}

impl Session {
    pub(super) fn new(setting: Setting) -> Self {
        Self::with_protocol(setting, world::protocol(true))
    }

    pub(super) fn with_protocol(setting: Setting, protocol: Protocol) -> Self {
        setting.config.validate().unwrap();
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
                components: protocol.formats(),
                quanta_3d: protocol.quanta_3d(),
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
            random: Random::new(!setting.seed),
            step: 0,
            protocol,
            world,
        }
    }

    pub(super) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
        }
    }

    /// Advances server, links and clients by a tick, and makes all comparisons that hold at any time.
    pub(super) fn step(&mut self) {
        self.step += 1;
        let frame = self.world.step();
        self.history[0].push(frame);
        for at in 0..self.clients.len() {
            self.serve(at);
            self.compare(at);
        }
    }

    pub(super) fn serve(&mut self, at: usize) {
        let histories = [std::mem::take(&mut self.history[0])];
        self.serve_with(at, &histories);
        [self.history[0]] = histories;
    }

    pub(super) fn serve_with(&mut self, at: usize, histories: &[FrameHistory]) {
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
            match client.mirror.receive_snapshot(&packet, &mut ()) {
                Ok(Received::Applied(applied)) => client.updated += applied.updated + applied.entered,
                Ok(Received::Duplicate | Received::Stale) => {}
                Err(error) => panic!("step {}, client {at}: {error}", self.step),
            }
        }
        if let Some(ack) = client.mirror.ack() {
            client.up.send(self.step, &ack, &mut self.random);
        }
    }

    pub(super) fn write(&mut self, at: usize, histories: &[FrameHistory]) -> Vec<Vec<u8>> {
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

    pub(super) fn compare(&mut self, at: usize) {
        let ids = self.config.short_ids();
        let client = &mut self.clients[at];
        for entity in client.mirror.entities() {
            let past = &self.world.past[&entity.tick.0];
            let then = past.entities.get(&entity.global);
            let then = then.unwrap_or_else(|| panic!("{} did not exist at {}", entity.global, entity.tick));
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
        assert!(known.id_end() <= ids.next_multiple_of(64));
        assert!(known.live_len() <= self.config.known && known.live_len() + known.leaving_len() <= ids);
        // Applies the rule of interest to the whole frame.
        let kept = self.world.within(at, crate::space::REACH_FACTOR);
        let near = self.world.within(at, 1.0);
        client.expected.retain(|global| kept.contains(global));
        client.expected.extend(near);
        if kept.len() <= self.config.known && known.live_len() + known.leaving_len() < ids {
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

    /// Stops the world and the loss until everything must have arrived, then compares for equality.
    pub(super) fn settle(&mut self) {
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
            assert_eq!(client.replication.known.leaving_len(), 0);
            let late = client
                .mirror
                .owner()
                .last_input
                .map(|tick| self.world.tick.since(tick));
            assert!(late.unwrap() <= 1 + client.down.delay as i32 + client.down.jitter as i32);
        }
    }
}

pub(super) fn known_globals(history: &FrameHistory, known: &known::Known) -> BTreeSet<GlobalId> {
    let frame = history.newest().unwrap();
    let mut globals = BTreeSet::new();
    for (at, group) in known.groups().iter().enumerate() {
        each_id(at, group.live, |id| {
            globals.insert(frame.identity(known.key(id).slot()).global);
        });
    }
    globals
}
