//! The game's state in a client's mirror.

use glam::Vec2;
use skirmish_shared::components::{Boost, Callsign, Cargo, Drone, Hull, Ship};
use skirmish_shared::input::PilotInput;
use throng_client::mirror::{Mirror, MirrorConfig};
use throng_server::boundary::frame::FrameHistory;
use throng_server::boundary::link::SessionKey;
use throng_server::internals::{ClientReplication, PacketSink, ReplicationScratch, ReplicationView};
use throng_server::replication::ReplicationConfig;
use throng_server::simulation::Replicated;
use throng_shared::limits::PAYLOAD_BYTES_MAX;
use throng_shared::protocol::codec;
use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::Game;

/// A client on a perfect link.
struct Client {
    key: SessionKey,
    config: ReplicationConfig,
    protocol: Protocol,
    replication: ClientReplication,
    scratch: ReplicationScratch,
    histories: [FrameHistory; 1],
    mirror: Mirror,
}

#[derive(Default)]
struct Packets {
    buffer: Vec<u8>,
    written: Vec<Vec<u8>>,
}

impl PacketSink for Packets {
    fn begin(&mut self) -> Option<&mut [u8]> {
        self.buffer.resize(PAYLOAD_BYTES_MAX, 0);
        Some(&mut self.buffer)
    }

    fn commit(&mut self, len: usize) {
        self.written.push(self.buffer[..len].to_vec());
    }
}

impl Client {
    fn new(game: &Game, key: SessionKey) -> Self {
        let (config, protocol) = (
            ReplicationConfig::default(),
            game.app.world().resource::<Protocol>().clone(),
        );
        Self {
            key,
            replication: ClientReplication::new(&config),
            scratch: ReplicationScratch::new(&config, &protocol),
            histories: [FrameHistory::default()],
            mirror: Mirror::new(&MirrorConfig {
                tick_rate: config.tick_rate,
                components: protocol.formats(),
                quanta_3d: protocol.quanta_3d(),
                tick: Tick(0),
            }),
            config,
            protocol,
        }
    }

    fn tick(&mut self, game: &mut Game) {
        self.histories[0].push(game.tick());
        let view = ReplicationView {
            config: &self.config,
            protocol: &self.protocol,
            histories: &self.histories,
            worker: self.key.worker,
            session: self.key.session,
        };
        let mut packets = Packets::default();
        self.replication.write(&mut self.scratch, &view, 0, &mut packets);
        for packet in &packets.written {
            self.mirror.receive_snapshot(packet, &mut ()).unwrap();
        }
        if let Some(ack) = self.mirror.ack() {
            self.replication.acknowledge(ack);
        }
    }

    /// Returns a decoded component of an entity in the client's view.
    fn component<T: bevy_ecs::component::Component + serde::de::DeserializeOwned>(
        &self,
        game: &Game,
        entity: bevy_ecs::entity::Entity,
    ) -> Option<T> {
        let global = game.get::<Replicated>(entity).global();
        let seen = self.mirror.entities().find(|seen| seen.global == global)?;
        let id: ComponentId = self.protocol.component_of::<T>()?.id;
        let found = self
            .mirror
            .components(seen.id)
            .iter()
            .find(|found| found.id == id)?;
        codec::decode_exact(&found.bytes).ok()
    }
}

#[test]
fn ship_steered_by_inputs_appears_in_the_mirror() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    let ship = game.ship(key);
    let drone = game.drone(4, 1, Vec2::new(40.0, 20.0), 0.0);
    let other = game.hulk(2, 2, Vec2::new(40.0, -10.0));
    let mut client = Client::new(&game, key);
    for n in 0..60 {
        let input = PilotInput {
            turn: if n % 20 < 10 { 50 } else { -50 },
            thrust: 100,
            ..PilotInput::default()
        };
        game.send(key, game.next(), None, &input);
        client.tick(&mut game);
        if n > 1 {
            let own = client.mirror.own().expect("the own ship is always known");
            let slot = game.get::<Replicated>(ship).slot().unwrap();
            let newest = client.histories[0].newest().unwrap();
            assert_eq!(Some(&own.pose), newest.row(slot).map(|row| &row.pose), "tick {n}");
        }
    }
    assert!(game.position(ship).length() > 20.0);
    assert_eq!(client.component::<Ship>(&game, ship), Some(Ship { class: 0 }));
    assert_eq!(
        client.component::<Callsign>(&game, ship),
        Some(Callsign("Ace".to_owned()))
    );
    assert_eq!(client.component::<Drone>(&game, drone), Some(Drone { breed: 1 }));
    assert_eq!(
        client.component::<Hull>(&game, drone).as_ref(),
        Some(game.get::<Hull>(drone))
    );
    // Cargo and boost are sent to the owner only.
    assert!(client.component::<Boost>(&game, ship).is_some());
    assert!(client.component::<Ship>(&game, other).is_some());
    assert_eq!(client.component::<Cargo>(&game, other), None);
    assert_eq!(client.component::<Boost>(&game, other), None);
}
