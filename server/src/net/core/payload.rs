//! The processing of a session's payloads: hellos, inputs with their acknowledgements, probes, and renet's packets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use throng_shared::netcode::SessionId;
use throng_shared::protocol::hello::{Goodbye, Hello};
use throng_shared::protocol::input::{InputPacket, Restarts};
use throng_shared::protocol::version::ProtocolVersion;
use throng_shared::protocol::{PROBE_PACKET, PayloadKind};
use throng_shared::tick::Tick;

use super::session::InputOrder;
use super::{ReceivedKind, WorkerCore, send};
use crate::boundary::link::{LeaveReason, PeerKind, ToSimulation};
use crate::net::transmit::Transmit;
use crate::replication::ClientReplication;

/// A session that sends reliable packets and no hello for this time is a stock renet client. Our client sends its hello
/// first and repeats it ten times in this time, but packets may overtake each other.
const HELLO_GRACE: Duration = Duration::from_secs(1);

/// Why a payload ends its session.
enum PayloadRefusal {
    Abuse,
    ProtocolMismatch { client: ProtocolVersion },
}

impl WorkerCore {
    /// Processes one decrypted payload of a session. A panic in it is a defect of ours and ends only this session.
    pub(super) fn receive_payload(
        &mut self,
        now: Duration,
        id: SessionId,
        payload: &[u8],
        out: &mut impl Transmit,
    ) -> ReceivedKind {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take_payload(now, id, payload, out)));
        match outcome {
            Ok(Ok(received)) => return received,
            Ok(Err(PayloadRefusal::Abuse)) => self.end(now, id, LeaveReason::Abuse, out),
            Ok(Err(PayloadRefusal::ProtocolMismatch { client })) => {
                self.shared.stats.core.protocol_mismatches.add(1);
                let server = self.shared.protocol.version();
                if self.refused_versions.is_new(&client.to_string()) {
                    tracing::warn!(%client, %server, "refused a client that speaks another protocol");
                }
                let goodbye = Goodbye::ProtocolMismatch { server, client };
                self.send_goodbye(now, id, &goodbye, out);
                self.end(now, id, LeaveReason::Abuse, out);
            }
            Err(_) => self.end(now, id, LeaveReason::Fault, out),
        }
        ReceivedKind::Payload
    }

    fn take_payload(
        &mut self,
        now: Duration,
        id: SessionId,
        payload: &[u8],
        out: &mut impl Transmit,
    ) -> Result<ReceivedKind, PayloadRefusal> {
        self.sessions.wake(id);
        let kind = PayloadKind::of(payload);
        if kind == Some(PayloadKind::Input) {
            return Ok(self.take_input(now, id, payload));
        }
        let other_pace = self.other_pace;
        let Some(session) = self.sessions.get_mut(id) else {
            self.take_closing_payload(now, id, payload);
            return Ok(ReceivedKind::Payload);
        };
        if !session.other_pace.admits(now, &other_pace) {
            self.shared.stats.core.other_packets_limited.add(1);
            return Ok(ReceivedKind::Payload);
        }
        match kind {
            Some(PayloadKind::Renet) => self.take_renet(now, id, payload)?,
            Some(PayloadKind::Hello) => self.take_hello(now, id, payload)?,
            Some(PayloadKind::Probe) if session.is_throng() && payload == PROBE_PACKET => {
                self.shared.stats.core.probes.add(1);
                // At once, and not with the next tick: a simulation that is late is not a server that is gone.
                send(&mut self.netcode, id, now, &PROBE_PACKET, out);
            }
            _ => self.shared.stats.core.payloads_malformed.add(1),
        }
        Ok(ReceivedKind::Payload)
    }

    fn take_hello(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> Result<(), PayloadRefusal> {
        let Ok(hello) = Hello::read(payload) else {
            self.shared.stats.core.payloads_malformed.add(1);
            return Ok(());
        };
        let client = hello.version;
        if client.hash != self.shared.protocol.version().hash {
            return Err(PayloadRefusal::ProtocolMismatch { client });
        }
        self.announce(now, id, PeerKind::Throng);
        let config = self.replication;
        let Some(session) = self.sessions.get_mut(id) else {
            return Ok(());
        };
        if !session.is_throng() {
            // The session was already announced to the simulation as a stock renet client. It may reconnect.
            return Err(PayloadRefusal::Abuse);
        }
        session
            .replication
            .get_or_insert_with(|| ClientReplication::new(&config));
        session.welcome_due = true;
        self.forward_messages(id);
        Ok(())
    }

    fn take_renet(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> Result<(), PayloadRefusal> {
        let Some(session) = self.sessions.get_mut(id) else {
            return Ok(());
        };
        if let Err(error) = session.reliable.receive(payload) {
            tracing::debug!(%error, ?id, "reliable packet refused");
            return Err(PayloadRefusal::Abuse);
        }
        session.reliable_since.get_or_insert(now);
        // Before the session is announced, this leaves the messages in their channels.
        self.forward_messages(id);
        Ok(())
    }

    /// Announces a session as a stock renet client once it has sent reliable packets for [`HELLO_GRACE`] without a
    /// hello.
    pub(super) fn recognize_stock_peer(&mut self, now: Duration, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let is_stock = session.kind.is_none()
            && session
                .reliable_since
                .is_some_and(|since| now >= since + HELLO_GRACE);
        if is_stock {
            self.announce(now, id, PeerKind::Renet);
            self.forward_messages(id);
        }
    }

    /// Ends the sessions whose time for a hello is over.
    pub(super) fn end_silent_sessions(&mut self, now: Duration, out: &mut impl Transmit) {
        self.silent.advance(now);
        let Some(timeout) = self.shared.places.hello_timeout() else {
            return;
        };
        while let Some(id) = self.silent.pop_due(timeout) {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            if session.kind.is_some() {
                continue;
            }
            // A plain renet client is recognized a little later than it sends its first message.
            if session.reliable.has_messages() {
                self.silent.insert(id);
                continue;
            }
            self.shared.stats.core.sessions_silent.add(1);
            self.end(now, id, LeaveReason::TimedOut, out);
        }
    }

    /// Forwards received messages to the simulation while the queue has room. The rest stays in the channels.
    pub(super) fn forward_messages(&mut self, id: SessionId) {
        let key = self.key(id);
        let Some(simulation) = self.shared.directory.simulation_of(key) else {
            return;
        };
        let session = self.sessions.get_mut(id);
        let link = self.links.iter_mut().find(|link| link.simulation() == simulation);
        let (Some(session), Some(link)) = (session, link) else {
            return;
        };
        while session.reliable.has_messages() && link.has_room() {
            let Some((channel, bytes)) = session.reliable.pop() else {
                break;
            };
            if link.message(key, channel.id(), bytes) {
                self.shared.stats.core.messages_in.add(1);
            }
        }
    }

    /// Announces a session, whose kind is now known, to the simulation. Later calls do nothing.
    fn announce(&mut self, now: Duration, id: SessionId, kind: PeerKind) {
        let key = self.key(id);
        let simulation = self.first_simulation();
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.kind.is_none()) else {
            return;
        };
        session.kind = Some(kind);
        let client_id = session.client_id;
        let joined = ToSimulation::Joined {
            key,
            client_id,
            number: session.claims.session_number,
            name: session.claims.name,
            kind,
            at: now,
        };
        self.shared.places.prove(client_id, key);
        if let Some(simulation) = simulation {
            self.shared.directory.place_session(key, simulation);
        }
        if let Some(link) = self.link_of(key) {
            link.announce(joined);
        }
    }

    fn take_input(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> ReceivedKind {
        let Ok(packet) = InputPacket::read(payload) else {
            self.shared.stats.core.payloads_malformed.add(1);
            return ReceivedKind::Payload;
        };
        let input_pace = self.input_pace;
        let Some((pace, replication)) = self.sessions.get_mut(id).and_then(|session| {
            let replication = session.replication.as_mut()?;
            Some((&mut session.input_pace, replication))
        }) else {
            // The client has sent inputs without a hello, or does not know yet that its session has ended.
            if !self.is_session_closing(id) {
                self.shared.stats.core.payloads_malformed.add(1);
            }
            return ReceivedKind::Payload;
        };
        if !pace.admits(now, &input_pace) {
            self.shared.stats.core.input_packets_limited.add(1);
            return ReceivedKind::Payload;
        }
        if let Some(ack) = packet.ack {
            replication.acknowledge(ack);
        }
        self.shared.stats.core.input_packets.add(1);
        self.forward_inputs(now, id, &packet);
        ReceivedKind::Inputs
    }

    /// Announces a backward jump of the client's clock of inputs to the simulation. Returns whether the inputs of a
    /// packet with this count of jumps may be forwarded.
    fn follow_restarts(&mut self, id: SessionId, restarts: Restarts) -> bool {
        let key = self.key(id);
        let order = self
            .sessions
            .get_mut(id)
            .map(|session| session.inputs.order(restarts));
        match order {
            Some(InputOrder::Continued) => return true,
            Some(InputOrder::Restarted) => {}
            Some(InputOrder::Outdated) | None => return false,
        }
        // Where the queue is full, the next packet tries again.
        let link = self.link_of(key);
        if !link.is_some_and(|link| link.input(ToSimulation::InputsRestarted { key })) {
            return false;
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.inputs.restart(restarts);
        }
        true
    }

    /// Forwards the input of each tick once, oldest first, even when the client repeats it.
    fn forward_inputs(&mut self, now: Duration, id: SessionId, packet: &InputPacket) {
        let key = self.key(id);
        let newest_frame = self.newest_tick().unwrap_or(Tick(0));
        let newest = Tick::unwrap_near(packet.newest_tick, newest_frame);
        if !self.follow_restarts(id, packet.restarts) {
            return;
        }
        for (age, input) in packet.inputs.as_slice().iter().enumerate().rev() {
            let tick = newest - age as u32;
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            if !session.inputs.admit(tick, newest_frame) {
                continue;
            }
            if self.shared.protocol.validate_input(input.as_slice()).is_err() {
                self.shared.stats.core.inputs_invalid.add(1);
                continue;
            }
            let value = ToSimulation::Input {
                key,
                tick,
                // The packet names the moment that the client showed with its newest input. With each older input it
                // showed the moment one tick earlier.
                view: packet.view.map(|view| view.before(age as u32)),
                arrived_at: now,
                bytes: *input,
            };
            if self.link_of(key).is_some_and(|link| link.input(value)) {
                self.shared.stats.core.inputs_forwarded.add(1);
            }
        }
    }
}
