//! Matches of pilots in memory and in virtual time: a server, its clients and their pilots.

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
use super::{BotPilot, PilotCounts};

/// A game in memory whose clients are played by pilots.
pub struct Match {
    /// The server and its clients.
    pub game: LocalGame,
    /// The clients and the pilots that play on them.
    pub pilots: Vec<(LocalPlayer, BotPilot)>,
    senses: Senses,
}

/// Messages that a client received and its pilot has not handled.
#[derive(Resource, Default)]
struct UnreadMessages(Vec<PilotMessage>);

impl Match {
    /// Joins pilots to a game with this many drones and asteroids. The same seed plays the same match.
    ///
    /// # Panics
    /// If a pilot cannot join.
    #[must_use]
    pub fn new(seed: u64, pilots: Vec<BotPilot>, drones: u32, asteroids: u32) -> Self {
        Self::of(seed, pilots, SkirmishPlugin::new(drones, asteroids))
    }

    /// Joins pilots to a game with the content and population of `skirmish`.
    ///
    /// # Panics
    /// If a pilot cannot join.
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

    /// Runs all pilots on their mirrors and messages, then runs a tick.
    ///
    /// # Panics
    /// If the protocol cannot encode a pilot's input or order.
    pub fn tick(&mut self) {
        let Self { game, senses, pilots } = self;
        for (player, pilot) in pilots {
            let messages = mem::take(&mut game.world(*player).resource_mut::<UnreadMessages>().0);
            messages.into_iter().for_each(|message| pilot.handle(message));
            let Some(mirror) = game.client(*player).mirror() else {
                continue;
            };
            let input = pilot.decide(senses, mirror);
            let bytes = senses.protocol.encode_input(&input);
            let orders = pilot.take_orders();
            let world = game.world(*player);
            world.insert_resource(NextInput(bytes.expect("the game registers the input")));
            for order in orders {
                let send = move |mut server: TellServer| server.send(&order);
                let sent = world
                    .run_system_once(send)
                    .expect("the system has no failing parameters");
                sent.expect("the game registers the order");
            }
        }
        game.run(1);
    }

    /// Returns the sum of all pilots' counters.
    #[must_use]
    pub fn counts(&self) -> PilotCounts {
        let mut all = PilotCounts::default();
        self.pilots.iter().for_each(|(_, pilot)| all.add(pilot.counts()));
        all
    }
}

fn client(app: &mut App) {
    app.add_plugins(SkirmishProtocol)
        .init_resource::<UnreadMessages>()
        .add_systems(Last, collect_messages);
}

/// Keeps the messages that pilots react to, for the next tick.
fn collect_messages(
    mut tables: MessageReader<FromServer<ContentTable>>,
    mut hits: MessageReader<FromServer<Hit>>,
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    mut replies: MessageReader<FromServer<StationReply>>,
    mut inbox: ResMut<UnreadMessages>,
) {
    let messages = &mut inbox.0;
    messages.extend(tables.read().map(|table| PilotMessage::Content(table.0.clone())));
    messages.extend(hits.read().map(|hit| PilotMessage::Hit(hit.0)));
    messages.extend(
        destroyed
            .read()
            .map(|destroyed| PilotMessage::Destroyed(destroyed.0.clone())),
    );
    messages.extend(replies.read().filter_map(|reply| match reply.0 {
        StationReply::Sold(credits) => Some(PilotMessage::Paid(credits)),
        _ => None,
    }));
}
