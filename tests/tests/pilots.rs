//! Pilots of Skirmish, in memory and in virtual time: what they do by what they see reaches the world.

use bevy_app::{App, Last};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use throng_client::world::{NextInput, TellServer};
use throng_server::local::{LocalConfig, LocalGame, LocalPlayer};
use throng_server::simulation::Player;
use throng_server::skirmish::SkirmishPlugin;
use throng_server::skirmish::mining::OreLedger;
use throng_shared::protocol::registry::FromServer;
use throng_shared::skirmish::SkirmishProtocol;
use throng_shared::skirmish::components::{Cargo, Ore, Score};
use throng_shared::skirmish::messages::{ContentTable, Destroyed, Hit, StationReply};
use throng_tests::pilots::senses::{Senses, ToldPilot};
use throng_tests::pilots::{Deeds, Mode, Pilot};

/// What a client's pilot was told and has not read.
#[derive(Resource, Default)]
struct Inbox(Vec<ToldPilot>);

fn client(app: &mut App) {
    app.add_plugins(SkirmishProtocol)
        .init_resource::<Inbox>()
        .add_systems(Last, listen);
}

fn listen(
    mut tables: MessageReader<FromServer<ContentTable>>,
    mut hits: MessageReader<FromServer<Hit>>,
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    mut replies: MessageReader<FromServer<StationReply>>,
    mut inbox: ResMut<Inbox>,
) {
    let told = &mut inbox.0;
    told.extend(tables.read().map(|table| ToldPilot::Content(table.0.clone())));
    told.extend(hits.read().map(|hit| ToldPilot::Hit(hit.0)));
    told.extend(destroyed.read().map(|news| ToldPilot::Destroyed(news.0.clone())));
    told.extend(replies.read().filter_map(|reply| match reply.0 {
        StationReply::Sold(credits) => Some(ToldPilot::Paid(credits)),
        _ => None,
    }));
}

struct Match {
    game: LocalGame,
    senses: Senses,
    pilots: Vec<(LocalPlayer, Pilot)>,
}

impl Match {
    fn new(seed: u64, pilots: u64, drones: u32, asteroids: u32) -> Self {
        let config = LocalConfig {
            seed,
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, SkirmishPlugin::new(drones, asteroids));
        let pilots: Vec<_> = (0..pilots)
            .map(|n| (game.join(&format!("P{n}"), client), Pilot::new(seed ^ (n << 32))))
            .collect();
        let protocol = game
            .server()
            .resource::<throng_shared::protocol::registry::Protocol>();
        let senses = Senses::new(&std::sync::Arc::new(protocol.clone())).expect("it is Skirmish");
        Self { game, senses, pilots }
    }

    fn tick(&mut self) {
        let Self { game, senses, pilots } = self;
        for (player, pilot) in pilots {
            let told = std::mem::take(&mut game.world(*player).resource_mut::<Inbox>().0);
            told.into_iter().for_each(|told| pilot.hear(told));
            let input = pilot.decide(senses, game.client(*player).mirror().expect("it plays"));
            let bytes = senses.protocol.encode_input(&input).unwrap();
            let orders = pilot.take_orders();
            let world = game.world(*player);
            world.insert_resource(NextInput(bytes));
            for order in orders {
                let give = move |mut tell: TellServer| tell.send(&order).unwrap();
                world.run_system_once(give).unwrap();
            }
        }
        game.run(1);
    }

    fn deeds(&self) -> Deeds {
        let mut all = Deeds::default();
        self.pilots.iter().for_each(|(_, pilot)| all.add(pilot.deeds()));
        all
    }
}

#[test]
fn pilots_mine_sell_fight_flee_and_die() {
    let seed = 5;
    let mut played = Match::new(seed, 16, 800, 1_600);
    let mut at_work = 0;
    for _ in 0..20 * 90 {
        played.tick();
        let is_mining = |(_, pilot): &&(_, Pilot)| matches!(pilot.mode(), Mode::Mine(_));
        at_work += played.pilots.iter().filter(is_mining).count();
    }
    let deeds = played.deeds();
    assert!(
        at_work > 0 && deeds.mined > 0,
        "seed {seed}: nobody mines: {deeds:?}"
    );
    assert!(deeds.earned > 0, "seed {seed}: nobody sells: {deeds:?}");
    assert!(deeds.fights > 16, "seed {seed}: nobody fights: {deeds:?}");
    assert!(
        deeds.hits > 100 && deeds.wounds > 100,
        "seed {seed}: they miss: {deeds:?}"
    );
    assert!(deeds.flights > 0, "seed {seed}: nobody flees: {deeds:?}");
    assert!(deeds.deaths > 0, "seed {seed}: nobody dies: {deeds:?}");
    // What they were told is what happened.
    let world = played.game.server();
    let mut scores = world.query_filtered::<&Score, With<Player>>();
    let (mut drones, mut deaths, mut kills, mut sold) = (0, 0, 0, 0);
    for score in scores.iter(world) {
        drones += u64::from(score.drones);
        deaths += u64::from(score.deaths);
        kills += u64::from(score.kills);
        sold += u64::from(score.ore);
    }
    assert!(drones > 0, "seed {seed}: no drone was destroyed");
    assert_eq!((deeds.deaths, deeds.kills), (deaths, kills), "seed {seed}");
    let ledger = world.resource::<OreLedger>();
    assert_eq!(ledger.sold, sold, "seed {seed}");
    assert_eq!(deeds.earned, sold * 2, "seed {seed}: two credits an ore");
    let seeded = ledger.seeded;
    let rocks: u64 = world
        .query::<&Ore>()
        .iter(world)
        .map(|ore| u64::from(ore.0))
        .sum();
    let holds: u64 = world
        .query::<&Cargo>()
        .iter(world)
        .map(|ore| u64::from(ore.0))
        .sum();
    assert_eq!(rocks + holds + sold, seeded, "seed {seed}: ore from nowhere");
}

#[test]
fn the_same_seed_plays_the_same_match() {
    let play = |seed| {
        let mut played = Match::new(seed, 6, 200, 300);
        (0..400).for_each(|_| played.tick());
        played.deeds()
    };
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}
