//! A server on real sockets, with players that a test controls one by one.

use std::{
    thread,
    time::{Duration, Instant},
};

use bevy_app::App;
use throng_client::{
    connection::{ClientConfig, ClientCore, ClientEvent, EndReason},
    join::Joiner,
    link::ClientSocket,
    mirror::MirrorObserver,
};
use throng_scenes::protocol::{BenchProtocol, SteerInput};
use throng_server::observe::StatsReport;
use throng_shared::protocol::{input::InputBytes, registry::Protocol, version::ProtocolVersion};
use throng_tests::process::ServerProcess;

/// The most time that each request or wait may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An observer that ignores the changes of snapshots.
pub(super) struct NoObserver;

impl MirrorObserver for NoObserver {}

/// A client with its own socket.
pub(super) struct Player {
    pub(super) socket: ClientSocket,
    pub(super) core: ClientCore,
    pub(super) snapshots: u32,
    pub(super) ended: Option<EndReason>,
}

/// A server process and what a test needs to join it.
pub(super) struct TestServer {
    pub(super) server: ServerProcess,
    joiner: Joiner,
    protocol: Protocol,
    pub(super) origin: Instant,
}

impl Player {
    /// Ends the session and sends the disconnect to the server.
    pub(super) fn leave(&mut self) {
        let socket = &self.socket;
        self.core.disconnect(|datagram| socket.send(datagram).unwrap());
    }
}

impl TestServer {
    /// Starts a server with the crowd scene and these flags.
    pub(super) fn open(flags: &[&str]) -> Self {
        let mut app = App::empty();
        app.add_plugins(BenchProtocol);
        let protocol = app.world().resource::<Protocol>().clone();
        let server = ServerProcess::start(&[&["--scene", "crowd"], flags].concat()).unwrap();
        let joiner = Joiner::new(&server.http().to_string(), PATIENCE);
        Self {
            server,
            joiner,
            protocol,
            origin: now(),
        }
    }

    fn version(&self) -> ProtocolVersion {
        self.protocol.version()
    }

    /// Starts a session. Returns it with the proof that identifies the client when it joins again.
    pub(super) fn join(&self, name: &str, resume: Option<&str>) -> (Player, String) {
        let joined = self.joiner.join(name, &self.version(), resume).unwrap();
        let core = ClientCore::new(
            self.origin.elapsed(),
            &joined.token,
            ClientConfig::new(&self.protocol),
        );
        let socket = ClientSocket::connect(core.server_address()).unwrap();
        (
            Player {
                socket,
                core,
                snapshots: 0,
                ended: None,
            },
            joined.resume,
        )
    }

    /// Reads a player's received datagrams and sends those that are due.
    pub(super) fn pump(&self, player: &mut Player) {
        let now = self.origin.elapsed();
        let steer = self
            .protocol
            .encode_input(&SteerInput {
                turn: 0.5,
                thrust: 1.0,
            })
            .unwrap();
        while let Some(datagram) = player.socket.receive_datagram().unwrap() {
            match player.core.receive_datagram(now, datagram, &mut NoObserver) {
                Some(ClientEvent::Snapshot(_)) => player.snapshots += 1,
                Some(ClientEvent::Ended(reason)) => player.ended = Some(reason),
                Some(event @ (ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_))) => {
                    panic!("{event:?}")
                }
                _ => {}
            }
        }
        let Player {
            socket, core, ended, ..
        } = player;
        let input = |_| -> InputBytes { steer };
        let event = core.update(now, input, |datagram| socket.send(datagram).unwrap());
        if let Some(ClientEvent::Ended(reason)) = event {
            *ended = Some(reason);
        }
    }

    /// Pumps all players until `done`.
    pub(super) fn pump_until(&self, players: &mut [Player], done: impl Fn(&[Player]) -> bool) {
        let begun = now();
        while !done(players) {
            assert!(
                begun.elapsed() < PATIENCE,
                "not done after {PATIENCE:?}:\n{}",
                self.server.output().unwrap()
            );
            players.iter_mut().for_each(|player| self.pump(player));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the server's figures.
    pub(super) fn stats(&self) -> StatsReport {
        self.server.stats().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
fn now() -> Instant {
    Instant::now()
}

/// Returns the sum of a counter over all workers.
pub(super) fn total(stats: &StatsReport, name: &str) -> u64 {
    stats.workers.iter().map(|worker| worker[name]).sum()
}
