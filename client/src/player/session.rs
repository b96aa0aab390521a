//! A session's core with its socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use throng_shared::netcode::ConnectToken;
use throng_shared::protocol::input::InputBytes;
use throng_shared::tick::Tick;

use super::events::PlayerEvent;
use crate::connection::{ClientConfig, ClientCore};
use crate::link::{LinkConditions, SimulatedSocket, Traffic};
use crate::mirror::MirrorObserver;

/// Datagrams received in one poll at most; the others wait for the next. At two frames a second a poll finds some 60.
const DATAGRAMS_PER_POLL: usize = 256;

/// One session over UDP.
pub(super) struct ActiveSession {
    socket: SimulatedSocket,
    pub(super) core: ClientCore,
    /// The server's release, as `0.2.0`.
    pub(super) server_version: String,
}

impl ActiveSession {
    /// Opens a socket for the session that `token` opens.
    pub(super) fn open(
        now: Duration,
        token: &ConnectToken,
        server_version: String,
        config: ClientConfig,
        (conditions, seed): (LinkConditions, u64),
    ) -> io::Result<Self> {
        let core = ClientCore::new(now, token, config);
        let socket = SimulatedSocket::connect(core.server_address(), conditions, seed)?;
        Ok(Self {
            socket,
            core,
            server_version,
        })
    }

    /// Returns the address that the socket is connected to.
    pub(super) fn server(&self) -> SocketAddr {
        self.socket.server()
    }

    pub(super) fn set_conditions(&mut self, conditions: LinkConditions) {
        self.socket.set_conditions(conditions);
    }

    /// Sends the delayed datagrams that are due, and returns whether one has arrived.
    pub(super) fn has_work(&mut self, now: Duration) -> bool {
        self.socket.has_work(now)
    }

    pub(super) fn take_traffic(&mut self) -> Traffic {
        self.socket.take_traffic()
    }

    /// Receives what has arrived and sends what is due.
    pub(super) fn pump(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) -> io::Result<()> {
        self.receive(now, observer, events, |_| false)?;
        self.send(now, input, events)
    }

    /// Receives and sends like [`ActiveSession::pump`] until the server welcomes the client, and nothing after it: an
    /// observer has to see the first snapshot.
    pub(super) fn pump_until_welcome(
        &mut self,
        now: Duration,
        events: &mut Vec<PlayerEvent>,
    ) -> io::Result<()> {
        let is_welcomed = |core: &ClientCore| core.player().is_some();
        self.receive(now, &mut (), events, is_welcomed)?;
        if is_welcomed(&self.core) {
            return Ok(());
        }
        self.send(now, &mut |_| InputBytes::default(), events)
    }

    /// Ends the session and notifies the server.
    pub(super) fn disconnect(mut self, now: Duration) {
        self.socket.set_conditions(LinkConditions::PERFECT);
        let Self { socket, core, .. } = &mut self;
        // Disconnect packets are redundant: a lost one does no harm.
        core.disconnect(|datagram| drop(socket.send(now, datagram)));
    }

    fn receive(
        &mut self,
        now: Duration,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
        is_done: impl Fn(&ClientCore) -> bool,
    ) -> io::Result<()> {
        for _ in 0..DATAGRAMS_PER_POLL {
            if is_done(&self.core) {
                break;
            }
            let Some(datagram) = self.socket.receive_datagram(now)? else {
                break;
            };
            let event = self.core.receive_datagram(now, datagram, observer);
            events.extend(event.map(PlayerEvent::Session));
        }
        Ok(())
    }

    fn send(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        events: &mut Vec<PlayerEvent>,
    ) -> io::Result<()> {
        let Self { socket, core, .. } = self;
        if socket.take_refusal() {
            core.refused(now);
        }
        let mut sent = Ok(());
        let event = core.update(now, input, |datagram| {
            if sent.is_ok() {
                sent = socket.send(now, datagram);
            }
        });
        events.extend(event.map(PlayerEvent::Session));
        // The core has moved on to the token's next server because the earlier one did not respond.
        if core.ended().is_none() && core.server_address() != socket.server() {
            socket.connect_to(core.server_address())?;
        }
        sent
    }
}
