//! Matches of pilots in memory and in virtual time: a server, its clients and who plays on them.

use std::mem;
use std::sync::Arc;

use bevy_app::{App, Last};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use skirmish_server::SkirmishPlugin;
use skirmish_shared::SkirmishProtocol;
use skirmish_shared::messages::{ContentTable, Destroyed, Hit, StationReply};
use throng_client::world::{NextInput, TellServer};
use throng_local::{LocalConfig, LocalGame, LocalPlayer};
use throng_shared::protocol::registry::{FromServer, Protocol};

use super::senses::{PilotMessage, Senses};
use super::{BotPilot, Deeds};

/// A match.
pub struct Match {
    /// The server and its clients.
    pub game: LocalGame,
    /// Who plays on which client.
    pub pilots: Vec<(LocalPlayer, BotPilot)>,
    senses: Senses,
}

/// What a client's pilot was told and has not read.
#[derive(Resource, Default)]
struct UnreadMessages(Vec<PilotMessage>);

impl Match {
    /// Pilots in a world with so many drones and asteroids. The same seed plays the same match.
    ///
    /// # Panics
    /// When a pilot is not let in.
    #[must_use]
    pub fn new(seed: u64, pilots: Vec<BotPilot>, drones: u32, asteroids: u32) -> Self {
        Self::of(seed, pilots, SkirmishPlugin::new(drones, asteroids))
    }

    /// Pilots in a game of its own content and population.
    ///
    /// # Panics
    /// When a pilot is not let in.
    #[must_use]
    pub fn of(seed: u64, pilots: Vec<BotPilot>, skirmish: SkirmishPlugin) -> Self {
        let config = LocalConfig {
            seed,
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, skirmish);
        let pilots = pilots.into_iter().enumerate();
        let pilots = pilots
            .map(|(n, pilot)| (game.join(&format!("P{n}"), client), pilot))
            .collect();
        let protocol = game.server().resource::<Protocol>().clone();
        let senses = Senses::new(&Arc::new(protocol)).expect("the game is Skirmish");
        Self { game, pilots, senses }
    }

    /// Lets everybody decide by what they see and were told, and runs a tick.
    ///
    /// # Panics
    /// When a pilot decides what the protocol does not know.
    pub fn tick(&mut self) {
        let Self { game, senses, pilots } = self;
        for (player, pilot) in pilots {
            let told = mem::take(&mut game.world(*player).resource_mut::<UnreadMessages>().0);
            told.into_iter().for_each(|told| pilot.hear(told));
            let Some(mirror) = game.client(*player).mirror() else {
                continue;
            };
            let input = pilot.decide(senses, mirror);
            let bytes = senses.protocol.encode_input(&input);
            let orders = pilot.take_orders();
            let world = game.world(*player);
            world.insert_resource(NextInput(bytes.expect("an input of the game")));
            for order in orders {
                let give = move |mut tell: TellServer| tell.send(&order);
                let given = world.run_system_once(give).expect("it asks for nothing");
                given.expect("an order of the game");
            }
        }
        game.run(1);
    }

    /// What all have done.
    #[must_use]
    pub fn deeds(&self) -> Deeds {
        let mut all = Deeds::default();
        self.pilots.iter().for_each(|(_, pilot)| all.add(pilot.deeds()));
        all
    }
}

fn client(app: &mut App) {
    app.add_plugins(SkirmishProtocol)
        .init_resource::<UnreadMessages>()
        .add_systems(Last, listen);
}

fn listen(
    mut tables: MessageReader<FromServer<ContentTable>>,
    mut hits: MessageReader<FromServer<Hit>>,
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    mut replies: MessageReader<FromServer<StationReply>>,
    mut inbox: ResMut<UnreadMessages>,
) {
    let told = &mut inbox.0;
    told.extend(tables.read().map(|table| PilotMessage::Content(table.0.clone())));
    told.extend(hits.read().map(|hit| PilotMessage::Hit(hit.0)));
    told.extend(
        destroyed
            .read()
            .map(|news| PilotMessage::Destroyed(news.0.clone())),
    );
    told.extend(replies.read().filter_map(|reply| match reply.0 {
        StationReply::Sold(credits) => Some(PilotMessage::Paid(credits)),
        _ => None,
    }));
}
