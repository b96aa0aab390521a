//! Players go away and return, and newer sessions replace older ones.

use std::time::Duration;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use serde::{Deserialize, Serialize};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Channel, PlayerId};
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use super::{Harness, TICK};
use crate::boundary::claims::PlayerName;
use crate::boundary::frame::Frame;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey, ToSimulation, ToWorker};
use crate::input::TakenInput;
use crate::runner::tick_late;
use crate::schedule::ServerSystems;
use crate::simulation::away::AWAY_MAX;
use crate::simulation::{
    Avatar, Away, Linger, Player, PlayerAway, PlayerJoined, PlayerLeft, PlayerReturned, Players,
    SimulationPlugin, Tell,
};
use crate::tests::walkers::{IDLE, Walkers};

/// Ticks that players linger in these tests.
pub(super) const LINGER: u32 = 5;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Rumour(u8);

#[derive(Resource, Serialize, Deserialize)]
struct Weather(u8);

/// What happened to players, as text, in the order of the ticks.
#[derive(Resource, Default)]
struct Happened(Vec<String>);

struct Watched(Walkers);

impl Plugin for Watched {
    fn build(&self, app: &mut App) {
        app.message::<Rumour>(Channel::ReliableOrdered);
        app.replicate_resource::<Weather>();
        app.add_plugins(self.0)
            .insert_resource(Linger(TICK * LINGER))
            .init_resource::<Happened>()
            .add_systems(FixedUpdate, watch.in_set(ServerSystems::Input));
    }
}

fn watch(
    mut joined: MessageReader<PlayerJoined>,
    mut returned: MessageReader<PlayerReturned>,
    mut away: MessageReader<PlayerAway>,
    mut left: MessageReader<PlayerLeft>,
    players: Query<&Player>,
    mut happened: ResMut<Happened>,
) {
    let happened = &mut happened.0;
    happened.extend(
        joined
            .read()
            .map(|joined| format!("{} joined", joined.player.id.0)),
    );
    happened.extend(returned.read().map(|returned| {
        let number = returned.player.session_number;
        format!("{} returned by session {number}", returned.player.id.0)
    }));
    happened.extend(away.read().map(|away| {
        let id = players.get(away.entity).map_or(0, |player| player.id.0);
        format!("{id} away: {:?}", away.reason)
    }));
    happened.extend(
        left.read()
            .map(|left| format!("{} left: {:?}", left.player.id.0, left.reason)),
    );
}

pub(super) fn harness(world: Walkers) -> Harness {
    Harness::new(SimulationPlugin::default(), Watched(world))
}

/// Returns a game with the player of client 7, whose session has this number, and the session. Nothing of it is in what
/// happened.
pub(super) fn with_player(number: u64, is_away: bool) -> (Harness, SessionKey) {
    let mut harness = harness(walkers());
    let key = harness.arrive(7, number);
    harness.tick();
    if is_away {
        harness.end(key, LeaveReason::TimedOut);
        harness.tick();
    }
    harness.happened();
    (harness, key)
}

pub(super) fn walkers() -> Walkers {
    Walkers {
        count: 3,
        side: 50.0,
        moves: false,
    }
}

impl Harness {
    pub(super) fn happened(&mut self) -> Vec<String> {
        std::mem::take(&mut self.app.world_mut().resource_mut::<Happened>().0)
    }

    /// Announces a session of a client. Its index is the number.
    pub(super) fn arrive(&mut self, client_id: u64, number: u64) -> SessionKey {
        let key = session(number as u32);
        let at = self.now();
        self.worker.announce(ToSimulation::Joined {
            key,
            client_id,
            number,
            name: PlayerName::new(&format!("session {number}")).unwrap(),
            kind: PeerKind::Throng,
            at,
        });
        key
    }

    pub(super) fn end(&mut self, key: SessionKey, reason: LeaveReason) {
        self.worker.announce(ToSimulation::Left { key, reason });
    }

    pub(super) fn ticks(&mut self, ticks: u32) {
        (0..ticks).for_each(|_| drop(self.tick()));
    }

    pub(super) fn player_of(&self, client_id: u64) -> Entity {
        self.app
            .world()
            .resource::<Players>()
            .of_client(client_id)
            .unwrap()
    }

    fn get<C: Component + Copy>(&self, entity: Entity) -> Option<C> {
        self.app.world().get::<C>(entity).copied()
    }

    /// Returns the commands that the worker received since the last call.
    fn commands(&mut self) -> Vec<ToWorker> {
        std::iter::from_fn(|| self.worker.pop())
            .map(|(_, value)| value)
            .collect()
    }

    /// Returns the ends of sessions among the worker's commands.
    pub(super) fn ended(&mut self) -> Vec<(SessionKey, LeaveReason)> {
        let commands = self.commands().into_iter();
        commands
            .filter_map(|command| match command {
                ToWorker::Disconnect { key, reason, .. } => Some((key, reason)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn run_once<M>(&mut self, system: impl IntoSystem<(), (), M> + 'static) {
        self.app.world_mut().run_system_once(system).unwrap();
    }
}

fn session(index: u32) -> SessionKey {
    SessionKey {
        worker: 0,
        session: SessionId { index, generation: 0 },
    }
}

pub(super) fn has_row(frame: &Frame, key: SessionKey) -> bool {
    frame.players.get(key.worker, key.session).is_some()
}

#[test]
fn a_player_whose_connection_is_lost_lingers_and_then_leaves() {
    for reason in [
        LeaveReason::TimedOut,
        LeaveReason::Fault,
        LeaveReason::Overflow,
        LeaveReason::Shutdown,
        LeaveReason::Unacknowledged,
    ] {
        let mut harness = harness(walkers());
        let key = harness.arrive(7, 1);
        assert!(has_row(&harness.tick(), key));
        let player = harness.player_of(7);
        let avatar = harness.get::<Avatar>(player).unwrap();
        harness.end(key, reason);
        let frame = harness.tick();
        assert!(!has_row(&frame, key) && frame.players.is_empty());
        let away = Away {
            since: frame.tick,
            until: frame.tick + LINGER,
            reason,
        };
        assert_eq!(harness.get::<Away>(player), Some(away));
        assert_eq!(harness.get::<Player>(player).unwrap().session, SessionKey::NONE);
        harness.ticks(LINGER - 1);
        assert_eq!(
            harness.happened(),
            ["1 joined".to_owned(), format!("1 away: {reason:?}")]
        );
        assert_eq!(harness.get::<Avatar>(player), Some(avatar));
        harness.tick();
        assert_eq!(harness.happened(), [format!("1 left: {reason:?}")]);
        assert!(harness.app.world().resource::<Players>().is_empty());
        harness.ticks(LINGER);
        assert!(harness.happened().is_empty());
    }
}

#[test]
fn a_player_that_left_on_purpose_or_broke_the_protocol_does_not_linger() {
    for reason in [LeaveReason::Client, LeaveReason::Abuse, LeaveReason::Kicked] {
        let mut harness = harness(walkers());
        let key = harness.arrive(7, 1);
        harness.tick();
        harness.end(key, reason);
        harness.tick();
        assert_eq!(
            harness.happened(),
            ["1 joined".to_owned(), format!("1 left: {reason:?}")]
        );
    }
}

#[test]
fn without_linger_every_end_of_a_session_ends_its_player() {
    for reason in [
        LeaveReason::TimedOut,
        LeaveReason::Replaced,
        LeaveReason::Shutdown,
    ] {
        let mut harness = harness(walkers());
        harness.app.insert_resource(Linger::NONE);
        let key = harness.arrive(7, 1);
        harness.tick();
        harness.end(key, reason);
        harness.arrive(7, 2);
        harness.tick();
        let left = format!("1 left: {reason:?}");
        assert_eq!(
            harness.happened(),
            ["1 joined".to_owned(), "2 joined".to_owned(), left]
        );
    }
}

#[test]
fn a_client_that_returns_has_its_player_and_avatar_again() {
    let mut harness = harness(walkers());
    harness.app.insert_resource(Weather(3));
    let old = harness.arrive(7, 1);
    let slot = harness.tick().players.get(0, old.session).unwrap().entity;
    let player = harness.player_of(7);
    let avatar = harness.get::<Avatar>(player).unwrap();
    harness.end(old, LeaveReason::TimedOut);
    harness.ticks(LINGER - 1);
    harness.commands();
    let new = harness.arrive(7, 2);
    let frame = harness.tick();
    let row = frame.players.get(0, new.session).unwrap();
    assert_eq!(
        (row.player, row.entity, row.last_input),
        (PlayerId(1), slot, Tick(0))
    );
    assert_eq!(harness.happened()[2..], ["1 returned by session 2"]);
    assert_eq!(
        (harness.player_of(7), harness.get::<Avatar>(player)),
        (player, Some(avatar))
    );
    assert_eq!(harness.get::<Away>(player), None);
    assert_eq!(harness.get::<Player>(player).unwrap().name.as_str(), "session 2");
    // The new session knows no resource yet.
    let is_resource = |command: &ToWorker| matches!(command, ToWorker::Message { key, .. } if *key == new);
    assert_eq!(
        harness
            .commands()
            .iter()
            .filter(|command| is_resource(command))
            .count(),
        1
    );
    // It can go and return any number of times.
    harness.end(new, LeaveReason::TimedOut);
    harness.tick();
    harness.arrive(7, 3);
    harness.ticks(2 * LINGER);
    assert_eq!(
        harness.happened(),
        ["1 away: TimedOut", "1 returned by session 3"]
    );
}

#[test]
fn an_away_player_has_a_neutral_input_and_is_sent_nothing() {
    let mut harness = harness(walkers());
    let key = harness.arrive(7, 1);
    harness.tick();
    let player = harness.player_of(7);
    let input = ToSimulation::Input {
        key,
        tick: harness.next(),
        view: None,
        arrived_at: harness.now(),
        bytes: throng_shared::protocol::input::InputBytes::new(&[1; 8]).unwrap(),
    };
    let has_input = |harness: &Harness| {
        let taken = harness.app.world().get::<TakenInput>(player).unwrap();
        taken.bytes.is_some()
    };
    assert!(harness.worker.input(input));
    harness.tick();
    assert!(has_input(&harness));
    harness.end(key, LeaveReason::TimedOut);
    harness.tick();
    assert!(!has_input(&harness));
    harness.commands();
    let tell = |players: Query<&Player>, mut tell: Tell| {
        players
            .iter()
            .for_each(|player| tell.player(player, &Rumour(1)).unwrap());
    };
    harness.run_once(tell);
    harness.tick();
    assert!(harness.commands().is_empty());
}

#[test]
fn a_newer_session_takes_the_player_over_while_the_older_one_lasts() {
    let mut harness = harness(walkers());
    let old = harness.arrive(7, 4);
    harness.tick();
    let new = harness.arrive(7, 5);
    let frame = harness.tick();
    assert!(has_row(&frame, new) && !has_row(&frame, old));
    for reason in [LeaveReason::Replaced, LeaveReason::TimedOut, LeaveReason::Client] {
        harness.end(old, reason);
        assert!(has_row(&harness.tick(), new), "a late end of the older session");
    }
    assert_eq!(harness.happened(), ["1 joined", "1 returned by session 5"]);
}

#[test]
fn an_older_session_that_is_announced_late_is_ended() {
    for is_away in [false, true] {
        let (mut harness, new) = with_player(5, is_away);
        let old = harness.arrive(7, 4);
        let frame = harness.tick();
        assert_eq!((has_row(&frame, new), has_row(&frame, old)), (!is_away, false));
        assert_eq!(harness.ended(), [(old, LeaveReason::Replaced)]);
        harness.end(old, LeaveReason::Replaced);
        harness.tick();
        assert!(harness.happened().is_empty());
    }
}

#[test]
fn a_replaced_session_is_no_absence_unless_its_successor_never_comes() {
    let mut harness = harness(walkers());
    let (first, second) = (harness.arrive(7, 1), harness.arrive(8, 2));
    harness.tick();
    for key in [first, second] {
        harness.end(key, LeaveReason::Replaced);
    }
    harness.tick();
    harness.arrive(7, 3);
    harness.ticks(LINGER + 1);
    assert_eq!(
        harness.happened(),
        [
            "1 joined",
            "2 joined",
            "1 returned by session 3",
            "2 left: Replaced"
        ]
    );
}

#[test]
fn ticks_that_are_skipped_do_not_count_as_time_away() {
    let (mut harness, _) = with_player(1, true);
    let now = harness.now();
    tick_late(&mut harness.app, now, now, 1_000);
    harness.ticks(LINGER - 2);
    assert!(harness.happened().is_empty());
    harness.tick();
    assert_eq!(harness.happened(), ["1 left: TimedOut"]);
}

#[test]
fn of_too_many_away_players_those_that_went_first_leave() {
    let mut harness = harness(IDLE);
    harness.app.insert_resource(Linger(Duration::from_secs(60)));
    let first = harness.arrive(1, 1);
    harness.tick();
    harness.end(first, LeaveReason::TimedOut);
    harness.tick();
    let keys: Vec<_> = (2..AWAY_MAX as u64 + 4)
        .map(|number| harness.arrive(number, number))
        .collect();
    harness.tick();
    harness.happened();
    keys.into_iter()
        .for_each(|key| harness.end(key, LeaveReason::TimedOut));
    harness.tick();
    let happened = harness.happened();
    let left: Vec<_> = happened.iter().filter(|line| line.contains("left")).collect();
    assert_eq!(left, ["1 left: TimedOut", "2 left: TimedOut", "3 left: TimedOut"]);
    assert_eq!(harness.app.world().resource::<Players>().len(), AWAY_MAX);
}
