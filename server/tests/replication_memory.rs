//! Memory of replication: no allocations per client and tick, and at most 16 KiB per client.
//!
//! Measured with a counting allocator, around the calls that a net worker and a client make.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use glam::Vec2;
use throng_client::mirror::{Mirror, MirrorConfig};
use throng_server::boundary::frame::{Frame, FrameHistory, Identity, PlayerRow, Upright};
use throng_server::internals::{
    AreaHold, AreaTable, ClientReplication, FrameWriter, PacketSink, ReplicationScratch, ReplicationView,
    SpatialIndex,
};
use throng_server::replication::ReplicationConfig;
use throng_server::simulation::RoomId;
use throng_shared::limits::PAYLOAD_BYTES_MAX;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::tick::Tick;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no thread-local any more, and is not measured.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
    if bytes > 0 {
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    }
}

// SAFETY: every call is forwarded to the system's allocator with unchanged arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RADIUS: f32 = 50.0;

/// Entities that circle around the points of a grid; the first of them have players.
struct World {
    tick: Tick,
    points: Vec<Vec2>,
    writer: FrameWriter,
    index: SpatialIndex,
    areas: AreaTable,
    holds: Vec<Option<AreaHold>>,
}

impl World {
    fn new(entities: usize, players: usize, spacing: f32) -> Self {
        let columns = (entities as f32).sqrt().ceil() as usize;
        let mut world = Self {
            tick: Tick(1),
            points: Vec::new(),
            writer: FrameWriter::new(SimulationId(0)),
            index: SpatialIndex::default(),
            areas: AreaTable::default(),
            holds: vec![None; players],
        };
        for entity in 0..entities {
            let point = Vec2::new((entity % columns) as f32, (entity / columns) as f32) * spacing;
            let identity = Identity {
                global: GlobalId(entity as u64 + 1),
                importance: 1,
                ..Identity::default()
            };
            world.points.push(point);
            let pose = world.pose(entity);
            world
                .writer
                .insert(Slot(entity as u32), identity, pose, world.tick);
            world.index.insert(Slot(entity as u32), pose.x, pose.y);
        }
        world
    }

    fn eye(&self, entity: usize) -> Vec2 {
        let angle = self.tick.0 as f32 * 0.05 + entity as f32;
        self.points[entity] + Vec2::from_angle(angle) * 9.0
    }

    fn pose(&self, entity: usize) -> Pose {
        let eye = self.eye(entity) * 100.0;
        Pose {
            x: eye.x as i32,
            y: eye.y as i32,
            yaw: (self.tick.0 % 1_024) as u16,
            ..Pose::default()
        }
    }

    fn step(&mut self) -> Arc<Frame> {
        self.tick = self.tick.next();
        for entity in 0..self.points.len() {
            let (slot, pose) = (Slot(entity as u32), self.pose(entity));
            self.writer.set_pose(slot, pose, self.tick);
            self.index.place(slot, pose.x, pose.y, self.tick);
        }
        self.index.rebalance(self.tick);
        let mut cells = self.writer.spare_index();
        self.index.freeze(&mut cells);
        for player in 0..self.holds.len() {
            let eye = self.eye(player);
            self.holds[player] = self
                .areas
                .update(RoomId::default(), eye, RADIUS, self.holds[player]);
        }
        self.areas
            .list_stale(&self.index)
            .iter_mut()
            .for_each(|stale| stale.build(&self.index));
        self.areas.take_built();
        let mut players = self.writer.spare_players();
        for (player, &hold) in self.holds.iter().enumerate() {
            let row = PlayerRow {
                generation: 0,
                player: PlayerId(player as u32 + 1),
                is_local: true,
                entity: Some(Slot(player as u32)),
                eye: self.eye(player),
                radius: RADIUS,
                upright: Upright::default(),
                team: TeamId::NONE,
                room: Default::default(),
                last_input: self.tick - 1,
                newest_ahead: i8::MIN,
                margin_16: 0,
                area: Arc::clone(self.areas.get(hold)),
            };
            players.insert(0, session(player), row);
        }
        self.writer.publish(self.tick, Duration::ZERO, cells, players)
    }
}

fn session(player: usize) -> SessionId {
    SessionId {
        index: player as u32,
        generation: 0,
    }
}

/// Decodes every packet directly where it is written.
struct Direct<'a> {
    buffer: [u8; PAYLOAD_BYTES_MAX],
    mirror: &'a mut Mirror,
}

impl PacketSink for Direct<'_> {
    fn begin(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.buffer)
    }

    fn commit(&mut self, len: usize) {
        let received = self.mirror.receive_snapshot(&self.buffer[..len], &mut ());
        received.expect("the mirror decodes every packet");
    }
}

struct Session {
    world: World,
    config: ReplicationConfig,
    protocol: Protocol,
    scratch: ReplicationScratch,
    histories: [FrameHistory; 1],
    clients: Vec<ClientReplication>,
    mirrors: Vec<Mirror>,
}

impl Session {
    fn new(world: World) -> Self {
        let (config, protocol) = (ReplicationConfig::default(), Protocol::default());
        let mirror = MirrorConfig {
            tick_rate: 20,
            components: ComponentFormats::default(),
            quanta_3d: None,
            tick: world.tick,
        };
        let players = world.holds.len();
        Self {
            scratch: ReplicationScratch::new(&config, &protocol),
            histories: [FrameHistory::default()],
            clients: (0..players).map(|_| ClientReplication::new(&config)).collect(),
            mirrors: (0..players).map(|_| Mirror::new(&mirror)).collect(),
            world,
            config,
            protocol,
        }
    }

    /// Runs a tick. Returns the number of allocations while serving the clients.
    fn step(&mut self) -> usize {
        let frame = self.world.step();
        self.histories[0].push(frame);
        let before = CALLS.get();
        for (player, (client, mirror)) in self.clients.iter_mut().zip(&mut self.mirrors).enumerate() {
            let view = ReplicationView {
                config: &self.config,
                protocol: &self.protocol,
                histories: &self.histories,
                worker: 0,
                session: session(player),
            };
            let ack = mirror.ack();
            let mut sink = Direct {
                buffer: [0; PAYLOAD_BYTES_MAX],
                mirror,
            };
            ack.into_iter().for_each(|ack| client.acknowledge(ack));
            client.write(&mut self.scratch, &view, 0, &mut sink);
        }
        CALLS.get() - before
    }
}

#[test]
fn replication_does_not_allocate_in_the_steady_state() {
    let mut session = Session::new(World::new(400, 100, 18.0));
    let warm_up: usize = (0..150).map(|_| session.step()).sum();
    assert!(warm_up > 0, "the allocator does not count");
    let entered = session.scratch.counters().enters;
    let steady: usize = (0..150).map(|_| session.step()).sum();
    assert_eq!(steady, 0);
    let counters = session.scratch.counters();
    assert!(counters.enters > entered, "no entities entered");
    assert!(session.clients.iter().all(|client| client.known_count() > 5));
    assert_eq!(counters.deferred, 0);
}

#[test]
fn replication_takes_16_kib_per_client_at_most() {
    let mut session = Session::new(World::new(400, 20, 1.0));
    (0..40).for_each(|_| {
        session.step();
    });
    assert!(session.clients.iter().all(|client| client.known_count() == 255));
    let before = HELD.get();
    let clients = session.clients.len();
    session.clients.clear();
    let bytes = (before - HELD.get()) as usize / clients + size_of::<ClientReplication>();
    assert!((4_096..=16 * 1_024).contains(&bytes), "{bytes} bytes");
}
