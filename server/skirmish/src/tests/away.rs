//! Pilots whose connection is lost: their ships stay, and are theirs again when they return.

use glam::Vec2;
use skirmish_shared::chat::ChatNotice;
use skirmish_shared::components::{Callsign, Score};
use throng_server::boundary::link::{LeaveReason, ToWorker};
use throng_server::simulation::{Away, Linger};
use throng_shared::protocol::ids::{Channel, PlayerId};
use throng_shared::protocol::registry::Protocol;

use super::*;
use crate::components::Helm;

impl Game {
    fn lose(&mut self, key: SessionKey) {
        let reason = LeaveReason::TimedOut;
        self.worker.announce(ToSimulation::Left { key, reason });
        self.tick();
    }

    /// Announces another session of the client of the pilot `index`.
    fn come_back(&mut self, index: u32) -> SessionKey {
        let session = SessionId {
            index: 100 + index,
            generation: 0,
        };
        let key = SessionKey { worker: 0, session };
        self.worker.announce(ToSimulation::Joined {
            key,
            client_id: u64::from(index),
            number: 2,
            name: PlayerName::new("Another name").unwrap(),
            kind: PeerKind::Throng,
            at: TICK * self.ticks,
        });
        self.tick();
        key
    }
}

#[test]
fn the_ship_of_a_pilot_who_is_away_drifts_and_is_its_own_again() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::new(-500.0, -500.0), 0.0);
    let (player, ship) = (game.player(key), game.ship(key));
    let name = game.get::<Callsign>(player).clone();
    for _ in 0..10 {
        let input = PilotInput {
            thrust: 100,
            buttons: PilotInput::FIRE,
            ..PilotInput::default()
        };
        game.send(key, game.next(), None, &input);
        game.tick();
    }
    assert!(game.get::<Helm>(ship).fires);
    game.lose(key);
    assert!(!game.get::<Helm>(ship).fires);
    let lost_at = game.position(ship);
    (0..20).for_each(|_| drop(game.tick()));
    assert!(
        game.lives(ship) && game.position(ship).distance(lost_at) > 1.0,
        "it drifts on"
    );
    while game.worker.pop().is_some() {}
    let back = game.come_back(0);
    assert_eq!((game.player(back), game.ship(back)), (player, ship));
    assert_eq!(game.get::<Callsign>(player), &name);
    // The new client knows nothing of the game yet.
    let protocol = game.app.world().resource::<Protocol>().clone();
    let commands = std::iter::from_fn(|| game.worker.pop()).map(|(_, command)| command);
    let messages = commands.filter_map(|command| match command {
        ToWorker::Message { key, channel, bytes } if key == back => Some((channel, bytes)),
        _ => None,
    });
    let welcomes = messages.filter(|(channel, bytes)| {
        let channel = Channel::from_id(*channel).unwrap();
        protocol
            .decode_message(channel, bytes)
            .is_ok_and(|(_, message)| message.is::<ChatNotice>())
    });
    assert_eq!(welcomes.count(), 1);
}

#[test]
fn a_pilot_whose_ship_is_destroyed_while_away_gets_the_next_one_on_the_return() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::new(-500.0, -500.0), 0.0);
    let (player, ship) = (game.player(key), game.ship(key));
    game.lose(key);
    let points = u32::from(u16::MAX);
    game.hurt(game.id(ship), Damage { by: None, points });
    (0..3).for_each(|_| drop(game.tick()));
    assert!(!game.lives(ship));
    let respawn_ticks = (game.rules().content.space.respawn_s.get() * 20.0) as u32;
    for _ in 0..respawn_ticks + 20 {
        let frame = game.tick();
        let is_owned = |&(slot, _): &(_, _)| frame.identity(slot).owner == PlayerId(1);
        assert_eq!(
            frame.rows().filter(is_owned).count(),
            0,
            "no ship flies without its pilot"
        );
    }
    let back = game.come_back(0);
    assert_eq!(game.player(back), player);
    assert!(game.lives(game.ship(back)));
    assert_eq!(game.get::<Score>(player).deaths, 1);
}

#[test]
fn the_ship_of_a_pilot_who_does_not_return_leaves_with_its_pilot() {
    let mut game = Game::empty();
    game.app.insert_resource(Linger(TICK * 10));
    let key = game.fly_in(0, Vec2::new(-500.0, -500.0), 0.0);
    let (player, ship) = (game.player(key), game.ship(key));
    game.lose(key);
    assert!(game.app.world().get::<Away>(player).is_some());
    (0..9).for_each(|_| drop(game.tick()));
    assert!(game.lives(ship));
    (0..2).for_each(|_| drop(game.tick()));
    assert!(!game.lives(ship) && !game.lives(player));
}
