//! A net worker without its socket and its clock: it takes datagrams, frames and the time, and produces datagrams.
//!
//! Owns the sessions of one worker and all their state: keys, handshake, reliable messages and the snapshot stream.
//! Guarantees:
//! - this worker serves a session from its first packet to its last; each tick serves the sessions in the order of
//!   their indices;
//! - no packet of a client causes a panic or an allocation beyond the bounds of [`limits`](throng_shared::limits), or
//!   costs another session more than the time to process it; a panic from a defect of ours ends only the session
//!   that was being processed;
//! - a client that uses plain renet receives renet's packets only;
//! - in the steady state, serving a client in a tick allocates nothing.
//!
//! Never waits, except for a short lock when a session begins, proves itself and ends: full queues follow the rules in
//! [`link`](crate::boundary::link).

mod closing;
mod commands;
mod expected;
mod fan_out;
mod last_words;
mod payload;
mod reliable_pace;
mod serve;
mod session;
mod silent;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use throng_shared::netcode::{
    Entropy, Reply, SEAL_HEAD_BYTES, ServerNetcode, ServerNetcodeConfig, ServerReceived, SessionId,
};
use throng_shared::protocol::hello::{GOODBYE_BYTES_MAX, Goodbye};
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::kick_text::KickText;
use throng_shared::protocol::registry::Protocol;

use self::closing::{ClosingSession, goodbye_for};
use self::commands::Commands;
use self::expected::Expected;
use self::fan_out::FreshFrames;
pub(crate) use self::fan_out::ServeState;
use self::fan_out::Serving;
use self::session::WorkerSession;
use self::silent::SilentSessions;
use self::table::WorkerSessionTable;
use super::pace::PaceLimit;
use super::places::{PlaceError, Places};
use super::stats::WorkerStats;
use super::transmit::Transmit;
use crate::boundary::address_group::AddressGroup;
use crate::boundary::claims::SessionClaims;
use crate::boundary::directory::Directory;
use crate::boundary::frame::FrameHistory;
use crate::boundary::link::{LeaveReason, SessionKey, ToSimulation, WorkerLink};
use crate::observe::RefusedVersions;
use crate::replication::{ReplicationConfig, ReplicationScratch};
use reliable_pace::ReliablePace;

/// Copies of a goodbye that are sent. A goodbye is not acknowledged, so the copies guard against loss.
const GOODBYE_PACKETS: usize = 3;
/// Largest number of packets per second that a session may send besides its inputs: hellos, reliable messages and
/// acknowledgements. A stock renet client with 60 updates per second stays below it.
const OTHER_PACKETS_PER_SECOND: u32 = 256;

/// Settings of one worker's core.
pub struct WorkerCoreConfig {
    /// Index of the worker, in links, frames and the directory.
    pub worker: u8,
    /// Settings of the netcode transport.
    pub netcode: ServerNetcodeConfig,
    /// Settings of the snapshot stream, already validated.
    pub replication: ReplicationConfig,
    /// Seconds since 1970 at the origin of the times passed to the core. Tokens are dated and expire by the same origin
    /// and the time since it, whatever the system's clock says meanwhile.
    pub unix_origin_s: u64,
}

/// What a core shares with the rest of the process.
#[derive(Clone)]
pub struct WorkerShared {
    /// Registry of the replicated components and the inputs' validation.
    pub protocol: Arc<Protocol>,
    /// Routes from sessions to simulations.
    pub directory: Arc<Directory>,
    /// Statistics that the core updates.
    pub stats: Arc<WorkerStats>,
    /// The places of all clients across all workers.
    pub places: Arc<Places>,
}

/// What a received datagram contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedKind {
    /// An input packet that was accepted: its session is within its rate limit.
    Inputs,
    /// Any other payload of a session, or a refused input packet.
    Payload,
    /// No payload: a packet of the transport itself, or a dropped datagram.
    Transport,
}

/// The sessions of one worker. All times are since the process's origin and never decrease.
pub struct WorkerCore {
    worker: u8,
    unix_origin_s: u64,
    netcode: ServerNetcode,
    sessions: WorkerSessionTable,
    /// Sessions that have ended for the game. Each still has its place in netcode's table, which bounds them.
    closing: BTreeMap<SessionId, ClosingSession>,
    silent: SilentSessions,
    expected: Expected,
    links: Vec<WorkerLink>,
    /// Frame history of each link, in the order of `links`.
    histories: Vec<FrameHistory>,
    replication: ReplicationConfig,
    reliable_pace: ReliablePace,
    scratch: ReplicationScratch,
    fresh: FreshFrames,
    serving: Option<Serving>,
    commands: Commands,
    /// Sessions of the current command's audience; kept to reuse its memory.
    addressed: Vec<SessionId>,
    input_pace: PaceLimit,
    other_pace: PaceLimit,
    refused_versions: RefusedVersions,
    shared: WorkerShared,
}

impl WorkerCore {
    /// Creates a worker without sessions. `links` has at least one simulation; new sessions go to the first.
    #[must_use]
    pub fn new(
        config: WorkerCoreConfig,
        entropy: &mut Entropy,
        links: Vec<WorkerLink>,
        shared: WorkerShared,
    ) -> Self {
        let tick_rate = u32::from(config.replication.tick_rate.max(1));
        let links_count = links.len();
        Self {
            worker: config.worker,
            unix_origin_s: config.unix_origin_s,
            netcode: ServerNetcode::new(config.netcode, entropy),
            sessions: WorkerSessionTable::default(),
            closing: BTreeMap::new(),
            silent: SilentSessions::default(),
            expected: Expected::default(),
            histories: links.iter().map(|_| FrameHistory::default()).collect(),
            links,
            scratch: ReplicationScratch::new(&config.replication, &shared.protocol),
            reliable_pace: ReliablePace::new(&config.replication),
            replication: config.replication,
            fresh: FreshFrames::new(links_count, tick_rate),
            serving: None,
            commands: Commands::default(),
            addressed: Vec::new(),
            // Twice the rate of a client, and a burst for the packets that may pile up on the way in a second.
            input_pace: PaceLimit::new(2 * tick_rate, 2 * tick_rate),
            other_pace: PaceLimit::new(OTHER_PACKETS_PER_SECOND, OTHER_PACKETS_PER_SECOND),
            refused_versions: RefusedVersions::default(),
            shared,
        }
    }

    /// Prefetches the sessions of the next datagrams, whose senders are given in order. Only a hint.
    pub fn expect(&mut self, from: impl Iterator<Item = SocketAddr>) {
        self.expected.fill(from, &self.netcode, &self.sessions);
    }

    /// Processes a datagram and decrypts it in place. Replies, if any, go to `out`.
    pub fn receive_datagram(
        &mut self,
        now: Duration,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut impl Transmit,
    ) -> ReceivedKind {
        self.expected.advance(&self.netcode, &self.sessions);
        let mut reply = Reply::new();
        let unix_s = self.unix_origin_s + now.as_secs();
        let mut received = ReceivedKind::Transport;
        match self.netcode.receive(now, unix_s, from, datagram, &mut reply) {
            ServerReceived::Payload { session, payload, .. } => {
                received = self.receive_payload(now, session, payload, out);
            }
            ServerReceived::Connected {
                session,
                client_id,
                user_data,
                replaced,
            } => {
                let claims = SessionClaims::from_user_data(user_data);
                let address = AddressGroup::read(user_data);
                let number = claims.session_number;
                // Before the older session ends, so that the client keeps its place.
                let key = self.key(session);
                let claimed = self.shared.places.claim(client_id, number, address, key, now);
                if let Some(old) = replaced {
                    self.end(now, old, LeaveReason::Replaced, out);
                }
                self.begin(now, WorkerSession::new(session, client_id, claims), claimed, out);
            }
            ServerReceived::Disconnected { session } => self.remove_session(session, LeaveReason::Client),
            ServerReceived::Handshake | ServerReceived::KeepAlive | ServerReceived::Dropped(_) => {}
        }
        if !reply.is_empty() {
            out.copy(from, reply.as_slice());
        }
        received
    }

    /// Does the work that depends on time: keep-alives, time-outs and retries of values that found a full queue.
    pub fn update(&mut self, now: Duration, out: &mut impl Transmit) {
        // Time-outs are rare; an empty vector owns no memory.
        let mut gone = Vec::new();
        self.netcode
            .update(now, &mut |to, packet| out.copy(to, packet), &mut |session| {
                gone.push(session);
            });
        for session in gone {
            self.remove_session(session, LeaveReason::TimedOut);
        }
        for session in self.shared.places.take_evicted(self.worker) {
            self.end(now, session, LeaveReason::Replaced, out);
        }
        self.serve_closing(now, out);
        self.end_silent_sessions(now, out);
        for link in &mut self.links {
            link.flush();
            link.measure();
        }
    }

    /// Updates the shared statistics; meant to be called about once a second.
    pub fn measure(&self) {
        self.shared.stats.show_netcode(self.netcode.counters());
        self.shared.stats.show_replication(&self.scratch.counters());
    }

    /// Ends every session, because the server stops. Executes all commands of the simulations before. A client that has
    /// not acknowledged its last messages receives them first; see [`WorkerCore::is_closing`].
    pub fn shutdown(&mut self, now: Duration, out: &mut impl Transmit) {
        self.execute_all_commands(now, out);
        self.serving = None;
        let all: Vec<SessionId> = self.sessions.ids().collect();
        for id in all {
            self.end(now, id, LeaveReason::Shutdown, out);
        }
    }

    /// Returns the number of connected sessions.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.sessions.len() + self.closing.len()
    }

    /// Adds a session that netcode has connected. Ends it at once when it got no place or when the links do not admit new
    /// sessions.
    fn begin(
        &mut self,
        now: Duration,
        session: WorkerSession,
        claimed: Result<(), PlaceError>,
        out: &mut impl Transmit,
    ) {
        let id = session.id;
        self.shared.stats.load().sessions.fetch_add(1, Relaxed);
        self.sessions.insert(session);
        let admits = self.links.iter().all(WorkerLink::admits);
        match claimed {
            Ok(()) if admits => {
                if self.shared.places.hello_timeout().is_some() {
                    self.silent.insert(id);
                }
            }
            Err(PlaceError::Outdated) => self.end(now, id, LeaveReason::Replaced, out),
            Ok(()) | Err(PlaceError::Full | PlaceError::AddressFull) => {
                self.shared.stats.core.sessions_refused.add(1);
                self.end(now, id, LeaveReason::Overflow, out);
            }
        }
    }

    /// Ends a session from our side: sends a goodbye with the reason if the client knows our protocol, and closes the
    /// transport.
    fn end(&mut self, now: Duration, id: SessionId, reason: LeaveReason, out: &mut impl Transmit) {
        self.end_saying(now, id, (reason, None), out);
    }

    /// Ends a session like [`WorkerCore::end`], with a text of the game's own.
    fn end_saying(
        &mut self,
        now: Duration,
        id: SessionId,
        (reason, text): (LeaveReason, Option<&KickText>),
        out: &mut impl Transmit,
    ) {
        let goodbye = goodbye_for(reason, text);
        let Some(session) = self.sessions.get_mut(id) else {
            if !reason.has_last_words() {
                self.finish_closing_session(now, id, out);
            }
            return;
        };
        match goodbye {
            Some(goodbye) if reason.has_last_words() && !session.reliable.is_delivered() => {
                return self.close(now, id, reason, goodbye);
            }
            // A client that has sent no packet of our protocol receives none.
            Some(goodbye) if session.is_throng() => self.send_goodbye(now, id, &goodbye, out),
            _ => {}
        }
        self.netcode
            .disconnect(id, &mut |to, packet| out.copy(to, packet));
        self.remove_session(id, reason);
    }

    fn send_goodbye(&mut self, now: Duration, id: SessionId, goodbye: &Goodbye, out: &mut impl Transmit) {
        let mut packet = [0; GOODBYE_BYTES_MAX];
        let length = goodbye.write(&mut packet);
        for _ in 0..GOODBYE_PACKETS {
            send(&mut self.netcode, id, now, &packet[..length], out);
        }
    }

    /// Removes the state of a session that the transport no longer has, and announces its end to the simulation.
    fn remove_session(&mut self, id: SessionId, reason: LeaveReason) {
        match self.depart(id, reason) {
            Some(_) => drop(self.shared.stats.load().sessions.fetch_sub(1, Relaxed)),
            None => self.forget_closing(id),
        }
    }

    /// Removes a session from the table and announces its end to the simulation. Returns its state.
    fn depart(&mut self, id: SessionId, reason: LeaveReason) -> Option<Box<WorkerSession>> {
        let session = self.sessions.remove(id)?;
        let counts = &self.shared.stats.core;
        match reason {
            LeaveReason::Abuse => counts.sessions_abused.add(1),
            LeaveReason::Overflow => counts.sessions_overflowed.add(1),
            LeaveReason::Unacknowledged => counts.sessions_unacknowledged.add(1),
            LeaveReason::Fault => counts.sessions_faulted.add(1),
            _ => {}
        }
        let key = self.key(id);
        self.shared.places.release(session.client_id, key);
        if session.kind.is_some() {
            if let Some(link) = self.link_of(key) {
                link.announce(ToSimulation::Left { key, reason });
            }
            self.shared.directory.remove_session(key);
        }
        Some(session)
    }

    fn key(&self, session: SessionId) -> SessionKey {
        SessionKey {
            worker: self.worker,
            session,
        }
    }

    /// Returns the link to the simulation that serves a session.
    fn link_of(&mut self, key: SessionKey) -> Option<&mut WorkerLink> {
        let simulation = self.shared.directory.simulation_of(key)?;
        self.links.iter_mut().find(|link| link.simulation() == simulation)
    }

    /// Returns the simulation to which new sessions go.
    fn first_simulation(&self) -> Option<SimulationId> {
        self.links.first().map(WorkerLink::simulation)
    }
}

/// Seals one payload in the buffer from which it is sent. Does nothing for a session that has ended.
fn send(
    netcode: &mut ServerNetcode,
    session: SessionId,
    now: Duration,
    payload: &[u8],
    out: &mut impl Transmit,
) {
    let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
    let Some(to) = netcode.address(session) else {
        return;
    };
    let buffer = out.begin();
    buffer[range.clone()].copy_from_slice(payload);
    if let Ok(datagram) = netcode.seal(session, now, buffer, range) {
        out.commit(to, datagram);
    }
}
