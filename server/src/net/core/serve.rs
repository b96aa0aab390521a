//! What a new frame leads to: the simulation's messages, and every client's snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use throng_shared::limits::{NETCODE_OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use throng_shared::netcode::{SEAL_HEAD_BYTES, ServerNetcode, SessionId};
use throng_shared::protocol::hello::{HELLO_BYTES_MAX, Welcome};
use throng_shared::protocol::ids::{Channel, ChannelId, PlayerId};
use throng_shared::reliable::{Reliable, SendError};
use throng_shared::tick::Tick;

use super::{WorkerCore, send};
use crate::net::link::{LeaveReason, PeerKind, SessionKey, ToWorker};
use crate::net::transmit::Transmit;
use crate::replication::{PacketSink, ReplicationScratch, ReplicationView, Written};

/// Commands of a simulation that are carried out before its frame is served; the rest waits for the next.
const COMMANDS_MAX: usize = 65_536;
/// Bytes of reliable messages to one client in one tick. With the default budget of 24 KB/s, a flood of
/// messages halves the snapshots and never stops them.
const RELIABLE_BYTES_PER_TICK: usize = 600;

/// A tick under way: which sessions have had theirs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    /// Index of the next session.
    next: usize,
    tick: Tick,
    published_at: Duration,
}

/// A tick that every session has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The tick.
    pub tick: Tick,
    /// When its frame was published, since the process's origin.
    pub published_at: Duration,
}

/// How far [`WorkerCore::serve`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeState {
    /// There is no new frame.
    Idle,
    /// Sessions are left; call again.
    More,
    /// The last session has just been served.
    Done(Served),
}

impl WorkerCore {
    /// Serves a new frame to all sessions: [`WorkerCore::serve`] until it is done.
    pub fn publish(&mut self, now: Duration, out: &mut impl Transmit) -> Option<Served> {
        loop {
            match self.serve(now, usize::MAX, out) {
                ServeState::Idle => return None,
                ServeState::Done(served) => return Some(served),
                ServeState::More => {}
            }
        }
    }

    /// Serves up to `sessions_max` more sessions, so that the caller can read its socket in between. Takes
    /// the newest frame of each simulation when the frame before it has been served to everybody.
    pub fn serve(&mut self, now: Duration, sessions_max: usize, out: &mut impl Transmit) -> ServeState {
        let serving = match self.serving {
            Some(serving) => serving,
            None => {
                self.carry_out_commands(now, out);
                match self.take_frames() {
                    Some(serving) => serving,
                    None => return ServeState::Idle,
                }
            }
        };
        let end = serving.next.saturating_add(sessions_max).min(self.sessions.len());
        for index in serving.next..end {
            self.serve_session(now, index, out);
        }
        if end < self.sessions.len() {
            self.serving = Some(Serving { next: end, ..serving });
            return ServeState::More;
        }
        self.serving = None;
        self.shared.stats.core.ticks.add(1);
        ServeState::Done(Served {
            tick: serving.tick,
            published_at: serving.published_at,
        })
    }

    /// The newest tick of any simulation.
    pub(super) fn newest_tick(&self) -> Option<Tick> {
        let newest = |tick: Tick, other: Tick| if other.is_after(tick) { other } else { tick };
        let frames = self.histories.iter().filter_map(|history| history.newest());
        frames.map(|frame| frame.tick).reduce(newest)
    }

    /// Moves what the simulations published into the histories. Every frame is kept as a baseline; only the
    /// newest is served, so a worker that is behind skips ticks instead of falling back further.
    fn take_frames(&mut self) -> Option<Serving> {
        let mut taken = 0;
        for (link, history) in self.links.iter_mut().zip(&mut self.histories) {
            let mut frames = 0u64;
            while let Some(frame) = link.frame() {
                history.push(frame);
                frames += 1;
            }
            taken = taken.max(frames);
        }
        self.shared.stats.core.ticks_skipped.add(taken.saturating_sub(1));
        let tick = self.newest_tick().filter(|_| taken > 0)?;
        let newest = self.histories.iter().filter_map(|history| history.newest());
        let published_at = newest.map(|frame| frame.published_at).max().unwrap_or_default();
        Some(Serving {
            next: 0,
            tick,
            published_at,
        })
    }

    fn carry_out_commands(&mut self, now: Duration, out: &mut impl Transmit) {
        for link in 0..self.links.len() {
            for _ in 0..COMMANDS_MAX {
                match self.links[link].pop() {
                    Some(ToWorker::Message { key, channel, bytes }) => {
                        self.queue_message(now, key, channel, bytes, out);
                    }
                    Some(ToWorker::Disconnect { key, reason }) => self.end(now, key.session, reason, out),
                    None => break,
                }
            }
        }
    }

    fn queue_message(
        &mut self,
        now: Duration,
        key: SessionKey,
        channel: ChannelId,
        bytes: bytes::Bytes,
        out: &mut impl Transmit,
    ) {
        let (Some(channel), Some(session)) = (Channel::from_id(channel), self.session(key.session)) else {
            return;
        };
        match session.reliable.send(channel, bytes) {
            Ok(()) => self.shared.stats.core.messages_out.add(1),
            Err(SendError::Full(Channel::Unreliable)) => {}
            Err(SendError::Full(_)) => self.end(now, key.session, LeaveReason::Overflow, out),
            Err(error) => tracing::error!(%error, ?key, "gameplay sent a message that cannot be sent"),
        }
    }

    /// One client-tick. A panic in here is a defect of ours and ends this session only.
    fn serve_session(&mut self, now: Duration, index: usize, out: &mut impl Transmit) {
        let Some(session) = self.sessions[index].as_deref_mut() else {
            return;
        };
        session.renew_allowance();
        let (id, kind, has_messages) = (session.id, session.kind, session.reliable.has_messages());
        if has_messages {
            self.forward_messages(id);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let refused = self.send_reliable(now, index, id, out);
            if !refused && kind == Some(PeerKind::Throng) {
                self.send_snapshot(now, index, id, out);
            }
            refused
        }));
        match outcome {
            Ok(false) => {}
            Ok(true) => self.end(now, id, LeaveReason::Abuse, out),
            Err(_) => {
                self.scratch = ReplicationScratch::new(&self.replication, &self.shared.protocol);
                self.end(now, id, LeaveReason::Fault, out);
            }
        }
    }

    /// Sends what is due of the reliable messages; `true` when the session must end.
    fn send_reliable(&mut self, now: Duration, index: usize, id: SessionId, out: &mut impl Transmit) -> bool {
        let Some(session) = self.sessions[index].as_deref_mut() else {
            return false;
        };
        let Self { netcode, .. } = self;
        let used_bytes = &mut session.used_bytes;
        let emit = |packet: &[u8]| {
            *used_bytes += packet.len() + NETCODE_OVERHEAD_BYTES_MAX;
            send(netcode, id, now, packet, out);
        };
        Reliable::poll(&mut session.reliable, now, RELIABLE_BYTES_PER_TICK, emit).is_err()
    }

    fn send_snapshot(&mut self, now: Duration, index: usize, id: SessionId, out: &mut impl Transmit) {
        let worker = self.worker;
        let player = self
            .histories
            .iter()
            .find_map(|history| history.newest()?.players.get(worker, id));
        let (Some(player), Some(session)) = (player, self.sessions[index].as_deref_mut()) else {
            return;
        };
        if !session.replication.is_acknowledged() {
            let tick_rate_hz = self.replication.tick_rate;
            session.used_bytes += welcome(
                &mut self.netcode,
                id,
                now,
                player.player,
                &self.histories,
                tick_rate_hz,
                out,
            );
        }
        let view = ReplicationView {
            config: &self.replication,
            protocol: &self.shared.protocol,
            histories: &self.histories,
            worker,
            session: id,
        };
        let mut sink = Sink {
            netcode: &mut self.netcode,
            out,
            session: id,
            now,
        };
        let used_bytes = std::mem::take(&mut session.used_bytes);
        let written = session
            .replication
            .write(&mut self.scratch, &view, used_bytes, &mut sink);
        self.count(&written);
    }

    fn count(&self, written: &Written) {
        let counts = &self.shared.stats.core;
        counts.snapshot_packets.add(u64::from(written.packets));
        counts.snapshot_bytes.add(written.bytes as u64);
        counts
            .entities_sent
            .add(u64::from(written.updates + written.entered));
        counts.entities_deferred.add(u64::from(written.deferred));
        counts.absolutes.add(u64::from(written.absolutes));
    }
}

/// Answers a hello until the client acknowledges a snapshot; returns the bytes sent.
fn welcome(
    netcode: &mut ServerNetcode,
    id: SessionId,
    now: Duration,
    player: PlayerId,
    histories: &[crate::frame::FrameHistory],
    tick_rate_hz: u16,
    out: &mut impl Transmit,
) -> usize {
    let Some(frame) = histories.iter().find_map(|history| history.newest()) else {
        return 0;
    };
    let welcome = Welcome {
        tick: frame.tick,
        tick_rate_hz,
        player,
    };
    let mut packet = [0; HELLO_BYTES_MAX];
    let length = welcome.write(&mut packet);
    send(netcode, id, now, &packet[..length], out);
    length + NETCODE_OVERHEAD_BYTES_MAX
}

/// Seals snapshot packets in the buffers from which they are sent.
struct Sink<'a, T: Transmit> {
    netcode: &'a mut ServerNetcode,
    out: &'a mut T,
    session: SessionId,
    now: Duration,
}

impl<T: Transmit> PacketSink for Sink<'_, T> {
    fn begin(&mut self) -> Option<&mut [u8]> {
        self.out
            .begin()
            .get_mut(SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + PAYLOAD_BYTES_MAX)
    }

    fn commit(&mut self, len: usize) {
        let Some(to) = self.netcode.address(self.session) else {
            return;
        };
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + len;
        // The same buffer as in `begin`: nothing was committed since.
        if let Ok(datagram) = self.netcode.seal(self.session, self.now, self.out.begin(), range) {
            self.out.commit(to, datagram);
        }
    }
}
