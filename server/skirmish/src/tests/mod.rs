//! The game's entities and frames, tested in virtual time.

mod away;
mod borders;
mod cheats;
mod checkpoints;
mod client_messages;
mod determinism;
mod fights;
mod lag;
mod mirrored;
mod recordings;
mod scores;
mod trade;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemState;
use glam::Vec2;
use skirmish_shared::components::{Hull, Shield};
use skirmish_shared::input::PilotInput;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_once};
use throng_server::simulation::{
    Avatar, Frames, Owner, Players, Replicated, Seed, SimulationPlugin, WorkerLinks,
};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId, TeamId};
use throng_shared::protocol::input::ViewTick;
use throng_shared::protocol::pose::{Heading, Position};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::components::{Attacker, Condition, Craft, CraftModel};
use super::content::Rules;
use super::crafts::Loadout;
use super::effects::{Damage, EffectSender};
use super::pilots;
use super::{SkirmishPlugin, drones, mining, populate};

const TICK: Duration = Duration::from_millis(50);

/// Returns the damage points of one shot of the first ship class.
fn shot() -> u32 {
    Rules::built_in().laser(CraftModel::Ship(0)).damage.get() as u32
}

/// A game with the worker's end of its link, ticked by hand at 20 Hz.
struct Game {
    app: App,
    worker: WorkerLink,
    ticks: u32,
}

impl Game {
    /// Starts a game with the given numbers of drones and asteroids.
    fn new(seed: u64, threads: usize, drones: u32, asteroids: u32) -> Self {
        let mut app = App::new();
        app.add_plugins((
            SimulationPlugin {
                seed,
                threads,
                ..SimulationPlugin::default()
            },
            RunnerPlugin {
                tick_rate_hz: NonZeroU32::new(20).unwrap(),
                clock: Clock::default(),
                shutdown: Shutdown::default(),
            },
            ReceivePlugin,
            SkirmishPlugin::new(drones, asteroids),
        ));
        let (near, worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
        app.insert_resource(WorkerLinks::new(vec![near]));
        finish_plugins(&mut app);
        Self {
            app,
            worker,
            ticks: 0,
        }
    }

    /// Starts a game in which nothing but the stations takes up space.
    fn empty() -> Self {
        Self::new(1, 1, 0, 0)
    }

    fn tick(&mut self) -> Arc<Frame> {
        tick_once(&mut self.app, TICK * self.ticks);
        self.ticks += 1;
        while self.worker.frame().is_some() {}
        Arc::clone(self.app.world().resource::<Frames>().0.newest().unwrap())
    }

    fn next(&self) -> Tick {
        Tick(self.ticks + 1)
    }

    fn join(&mut self, index: u32) -> SessionKey {
        let session = SessionId { index, generation: 0 };
        let key = SessionKey { worker: 0, session };
        self.worker.announce(ToSimulation::Joined {
            key,
            client_id: u64::from(index),
            number: 1,
            name: PlayerName::new("Ace").unwrap(),
            kind: PeerKind::Throng,
            at: TICK * self.ticks,
        });
        key
    }

    fn send(&mut self, key: SessionKey, tick: Tick, view: Option<ViewTick>, input: &PilotInput) {
        let bytes = self
            .app
            .world()
            .resource::<Protocol>()
            .encode_input(input)
            .unwrap();
        let arrived_at = TICK * self.ticks;
        assert!(self.worker.input(ToSimulation::Input {
            key,
            tick,
            view,
            arrived_at,
            bytes
        }));
    }

    /// Sends random inputs that fly, fire, launch and mine, for nearly all of these pilots in the next tick.
    fn send_at_random(&mut self, seed: u64, keys: &[SessionKey]) {
        let tick = self.next();
        for (index, &key) in keys.iter().enumerate() {
            let mut random = Seed(seed).of(GlobalId(u64::MAX - index as u64), tick);
            let input = PilotInput {
                turn: random.within(-100.0, 100.0) as i8,
                thrust: random.within(-20.0, 100.0) as i8,
                aim: random.within(0.0, 1_023.0) as u16,
                buttons: random.bits() as u8 & 15,
            };
            if random.within(0.0, 1.0) < 0.9 {
                self.send(key, tick, None, &input);
            }
        }
    }

    fn player(&self, key: SessionKey) -> Entity {
        self.app.world().resource::<Players>().get(key).unwrap()
    }

    fn ship(&self, key: SessionKey) -> Entity {
        self.get::<Avatar>(self.player(key)).0
    }

    /// Joins a pilot, and puts its ship at `position`, at rest and unprotected, with this `heading`.
    fn fly_in(&mut self, index: u32, position: Vec2, heading: f32) -> SessionKey {
        let key = self.join(index);
        self.tick();
        let ship = self.ship(key);
        self.set(ship, Position(position));
        self.set(ship, Heading(heading));
        self.set(ship, Condition::default());
        key
    }

    fn drone(&mut self, team: u8, breed: u8, position: Vec2, heading: f32) -> Entity {
        let request = drones::RespawnRequest {
            due: Tick(0),
            breed,
            flock: 1_000 + u32::from(team),
            region: 0,
            team: TeamId(team),
        };
        let bundle = drones::drone(self.rules(), &request, position, heading);
        self.app.world_mut().spawn(bundle).id()
    }

    /// Spawns a ship without a pilot.
    fn hulk(&mut self, class: u8, team: u8, position: Vec2) -> Entity {
        let loadout = Loadout {
            class,
            place: position,
            heading: 0.0,
            team: TeamId(team),
            protected_until: Tick(0),
        };
        let bundle = loadout.ship(self.rules());
        self.app.world_mut().spawn(bundle).id()
    }

    fn rock(&mut self, position: Vec2, radius: f32, ore: u32) -> Entity {
        self.app.world_mut().resource_mut::<mining::OreLedger>().seeded += u64::from(ore);
        self.app
            .world_mut()
            .spawn(mining::rock(position, radius, ore))
            .id()
    }

    fn station(&mut self, position: Vec2) {
        let bundle = populate::station(&self.rules().content.space, position);
        self.app.world_mut().spawn(bundle);
    }

    fn rules(&self) -> &Rules {
        self.app.world().resource::<Rules>()
    }

    fn get<T: Component>(&self, entity: Entity) -> &T {
        self.app.world().get::<T>(entity).unwrap()
    }

    fn set<T: Component>(&mut self, entity: Entity, value: T) {
        self.app.world_mut().entity_mut(entity).insert(value);
    }

    /// Returns the [`Attacker`] value for a craft.
    fn attacker(&mut self, craft: Entity) -> Attacker {
        let world = self.app.world_mut();
        let mut crafts = world.query::<(&Replicated, &Owner, Craft)>();
        let (replicated, owner, craft) = crafts.get(world, craft).unwrap();
        Attacker::new(replicated.global(), craft.model(), owner.0)
    }

    /// Sends damage to a craft, which arrives in the next tick.
    fn hurt(&mut self, victim: GlobalId, damage: Damage) {
        let world = self.app.world_mut();
        let mut sender = SystemState::<EffectSender>::new(world);
        sender.get_mut(world).unwrap().entity(victim, &damage);
    }

    fn lives(&self, entity: Entity) -> bool {
        self.app.world().get_entity(entity).is_ok()
    }

    fn position(&self, entity: Entity) -> Vec2 {
        self.get::<Position>(entity).0
    }

    /// Returns the sum of hull and shield points.
    fn strength(&self, entity: Entity) -> u32 {
        u32::from(self.get::<Hull>(entity).now) + u32::from(self.get::<Shield>(entity).now)
    }

    fn id(&self, entity: Entity) -> GlobalId {
        self.get::<Replicated>(entity).global()
    }
}

fn pressing(buttons: u8) -> PilotInput {
    PilotInput {
        buttons,
        ..PilotInput::default()
    }
}

#[test]
fn ship_motion_equals_the_clients_prediction() {
    use skirmish_shared::components::Boost;
    use skirmish_shared::movement::{Motion, step};
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::new(100.0, 100.0), 0.5);
    let ship = game.ship(key);
    let slot = game.get::<Replicated>(ship).slot().unwrap();
    let frame = game.tick();
    let handling = game.rules().class(0).handling.clone();
    let half = game.rules().content.space.half.get();
    let mut predicted = Motion::of(&frame.row(slot).unwrap().pose, game.get::<Boost>(ship).0);
    for n in 0..100 {
        let input = PilotInput {
            turn: [100, 35, -80][n / 5 % 3],
            thrust: [100, 100, -40][n / 7 % 3],
            buttons: u8::from(n % 20 < 12) * PilotInput::BOOST,
            ..PilotInput::default()
        };
        game.send(key, game.next(), None, &input);
        let frame = game.tick();
        step(&mut predicted, &handling, input.controls(), 0.05, half);
        // As the client library does after each predicted tick.
        predicted = predicted.snapped();
        assert_eq!(frame.row(slot).unwrap().pose, predicted.pose(), "tick {n}");
        assert_eq!(game.get::<Boost>(ship).0, predicted.boost_ms, "tick {n}");
    }
    assert!(game.position(ship).distance(Vec2::new(100.0, 100.0)) > 20.0);
}

#[test]
fn pilots_join_the_smaller_team_and_their_ships_leave_with_them() {
    use throng_server::boundary::link::LeaveReason;
    use throng_server::simulation::Team;
    let mut game = Game::empty();
    let keys: Vec<_> = (0..7).map(|index| game.join(index)).collect();
    let frame = game.tick();
    let teams: Vec<u8> = keys
        .iter()
        .map(|&key| game.get::<Team>(game.player(key)).0.0)
        .collect();
    let count_of = |team| teams.iter().filter(|&&other| other == team).count();
    assert_eq!((count_of(1), count_of(2)), (4, 3));
    let stations = game.rules().content.space.regions.len();
    assert_eq!(frame.rows().count(), stations + 7);
    for key in &keys {
        let reason = LeaveReason::Client;
        game.worker.announce(ToSimulation::Left { key: *key, reason });
    }
    assert_eq!(game.tick().rows().count(), stations);
}

#[test]
fn gun_direction_is_limited_to_the_arc_around_the_bow() {
    use std::f32::consts::PI;
    assert_eq!(pilots::gun_direction(1.0, 1.2, 0.5), 1.2);
    assert_eq!(pilots::gun_direction(1.0, 3.0, 0.5), 1.5);
    let behind = pilots::gun_direction(3.0, -3.0, 0.5);
    assert!((behind + 3.0).abs() < 1e-5, "the short way across pi: {behind}");
    assert!(pilots::gun_direction(-PI, PI, 0.1).abs() > 3.0);
}
