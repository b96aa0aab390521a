//! What a session's payloads lead to: greetings, inputs with their acknowledgements, renet's packets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use throng_shared::netcode::SessionId;
use throng_shared::protocol::PayloadKind;
use throng_shared::protocol::hello::{Goodbye, Hello};
use throng_shared::protocol::input::InputPacket;
use throng_shared::tick::Tick;

use super::WorkerCore;
use crate::input::AHEAD_TICKS_MAX;
use crate::net::link::{LeaveReason, PeerKind, ToSimulation};
use crate::net::transmit::Transmit;

/// Why a payload ends its session.
enum Verdict {
    Abuse,
    ProtocolMismatch(Goodbye),
}

impl WorkerCore {
    /// Takes in one decrypted payload. A panic in here is a defect of ours and ends this session only.
    pub(super) fn payload(&mut self, now: Duration, id: SessionId, payload: &[u8], out: &mut impl Transmit) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take_payload(now, id, payload)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Verdict::Abuse)) => self.end(now, id, LeaveReason::Abuse, out),
            Ok(Err(Verdict::ProtocolMismatch(goodbye))) => {
                self.shared.stats.core.protocol_mismatches.add(1);
                self.say_goodbye(now, id, &goodbye, out);
                self.end(now, id, LeaveReason::Abuse, out);
            }
            Err(_) => self.end(now, id, LeaveReason::Fault, out),
        }
    }

    fn take_payload(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> Result<(), Verdict> {
        match PayloadKind::of(payload) {
            Some(PayloadKind::Input) => self.take_input(now, id, payload),
            Some(PayloadKind::Renet) => return self.take_renet(now, id, payload),
            Some(PayloadKind::Hello) => return self.take_hello(now, id, payload),
            Some(PayloadKind::Snapshot | PayloadKind::Goodbye) | None => {
                self.shared.stats.core.payloads_malformed.add(1);
            }
        }
        Ok(())
    }

    fn take_hello(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> Result<(), Verdict> {
        let Ok(hello) = Hello::read(payload) else {
            self.shared.stats.core.payloads_malformed.add(1);
            return Ok(());
        };
        let server = self.shared.protocol.version();
        if hello.version.hash != server.hash {
            let client = hello.version;
            return Err(Verdict::ProtocolMismatch(Goodbye::ProtocolMismatch {
                server,
                client,
            }));
        }
        self.announce(now, id, PeerKind::Throng);
        Ok(())
    }

    fn take_renet(&mut self, now: Duration, id: SessionId, payload: &[u8]) -> Result<(), Verdict> {
        self.announce(now, id, PeerKind::Renet);
        let Some(session) = self.session(id) else {
            return Ok(());
        };
        if let Err(error) = session.reliable.receive(payload) {
            tracing::debug!(%error, ?id, "reliable packet refused");
            return Err(Verdict::Abuse);
        }
        self.forward_messages(id);
        Ok(())
    }

    /// Hands received messages over for as long as the queue has room; the rest stays where it is.
    pub(super) fn forward_messages(&mut self, id: SessionId) {
        let key = self.key(id);
        let Some(source) = self.shared.directory.simulation_of(key) else {
            return;
        };
        let session = self
            .sessions
            .get_mut(id.index as usize)
            .and_then(Option::as_deref_mut);
        let link = self.links.iter_mut().find(|link| link.source() == source);
        let (Some(session), Some(link)) = (session.filter(|session| session.id == id), link) else {
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

    /// Tells the simulation of a session whose kind is now known. Later calls change nothing.
    fn announce(&mut self, now: Duration, id: SessionId, kind: PeerKind) {
        let key = self.key(id);
        let source = self.first_source();
        let Some(session) = self.session(id).filter(|session| session.kind.is_none()) else {
            return;
        };
        session.kind = Some(kind);
        let joined = ToSimulation::Joined {
            key,
            client_id: session.client_id,
            name: session.claims.name,
            kind,
            at: now,
        };
        if let Some(source) = source {
            self.shared.directory.place_session(key, source);
        }
        if let Some(link) = self.link_of(key) {
            link.announce(joined);
        }
    }

    fn take_input(&mut self, now: Duration, id: SessionId, payload: &[u8]) {
        let Ok(packet) = InputPacket::read(payload) else {
            self.shared.stats.core.payloads_malformed.add(1);
            return;
        };
        let Some(session) = self
            .session(id)
            .filter(|session| session.kind == Some(PeerKind::Throng))
        else {
            self.shared.stats.core.payloads_malformed.add(1);
            return;
        };
        if !session.admit_input() {
            self.shared.stats.core.input_packets_limited.add(1);
            return;
        }
        if let Some(ack) = packet.ack {
            session.replication.acknowledge(ack);
        }
        self.shared.stats.core.input_packets.add(1);
        self.forward_inputs(now, id, &packet);
    }

    /// Hands over each tick's input once, oldest first, however often the client repeats it.
    fn forward_inputs(&mut self, now: Duration, id: SessionId, packet: &InputPacket) {
        let key = self.key(id);
        let newest_frame = self.newest_tick().unwrap_or(Tick(0));
        let newest = Tick::unwrap_near(packet.newest_tick, newest_frame);
        let view_tick_256 = packet.view.map(|view| {
            let (tick, fraction) = view.unwrap_near(newest_frame);
            tick.0 << 8 | u32::from(fraction)
        });
        for (age, input) in packet.inputs.as_slice().iter().enumerate().rev() {
            let tick = newest - age as u32;
            let Some(session) = self.session(id) else { return };
            if session.newest_input.is_some_and(|newest| !tick.is_after(newest)) {
                continue;
            }
            // A clock that is wrong must not shut out the inputs that it sends once it is right.
            if !tick.is_after(newest_frame + AHEAD_TICKS_MAX) {
                session.newest_input = Some(tick);
            }
            if self.shared.protocol.validate_input(input.as_slice()).is_err() {
                self.shared.stats.core.inputs_invalid.add(1);
                continue;
            }
            let value = ToSimulation::Input {
                key,
                tick,
                view_tick_256,
                arrived_at: now,
                bytes: *input,
            };
            if self.link_of(key).is_some_and(|link| link.input(value)) {
                self.shared.stats.core.inputs_forwarded.add(1);
            }
        }
    }
}
