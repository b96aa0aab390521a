//! Measures the cost of replication: CPU per client and tick, bytes per update, bits per entity by baseline age.
//!
//! Simulates the crowd of the benchmarks (every entity turns by up to 0.3 rad a tick and moves at 5 units a second,
//! view radius 50, each client owns an entity) without sockets, encryption or a Bevy world. Only the work of a net
//! worker for a client in a tick is timed: processing acknowledgements, interest, encoding, packing. Every packet
//! is acknowledged a fixed number of ticks later; with `--loss P` that share of them is not. With `--decode`, every
//! client's packets are also decoded by a mirror, which is timed separately.
//!
//! ```text
//! cargo run --release -p throng-server --example replication_cost -- [--clients 1000] [--visible 60]
//!     [--ticks 200] [--delay 1] [--loss 0.0] [--known 255] [--bytes 24576] [--rate 20] [--decode]
//! ```
//!
//! Bytes include netcode's 25 for each packet. Times are CPU time where the system provides it (Linux), so that other
//! programs disturb them little; elsewhere they are wall-clock time.

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it is a command that prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use glam::Vec2;
use throng_client::mirror::{Mirror, MirrorConfig};
use throng_server::boundary::frame::{Frame, FrameHistory, Identity, PlayerRow, Upright};
use throng_server::internals::{
    AreaHold, AreaTable, ClientReplication, FrameWriter, PacketSink, ReplicationCounters, ReplicationScratch,
    ReplicationView, SpatialIndex, Written,
};
use throng_server::replication::ReplicationConfig;
use throng_server::simulation::RoomId;
use throng_shared::limits::{NETCODE_OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::delta::MotionModel;
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::random::Random;
use throng_shared::tick::Tick;

const RADIUS: f32 = 50.0;
const SPEED: f32 = 5.0;
const TURN: f32 = 0.3;
/// Ticks before measuring starts: all entities have entered the views, caches and buffers have grown.
const WARM_UP_TICKS: u32 = 70;

struct Arguments {
    clients: u32,
    visible: f32,
    ticks: u32,
    delay: u32,
    loss: f32,
    decode: bool,
    config: ReplicationConfig,
}

impl Arguments {
    fn parse() -> anyhow::Result<Self> {
        let mut arguments = Self {
            clients: 1_000,
            visible: 60.0,
            ticks: 200,
            delay: 1,
            loss: 0.0,
            decode: false,
            config: ReplicationConfig::default(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--decode" {
                arguments.decode = true;
                continue;
            }
            let value = words.next().unwrap_or_default();
            match word.as_str() {
                "--clients" => arguments.clients = value.parse()?,
                "--visible" => arguments.visible = value.parse()?,
                "--ticks" => arguments.ticks = value.parse()?,
                "--delay" => arguments.delay = value.parse()?,
                "--loss" => arguments.loss = value.parse()?,
                "--known" => arguments.config.known = value.parse()?,
                "--bytes" => arguments.config.bytes_per_second = value.parse()?,
                "--rate" => arguments.config.tick_rate = value.parse()?,
                _ => anyhow::bail!("unknown argument {word}"),
            }
        }
        arguments.config.validate()?;
        Ok(arguments)
    }
}

struct Mover {
    position: Vec2,
    heading: f32,
}

impl Mover {
    fn pose(&self) -> Pose {
        let velocity = Vec2::from_angle(self.heading) * SPEED;
        Pose::quantize(
            &Position(self.position),
            &Velocity(velocity),
            &Heading(self.heading),
        )
    }
}

/// The crowd, its frames, and the eyes of its players.
struct Crowd {
    tick: Tick,
    half: f32,
    step: f32,
    movers: Vec<Mover>,
    writer: FrameWriter,
    index: SpatialIndex,
    areas: AreaTable,
    holds: Vec<Option<AreaHold>>,
    random: Random,
}

impl Crowd {
    fn new(clients: u32, visible: f32, tick_rate: u16) -> Self {
        let area = clients as f32 * std::f32::consts::PI * RADIUS * RADIUS / visible;
        let mut crowd = Self {
            tick: Tick(1),
            half: area.sqrt() / 2.0,
            step: 1.0 / f32::from(tick_rate),
            movers: Vec::new(),
            writer: FrameWriter::new(SimulationId(0)),
            index: SpatialIndex::default(),
            areas: AreaTable::default(),
            holds: vec![None; clients as usize],
            random: Random::new(1),
        };
        for client in 0..clients {
            let point = Vec2::new(crowd.random.signed_unit(), crowd.random.signed_unit());
            let mover = Mover {
                position: point * crowd.half,
                heading: crowd.random.within(0.0, std::f32::consts::TAU),
            };
            let identity = Identity {
                global: GlobalId(u64::from(client) + 1),
                owner: PlayerId(client + 1),
                team: TeamId::NONE,
                importance: 1,
                room: Default::default(),
            };
            let pose = mover.pose();
            crowd.writer.insert(Slot(client), identity, pose, crowd.tick);
            crowd.index.insert(Slot(client), pose.x, pose.y);
            crowd.movers.push(mover);
        }
        crowd
    }

    fn step(&mut self) -> Arc<Frame> {
        self.tick = self.tick.next();
        for (slot, mover) in self.movers.iter_mut().enumerate() {
            mover.heading += self.random.signed_unit() * TURN;
            mover.position += Vec2::from_angle(mover.heading) * SPEED * self.step;
            if mover.position.abs().max_element() > self.half {
                mover.position = mover
                    .position
                    .clamp(Vec2::splat(-self.half), Vec2::splat(self.half));
                mover.heading += std::f32::consts::PI;
            }
            let (slot, pose) = (Slot(slot as u32), mover.pose());
            self.writer.set_pose(slot, pose, self.tick);
            self.index.place(slot, pose.x, pose.y, self.tick);
        }
        self.index.rebalance(self.tick);
        let mut cells = self.writer.spare_index();
        self.index.freeze(&mut cells);
        for (hold, mover) in self.holds.iter_mut().zip(&self.movers) {
            *hold = self
                .areas
                .update(RoomId::default(), mover.position, RADIUS, *hold);
        }
        for stale in self.areas.list_stale(&self.index) {
            stale.build(&self.index);
        }
        self.areas.take_built();
        let mut players = self.writer.spare_players();
        for (client, (hold, mover)) in self.holds.iter().zip(&self.movers).enumerate() {
            let row = PlayerRow {
                generation: 0,
                player: PlayerId(client as u32 + 1),
                is_local: true,
                entity: Some(Slot(client as u32)),
                eye: mover.position,
                radius: RADIUS,
                upright: Upright::default(),
                team: TeamId::NONE,
                room: Default::default(),
                last_input: self.tick - 1,
                newest_ahead: 1,
                margin_16: 8,
                area: Arc::clone(self.areas.get(*hold)),
            };
            players.insert(0, session(client), row);
        }
        self.writer.publish(self.tick, Duration::ZERO, cells, players)
    }
}

fn session(client: usize) -> SessionId {
    SessionId {
        index: client as u32,
        generation: 0,
    }
}

/// Keeps the packets of one tick.
struct Packets {
    buffer: [u8; PAYLOAD_BYTES_MAX],
    bytes: Vec<u8>,
    /// Client and end in `bytes` of each packet.
    packets: Vec<(usize, usize)>,
    client: usize,
    keep: bool,
}

impl PacketSink for Packets {
    fn begin(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.buffer)
    }

    fn commit(&mut self, len: usize) {
        if self.keep {
            self.bytes.extend_from_slice(&self.buffer[..len]);
            self.packets.push((self.client, self.bytes.len()));
        }
    }
}

struct MeasuredClient {
    replication: ClientReplication,
    mirror: Mirror,
    /// Number of packets sent so far, and the number of packets in each tick.
    sent: u16,
    counts: Vec<u16>,
    arrived: u64,
}

/// Returns the CPU time of this thread, or the time since `origin` where the system does not provide it.
fn cpu_time(origin: Instant) -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = schedstat.and_then(|line| line.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| origin.elapsed(), Duration::from_nanos)
}

#[derive(Default)]
struct Totals {
    replication: Duration,
    /// Wall-clock times of all ticks: the fastest are those that no other program disturbed.
    ticks: Vec<Duration>,
    decoding: Duration,
    written: Written,
    decoded: u64,
    known: u64,
    oldest: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse()?;
    let config = arguments.config;
    let protocol = Protocol::default();
    let mut scratch = ReplicationScratch::new(&config, &protocol);
    let mut crowd = Crowd::new(arguments.clients, arguments.visible, config.tick_rate);
    let mut history = [FrameHistory::default()];
    let mirror = MirrorConfig {
        tick_rate: config.tick_rate,
        components: ComponentFormats::default(),
        quanta_3d: None,
        tick: crowd.tick,
    };
    let client = |_| MeasuredClient {
        replication: ClientReplication::new(&config),
        mirror: Mirror::new(&mirror),
        sent: 0,
        counts: Vec::new(),
        arrived: 0,
    };
    let mut clients: Vec<MeasuredClient> = (0..arguments.clients).map(client).collect();
    let mut sink = Packets {
        buffer: [0; PAYLOAD_BYTES_MAX],
        bytes: Vec::new(),
        packets: Vec::new(),
        client: 0,
        keep: arguments.decode,
    };
    let mut totals = Totals::default();
    let mut before = scratch.counters();
    for tick in 0..WARM_UP_TICKS + arguments.ticks {
        if let Some(old) = history[0].push(crowd.step()) {
            crowd.writer.retire(old);
        }
        if tick == WARM_UP_TICKS {
            totals = Totals::default();
            before = scratch.counters();
        }
        serve(
            &arguments,
            &protocol,
            &history,
            &mut scratch,
            &mut clients,
            &mut crowd.random,
            &mut sink,
            &mut totals,
        );
    }
    report(&arguments, &totals, before, scratch.counters());
    report_bits(&history[0], config.tick_rate);
    Ok(())
}

/// Serves all clients for one tick. Never inlined, so that profilers can count its instructions by name.
#[inline(never)]
fn serve(
    arguments: &Arguments,
    protocol: &Protocol,
    histories: &[FrameHistory],
    scratch: &mut ReplicationScratch,
    clients: &mut [MeasuredClient],
    random: &mut Random,
    sink: &mut Packets,
    totals: &mut Totals,
) {
    let origin = Instant::now();
    let start = cpu_time(origin);
    sink.bytes.clear();
    sink.packets.clear();
    for (index, client) in clients.iter_mut().enumerate() {
        let delay = arguments.delay as usize;
        if let Some(due) = client.counts.len().checked_sub(delay) {
            let in_flight: u16 = client.counts[due + 1..].iter().sum();
            let newest = client.sent.wrapping_sub(in_flight).wrapping_sub(1);
            let arrived = client.arrived >> in_flight;
            if arrived & 1 == 1 {
                let bits = arrived >> 1;
                client.replication.acknowledge(SnapshotAck { newest, bits });
            }
        }
        let view = ReplicationView {
            config: &arguments.config,
            protocol,
            histories,
            worker: 0,
            session: session(index),
        };
        sink.client = index;
        let written = client.replication.write(scratch, &view, 0, sink);
        for _ in 0..written.packets {
            let is_lost = random.chance(arguments.loss);
            client.arrived = client.arrived << 1 | u64::from(!is_lost);
        }
        client.sent = client.sent.wrapping_add(written.packets as u16);
        client.counts.push(written.packets as u16);
        let total = &mut totals.written;
        total.packets += written.packets;
        total.bytes += written.bytes;
        total.entered += written.entered;
        total.updates += written.updates;
        total.left += written.left;
        total.deferred += written.deferred;
        total.absolutes += written.absolutes;
        totals.known += client.replication.known_count() as u64;
    }
    totals.ticks.push(origin.elapsed());
    totals.replication += cpu_time(origin) - start;
    if arguments.decode {
        decode(clients, sink, totals);
    }
}

/// Decodes the packets of one tick.
fn decode(clients: &mut [MeasuredClient], sink: &Packets, totals: &mut Totals) {
    let origin = Instant::now();
    let start = cpu_time(origin);
    let mut from = 0;
    for &(client, end) in &sink.packets {
        let received = clients[client]
            .mirror
            .receive_snapshot(&sink.bytes[from..end], &mut ());
        totals.decoded += u64::from(received.is_ok());
        from = end;
    }
    totals.decoding += cpu_time(origin) - start;
    for client in clients {
        let newest = client.mirror.newest_tick();
        let ages = client
            .mirror
            .entities()
            .map(|entity| newest.since(entity.tick) as u32);
        totals.oldest = totals.oldest.max(ages.max().unwrap_or(0));
    }
}

fn report(arguments: &Arguments, totals: &Totals, before: ReplicationCounters, after: ReplicationCounters) {
    let client_ticks = f64::from(arguments.clients) * f64::from(arguments.ticks);
    let per = |count: f64| count / client_ticks;
    let written = &totals.written;
    let bytes = written.bytes + written.packets as usize * NETCODE_OVERHEAD_BYTES_MAX;
    let mut ticks: Vec<f64> = totals
        .ticks
        .iter()
        .map(|tick| tick.as_nanos() as f64 / f64::from(arguments.clients))
        .collect();
    ticks.sort_by(f64::total_cmp);
    println!(
        "ns per client-tick     {:>9.0} mean, {:.0} median tick, {:.0} fastest tenth",
        per(totals.replication.as_nanos() as f64),
        ticks[ticks.len() / 2],
        ticks[ticks.len() / 10],
    );
    if arguments.decode {
        println!(
            "ns to decode           {:>9.0}",
            per(totals.decoding.as_nanos() as f64)
        );
        println!(
            "packets decoded        {:>9.2} %",
            totals.decoded as f64 * 100.0 / f64::from(written.packets)
        );
        println!("oldest state, ticks    {:>9}", totals.oldest);
    }
    println!("known                  {:>9.1}", per(totals.known as f64));
    println!("updates                {:>9.1}", per(written.updates.into()));
    println!("  absolute             {:>9.3}", per(written.absolutes.into()));
    println!("enters                 {:>9.3}", per(written.entered.into()));
    println!("leaves                 {:>9.3}", per(written.left.into()));
    println!("deferred               {:>9.3}", per(written.deferred.into()));
    println!("packets                {:>9.3}", per(written.packets.into()));
    println!("bytes                  {:>9.1}", per(bytes as f64));
    println!(
        "bytes a second         {:>9.0}",
        per(bytes as f64) * f64::from(arguments.config.tick_rate)
    );
    println!(
        "bytes per update       {:>9.3}",
        bytes as f64 / f64::from(written.updates + written.entered)
    );
    println!(
        "examined               {:>9.1}",
        per((after.examined - before.examined) as f64)
    );
    println!(
        "gathered               {:>9.1}",
        per((after.gathered - before.gathered) as f64)
    );
    let (hits, misses) = (
        after.cache_hits - before.cache_hits,
        after.cache_misses - before.cache_misses,
    );
    println!(
        "cache hits             {:>9.2} %",
        hits as f64 * 100.0 / (hits + misses).max(1) as f64
    );
}

fn report_bits(history: &FrameHistory, tick_rate: u16) {
    let Some(now) = history.newest() else {
        return;
    };
    let motion = MotionModel::new(tick_rate);
    println!("bits per entity by age of the baseline");
    for age in [1, 2, 3, 4, 6, 8, 12, 16, 24, 31] {
        let Some(base) = history.at(now.tick - age) else {
            continue;
        };
        let (mut bits, mut count, mut absolutes) = (0, 0, 0);
        for (slot, row) in now.rows() {
            let Some(base) = base.row(slot) else { continue };
            match motion.encode(&base.pose, &row.pose, age) {
                Some(delta) => bits += u32::from(delta.len),
                None => absolutes += 1,
            }
            count += 1;
        }
        let mean = f64::from(bits) / f64::from(count - absolutes);
        println!(
            "{age:>4} ticks {mean:>8.2}   absolute {:>6.2} %",
            f64::from(absolutes) * 100.0 / f64::from(count)
        );
    }
}
