//! The processing of a new frame: the commands of the simulations, and every client's snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use throng_shared::limits::{NETCODE_OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX};
use throng_shared::netcode::{SEAL_HEAD_BYTES, ServerNetcode, SessionId};
use throng_shared::prefetch::prefetch;
use throng_shared::protocol::hello::{HELLO_BYTES_MAX, Welcome};
use throng_shared::protocol::ids::{Channel, ChannelId, PlayerId};
use throng_shared::reliable::SendError;
use throng_shared::tick::Tick;

use super::commands::Command;
use super::fan_out::{ServeState, Served, Serving};
use super::{WorkerCore, send};
use crate::boundary::frame::{Frame, FrameHistory};
use crate::boundary::link::{Audience, LeaveReason, SessionKey, ToWorker};
use crate::net::transmit::Transmit;
use crate::replication::{ClientReplication, PacketSink, ReplicationScratch, ReplicationView};

/// Time for which a client may acknowledge no reliable message while packets of it arrive. Then its session ends with
/// `LeaveReason::Unacknowledged`.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// Number of sessions that are prefetched while one is served.
const AHEAD: usize = 3;

impl WorkerCore {
    /// Serves a new frame to all sessions: calls [`WorkerCore::serve`] until it is done.
    pub fn publish(&mut self, now: Duration, out: &mut impl Transmit) -> Option<Served> {
        loop {
            match self.serve(now, usize::MAX, out) {
                ServeState::Idle => return None,
                ServeState::Done(served) => return Some(served),
                ServeState::More => {}
            }
        }
    }

    /// Serves up to `sessions_max` more sessions, so that the caller can read its socket in between. Skips sessions
    /// that have never sent a payload. Takes the newest frame of each simulation when the previous one has been served
    /// to every session.
    pub fn serve(&mut self, now: Duration, sessions_max: usize, out: &mut impl Transmit) -> ServeState {
        let serving = match self.serving {
            Some(serving) => serving,
            None => {
                let fresh = self.take_frames(now);
                // After the frames are taken and before any is served: the frames that a due command refers to are
                // then in the histories.
                let complete = self.complete_tick();
                let due = self.commands.take(&mut self.links, complete);
                self.execute_commands(now, due, out);
                match fresh {
                    Some(serving) => serving,
                    None => return ServeState::Idle,
                }
            }
        };
        let mut coming = [None; AHEAD];
        let mut last = self.sessions.next_awake(serving.next);
        for session in &mut coming {
            *session = last;
            last = last.and_then(|index| self.sessions.next_awake(index + 1));
        }
        for _ in 0..sessions_max {
            let Some(index) = coming[0] else { break };
            coming.rotate_left(1);
            coming[AHEAD - 1] = last;
            last = last.and_then(|index| self.sessions.next_awake(index + 1));
            self.prefetch(&coming);
            self.serve_session(now, index, out);
        }
        if let Some(next) = coming[0] {
            self.serving = Some(Serving { next, ..serving });
            return ServeState::More;
        }
        self.serving = None;
        self.shared.stats.core.ticks.add(1);
        ServeState::Done(Served {
            tick: serving.tick,
            published_at: serving.published_at,
        })
    }

    /// Prefetches the memory of the next three sessions while another is served. For the last of the three, these
    /// are the objects that its index leads to. For the two before it, they are the objects to which those objects
    /// point.
    #[inline]
    fn prefetch(&self, [near, middle, far]: &[Option<usize>; AHEAD]) {
        let players = |index: usize| {
            let newest = self.histories.iter().filter_map(|history| history.newest());
            newest.filter_map(move |frame| frame.players.at(self.worker, index))
        };
        let replication = |index: usize| self.sessions.at(index)?.replication.as_ref();
        if let Some(index) = *far {
            self.netcode.prefetch_seal(index as u32);
            if let Some(session) = self.sessions.at(index) {
                prefetch(session);
            }
            players(index).for_each(prefetch);
        }
        if let Some(index) = *middle
            && let Some(replication) = replication(index)
        {
            replication.prefetch();
            if replication.may_scan() {
                let players = players(index).flatten();
                players.for_each(|player| prefetch(&*player.area));
            }
        }
        if let Some(index) = *near
            && replication(index).is_some_and(ClientReplication::may_scan)
        {
            players(index).flatten().for_each(|player| player.area.prefetch());
        }
    }

    /// Returns whether a frame waits for those of other simulations, so that [`WorkerCore::serve`] is due soon.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.fresh.is_waiting()
    }

    /// Returns the newest tick of any simulation, or `None` before the first frame.
    pub(super) fn newest_tick(&self) -> Option<Tick> {
        let newest = |tick: Tick, other: Tick| if other.is_after(tick) { other } else { tick };
        let frames = self.histories.iter().filter_map(|history| history.newest());
        frames.map(|frame| frame.tick).reduce(newest)
    }

    /// Returns the newest tick for which every simulation has sent its frame of that tick, or a later frame.
    fn complete_tick(&self) -> Option<Tick> {
        let mut newest = self.histories.iter().map(|history| Some(history.newest()?.tick));
        let first = newest.next()??;
        newest.try_fold(first, |least, tick| {
            tick.map(|tick| if least.is_after(tick) { tick } else { least })
        })
    }

    /// Moves the published frames into the histories. Every frame is kept as a baseline, and only the newest is
    /// served: a worker that is behind skips ticks instead of falling further behind.
    fn take_frames(&mut self, now: Duration) -> Option<Serving> {
        for (index, (link, history)) in self.links.iter_mut().zip(&mut self.histories).enumerate() {
            let mut frames = 0u64;
            while let Some(frame) = link.frame() {
                history.push(frame);
                frames += 1;
            }
            if frames > 0 {
                self.fresh.record_arrival(index, now);
                self.shared.stats.core.ticks_skipped.add(frames - 1);
            }
        }
        if !self.fresh.take(now) {
            return None;
        }
        let tick = self.newest_tick()?;
        let newest = self.histories.iter().filter_map(|history| history.newest());
        let published_at = newest.map(|frame| frame.published_at).max().unwrap_or_default();
        Some(Serving {
            next: 0,
            tick,
            published_at,
        })
    }

    /// Executes the commands of all simulations, also those whose frames have not arrived: none will follow.
    pub(super) fn execute_all_commands(&mut self, now: Duration, out: &mut impl Transmit) {
        for (link, history) in self.links.iter_mut().zip(&mut self.histories) {
            while let Some(frame) = link.frame() {
                history.push(frame);
            }
        }
        let complete = self.complete_tick();
        self.commands.take(&mut self.links, complete);
        let all = self.commands.list().len();
        self.execute_commands(now, all, out);
    }

    /// Executes the first `due` commands.
    fn execute_commands(&mut self, now: Duration, due: usize, out: &mut impl Transmit) {
        // Taken out and put back, so that its allocated memory is reused.
        let mut commands = std::mem::take(&mut self.commands);
        for Command { tick, link, value } in commands.list().drain(..due) {
            match value {
                ToWorker::Message { key, channel, bytes } => {
                    self.queue_message(now, key, channel, bytes, out);
                }
                ToWorker::Broadcast {
                    audience,
                    channel,
                    bytes,
                } => self.broadcast(now, (tick, link, audience), channel, &bytes, out),
                ToWorker::Disconnect { key, reason, text } => {
                    self.end_saying(now, key.session, (reason, text.as_deref()), out);
                }
                ToWorker::DisconnectMany { audience, reason } => {
                    let addressed = self.sessions_in_audience(tick, link, audience);
                    addressed
                        .iter()
                        .for_each(|&session| self.end(now, session, reason, out));
                    self.addressed = addressed;
                }
            }
        }
        self.commands = commands;
    }

    /// Queues a message for every session of this worker in the audience, sent by the simulation of a link in a tick.
    fn broadcast(
        &mut self,
        now: Duration,
        (tick, link, audience): (Tick, usize, Audience),
        channel: ChannelId,
        bytes: &bytes::Bytes,
        out: &mut impl Transmit,
    ) {
        let addressed = self.sessions_in_audience(tick, link, audience);
        for &session in &addressed {
            let worker = self.worker;
            self.queue_message(now, SessionKey { worker, session }, channel, bytes.clone(), out);
        }
        self.addressed = addressed;
    }

    /// Returns the sessions of this worker in an audience of the simulation of `link` in `tick`, each once. The list is
    /// `addressed`, taken out to reuse its memory. One simulation runs each player, and the row in that simulation's
    /// frame of `tick` counts; where that frame was skipped, the row in the newest frame counts. A player that was
    /// despawned in `tick` has its last row in the frame before.
    fn sessions_in_audience(&mut self, tick: Tick, link: usize, audience: Audience) -> Vec<SessionId> {
        let mut addressed = std::mem::take(&mut self.addressed);
        addressed.clear();
        let sender = (link, audience);
        addressed.extend(self.sessions.ids().filter(|&id| {
            let frames = self.histories.iter();
            let frames = frames.map(|history| history.at(tick).or_else(|| history.newest()));
            let before = self.histories.iter().map(|history| history.at(tick - 1));
            let is_included = judge_audience(frames, (self.worker, id), sender);
            is_included.or_else(|| judge_audience(before, (self.worker, id), sender)) == Some(true)
        }));
        addressed
    }

    /// Queues a message for one session, which is sent its messages within its bandwidth. Ends the session when its
    /// queue of reliable messages has no room.
    fn queue_message(
        &mut self,
        now: Duration,
        key: SessionKey,
        channel: ChannelId,
        bytes: bytes::Bytes,
        out: &mut impl Transmit,
    ) {
        let (Some(channel), Some(session)) = (Channel::from_id(channel), self.sessions.get_mut(key.session))
        else {
            return;
        };
        match session.reliable.send(channel, bytes) {
            Ok(()) => self.shared.stats.core.messages_out.add(1),
            Err(SendError::Full {
                channel: Channel::Unreliable,
                ..
            }) => {}
            Err(error @ SendError::Full { .. }) => {
                tracing::debug!(%error, ?key, "too many messages wait for a client");
                self.end(now, key.session, LeaveReason::Overflow, out);
            }
            Err(error) => tracing::error!(%error, ?key, "gameplay sent a message that cannot be sent"),
        }
    }

    /// Serves one session in one tick. A panic in it is a defect of ours and ends only this session.
    fn serve_session(&mut self, now: Duration, index: usize, out: &mut impl Transmit) {
        let Some(session) = self.sessions.at_mut(index) else {
            return;
        };
        let id = session.id;
        if session.reliable.has_messages() {
            self.recognize_stock_peer(now, id);
            self.forward_messages(id);
        }
        let served = catch_unwind(AssertUnwindSafe(|| self.send_to_session(now, index, out)));
        match served {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.end(now, id, reason, out),
            Err(_) => {
                self.scratch = ReplicationScratch::new(&self.replication, &self.shared.protocol);
                self.end(now, id, LeaveReason::Fault, out);
            }
        }
    }

    /// Sends a session its due packets: reliable messages, the welcome after its hello, and its snapshot. An error is the
    /// reason for which the session has to end.
    fn send_to_session(
        &mut self,
        now: Duration,
        index: usize,
        out: &mut impl Transmit,
    ) -> Result<(), LeaveReason> {
        let (netcode, histories) = (&mut self.netcode, &self.histories);
        let Some(session) = self.sessions.at_mut(index) else {
            return Ok(());
        };
        let id = session.id;
        let sent = self
            .reliable_pace
            .send(session, now, |packet| send(netcode, id, now, packet, out));
        let mut used_bytes = sent.map_err(|error| {
            tracing::debug!(%error, ?id, "reliable messages cannot continue");
            LeaveReason::Abuse
        })?;
        let heard_at = || netcode.received_at(id).unwrap_or(now);
        if session.reliable.unacknowledged_for(heard_at) >= UNACKNOWLEDGED_MAX {
            return Err(LeaveReason::Unacknowledged);
        }
        let Some(replication) = &mut session.replication else {
            return Ok(());
        };
        if session.welcome_due
            && let Some((tick, player)) = find_player(histories, self.worker, id)
        {
            let tick_rate_hz = self.replication.tick_rate;
            let mut packet = [0; HELLO_BYTES_MAX];
            let length = Welcome {
                tick,
                tick_rate_hz,
                player,
            }
            .write(&mut packet);
            send(netcode, id, now, &packet[..length], out);
            used_bytes += length + NETCODE_OVERHEAD_BYTES_MAX;
            // The client repeats its hello until the welcome arrives.
            session.welcome_due = false;
        }
        let view = ReplicationView {
            config: &self.replication,
            protocol: &self.shared.protocol,
            histories,
            worker: self.worker,
            session: id,
        };
        let mut sink = Sink {
            netcode,
            out,
            session: id,
            now,
        };
        replication.write(&mut self.scratch, &view, used_bytes, &mut sink);
        Ok(())
    }
}

/// Returns whether the audience of the simulation of `link` includes a session's player, by the frame of the one
/// simulation that runs the player. `frames` has one of each simulation. Returns `None` if no simulation runs it.
fn judge_audience<'a>(
    frames: impl Iterator<Item = Option<&'a Arc<Frame>>>,
    (worker, id): (u8, SessionId),
    (link, audience): (usize, Audience),
) -> Option<bool> {
    frames.enumerate().find_map(|(index, frame)| {
        let player = frame?.players.get(worker, id).filter(|player| player.is_local)?;
        Some((audience != Audience::Own || index == link) && audience.includes(player))
    })
}

/// Returns the player of a session in the newest frames, and the tick of the frame that contains it.
fn find_player(histories: &[FrameHistory], worker: u8, id: SessionId) -> Option<(Tick, PlayerId)> {
    histories.iter().find_map(|history| {
        let frame = history.newest()?;
        Some((frame.tick, frame.players.get(worker, id)?.player))
    })
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
        // This is the same buffer as in `begin`, because no datagram was committed in between.
        if let Ok(datagram) = self.netcode.seal(self.session, self.now, self.out.begin(), range) {
            self.out.commit(to, datagram);
        }
    }
}
