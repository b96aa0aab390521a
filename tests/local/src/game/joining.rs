//! How clients of a [`LocalGame`] join, and join again as the same client.

use bevy_app::{App, Plugins};
use throng_client::connection::{ClientConfig, ClientCore, EndReason};
use throng_client::link::{Gate, Link, LinkConditions};
use throng_client::mirror::Mirror;
use throng_client::world::{MirrorPlugin, update_session};
use throng_server::boundary::claims::{PlayerName, SessionClaims};
use throng_server::runner::finish_plugins;
use throng_shared::netcode::{ConnectToken, PROTOCOL_ID, TokenRequest};
use throng_shared::protocol::registry::Protocol;

use super::{LocalClient, LocalGame, LocalPlayer, PLAYERS_MAX, SERVER, UNIX_S};

/// Ticks within which a client that joins must be welcomed.
const WELCOME_TICKS: u32 = 40;
/// The time-out of a session. It is half of a server's, so that tests of lost lines take fewer ticks.
const SESSION_TIMEOUT_S: i32 = 10;
/// The port of each client's first session. Each later one has the next port.
const FIRST_PORT: u16 = 40_000;

impl LocalGame {
    /// Adds a client with the game's plugins, which must register the server's protocol. Runs the few ticks in
    /// which it connects.
    ///
    /// # Panics
    /// Panics with the reason if the server refuses the client: for another protocol, a name that is too long, or by the
    /// game's rule.
    pub fn join<M>(&mut self, name: &str, game: impl Plugins<M>) -> LocalPlayer {
        self.try_join(name, game)
            .unwrap_or_else(|reason| panic!("{name} is refused: {reason}"))
    }

    /// Adds a client like [`join`](Self::join), and returns the reason for which its session ended if the server refuses it.
    ///
    /// # Errors
    /// [`EndReason`], for example that the game's rule does not admit the player.
    ///
    /// # Panics
    /// Panics if the name is too long or there are too many players.
    pub fn try_join<M>(&mut self, name: &str, game: impl Plugins<M>) -> Result<LocalPlayer, Box<EndReason>> {
        assert!(
            self.clients.len() < PLAYERS_MAX,
            "more than {PLAYERS_MAX} players"
        );
        let number = self.clients.len();
        let (app, config) = client_app(game);
        let client_id = self.sessions_issued + 1;
        let token = self.issue_token(name, client_id);
        let link = |way: u64| Link::new(LinkConditions::PERFECT, self.seed ^ (number as u64) << 32 ^ way);
        self.clients.push(LocalClient {
            app,
            config,
            core: ClientCore::new(self.now, &token, config),
            name: name.to_owned(),
            client_id,
            address: ([10, 1, (number >> 8) as u8, number as u8], FIRST_PORT).into(),
            down: link(0),
            up: link(1),
        });
        self.await_welcome(LocalPlayer(number))
    }

    /// Lets a client join again as the same client, with the same credential: after it left or was cut off, which ends with
    /// this call, or in the place of its session that still lasts. Its app goes on; what belonged to the former session
    /// leaves its world. Runs the few ticks in which it connects.
    ///
    /// # Errors
    /// [`EndReason`], if the server refuses the client.
    pub fn rejoin(&mut self, player: LocalPlayer) -> Result<(), Box<EndReason>> {
        let client = &self.clients[player.0];
        let (name, client_id) = (client.name.clone(), client.client_id);
        let token = self.issue_token(&name, client_id);
        let now = self.now;
        let client = &mut self.clients[player.0];
        // The former session ends without a word to the server, as when a line breaks.
        client.core.disconnect(|_| {});
        update_session(client.app.world_mut(), &mut client.core, now, |_| {});
        client.core = ClientCore::new(now, &token, client.config);
        client.address.set_port(client.address.port() + 1);
        client.down.set_gate(now, Gate::Open);
        client.up.set_gate(now, Gate::Open);
        self.await_welcome(player).map(drop)
    }

    /// Lets a client's program start anew and join as the same client, as one that was killed does with the credential in
    /// its file. It has a new app with these plugins. Otherwise like [`rejoin`](Self::rejoin).
    ///
    /// # Errors
    /// [`EndReason`], if the server refuses the client.
    pub fn restart<M>(&mut self, player: LocalPlayer, game: impl Plugins<M>) -> Result<(), Box<EndReason>> {
        let (app, config) = client_app(game);
        let client = &mut self.clients[player.0];
        (client.app, client.config) = (app, config);
        self.rejoin(player)
    }

    /// Runs until the client has its first snapshot, or its session has ended.
    fn await_welcome(&mut self, player: LocalPlayer) -> Result<LocalPlayer, Box<EndReason>> {
        for _ in 0..WELCOME_TICKS {
            let client = &self.clients[player.0];
            if let Some(reason) = client.core.ended() {
                return Err(Box::new(reason));
            }
            let is_seen = |mirror: &Mirror| mirror.ack().is_some();
            if client.core.mirror().is_some_and(is_seen) {
                return Ok(player);
            }
            self.run(1);
        }
        let name = &self.clients[player.0].name;
        panic!("{name} was not welcomed within {WELCOME_TICKS} ticks");
    }

    fn issue_token(&mut self, name: &str, client_id: u64) -> ConnectToken {
        self.sessions_issued += 1;
        let name = PlayerName::new(name).unwrap_or_else(|| panic!("{name:?} is no valid name"));
        let session_number = self.sessions_issued;
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses: &[SERVER],
            expire_s: 30,
            timeout_s: SESSION_TIMEOUT_S,
            user_data: &SessionClaims { session_number, name }.to_user_data(),
            private_key: &self.private_key,
        };
        ConnectToken::generate(UNIX_S + self.now.as_secs(), &request, &mut self.entropy)
            .expect("one address is a token")
    }
}

/// Returns a client's app, and the settings of its sessions.
fn client_app<M>(game: impl Plugins<M>) -> (App, ClientConfig) {
    let mut app = App::new();
    app.add_plugins(game).add_plugins(MirrorPlugin);
    finish_plugins(&mut app);
    let config = ClientConfig::new(app.world().resource::<Protocol>());
    (app, config)
}
