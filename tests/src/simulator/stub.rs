//! Stand-in for the worker's core until it is there.
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use throng_server::frame::FrameHistory;
use throng_server::net::claims::SessionClaims;
use throng_server::net::link::*;
use throng_server::net::transmit::Transmit;
use throng_server::replication::*;
use throng_shared::limits::*;
use throng_shared::netcode::*;
use throng_shared::protocol::PayloadKind;
use throng_shared::protocol::hello::*;
use throng_shared::protocol::ids::*;
use throng_shared::protocol::input::*;
use throng_shared::protocol::registry::Protocol;
use throng_shared::reliable::Reliable;
use throng_shared::tick::Tick;

struct Session {
    client_id: u64,
    claims: SessionClaims,
    announced: bool,
    throng: bool,
    replication: ClientReplication,
    reliable: Reliable,
    newest_input: Option<Tick>,
}
pub struct WorkerCore {
    worker: u8,
    netcode: ServerNetcode,
    link: WorkerLink,
    protocol: Arc<Protocol>,
    config: ReplicationConfig,
    scratch: ReplicationScratch,
    histories: [FrameHistory; 1],
    sessions: BTreeMap<SessionId, Session>,
    unix_s: u64,
}
struct Sink<'a, T: Transmit> {
    netcode: &'a mut ServerNetcode,
    tx: &'a mut T,
    session: SessionId,
    now: Duration,
}
impl<T: Transmit> PacketSink for Sink<'_, T> {
    fn begin(&mut self) -> Option<&mut [u8]> {
        Some(
            &mut self.tx.begin()[SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + throng_shared::limits::PAYLOAD_BYTES_MAX],
        )
    }
    fn commit(&mut self, len: usize) {
        let to = self.netcode.address(self.session).unwrap();
        let r = self
            .netcode
            .seal(
                self.session,
                self.now,
                self.tx.begin(),
                SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + len,
            )
            .unwrap();
        self.tx.commit(to, r);
    }
}
fn send<T: Transmit>(
    netcode: &mut ServerNetcode,
    tx: &mut T,
    session: SessionId,
    now: Duration,
    payload: &[u8],
) {
    let Some(to) = netcode.address(session) else {
        return;
    };
    let buf = tx.begin();
    buf[SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len()].copy_from_slice(payload);
    if let Ok(r) = netcode.seal(
        session,
        now,
        buf,
        SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len(),
    ) {
        tx.commit(to, r);
    }
}
impl WorkerCore {
    pub fn new(
        worker: u8,
        config: ServerNetcodeConfig,
        entropy: &mut Entropy,
        link: WorkerLink,
        protocol: Arc<Protocol>,
        replication: ReplicationConfig,
        unix_s: u64,
    ) -> Self {
        Self {
            worker,
            netcode: ServerNetcode::new(config, entropy),
            link,
            scratch: ReplicationScratch::new(&replication, &protocol),
            protocol,
            config: replication,
            histories: Default::default(),
            sessions: BTreeMap::new(),
            unix_s,
        }
    }
    fn key(&self, session: SessionId) -> SessionKey {
        SessionKey {
            worker: self.worker,
            session,
        }
    }
    pub fn receive<T: Transmit>(&mut self, now: Duration, from: SocketAddr, datagram: &mut [u8], tx: &mut T) {
        let mut reply = Reply::new();
        match self
            .netcode
            .receive(now, self.unix_s + now.as_secs(), from, datagram, &mut reply)
        {
            ServerReceived::Connected {
                session,
                client_id,
                user_data,
                replaced,
            } => {
                let claims = SessionClaims::from_user_data(user_data);
                if let Some(old) = replaced {
                    let mut b = [0; HELLO_BYTES_MAX];
                    let n = Goodbye::Replaced.write(&mut b);
                    send(&mut self.netcode, tx, old, now, &b[..n]);
                    self.netcode.disconnect(old, &mut |to, d| tx.copy(to, d));
                    self.drop_session(old, LeaveReason::Replaced);
                }
                self.sessions.insert(
                    session,
                    Session {
                        client_id,
                        claims,
                        announced: false,
                        throng: false,
                        replication: ClientReplication::new(&self.config),
                        reliable: Reliable::new(),
                        newest_input: None,
                    },
                );
            }
            ServerReceived::Payload { session, payload, .. } => {
                let p = payload.to_vec();
                self.payload(now, session, &p, tx);
            }
            ServerReceived::Disconnected { session } => self.drop_session(session, LeaveReason::Client),
            _ => {}
        }
        if !reply.is_empty() {
            tx.copy(from, reply.as_slice());
        }
    }
    fn drop_session(&mut self, session: SessionId, reason: LeaveReason) {
        if let Some(s) = self.sessions.remove(&session)
            && s.announced
        {
            let key = self.key(session);
            self.link.announce(ToSimulation::Left { key, reason });
        }
    }
    fn announce(&mut self, now: Duration, session: SessionId, kind: PeerKind) {
        let key = self.key(session);
        let s = self.sessions.get_mut(&session).unwrap();
        if !s.announced {
            s.announced = true;
            self.link.announce(ToSimulation::Joined {
                key,
                client_id: s.client_id,
                name: s.claims.name,
                kind,
                at: now,
            });
        }
    }
    fn payload<T: Transmit>(&mut self, now: Duration, session: SessionId, payload: &[u8], tx: &mut T) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        let key = self.key(session);
        match PayloadKind::of(payload) {
            Some(PayloadKind::Hello) => {
                if let Ok(hello) = Hello::read(payload) {
                    if hello.version.hash != self.protocol.hash() {
                        let mut b = [0; HELLO_BYTES_MAX];
                        let n = Goodbye::ProtocolMismatch {
                            server: self.protocol.version(),
                            client: hello.version,
                        }
                        .write(&mut b);
                        send(&mut self.netcode, tx, session, now, &b[..n]);
                        self.netcode.disconnect(session, &mut |to, d| tx.copy(to, d));
                        return self.drop_session(session, LeaveReason::Abuse);
                    }
                    self.announce(now, session, PeerKind::Throng);
                    self.sessions.get_mut(&session).unwrap().throng = true;
                }
            }
            Some(PayloadKind::Input) => {
                if let Ok(packet) = InputPacket::read(payload) {
                    let newest = self.histories[0].newest().map_or(Tick(0), |f| f.tick);
                    let s = self.sessions.get_mut(&session).unwrap();
                    if let Some(ack) = packet.ack {
                        s.replication.acknowledge(ack);
                    }
                    let tick = Tick::unwrap_near(packet.newest_tick, newest);
                    for (i, input) in packet.inputs.as_slice().iter().enumerate().rev() {
                        let t = tick - i as u32;
                        if s.newest_input.is_some_and(|n| !t.is_after(n)) {
                            continue;
                        }
                        s.newest_input = Some(t);
                        if self.protocol.validate_input(input.as_slice()).is_ok() {
                            self.link.input(ToSimulation::Input {
                                key,
                                tick: t,
                                view: None,
                                arrived_at: now,
                                bytes: *input,
                            });
                        }
                    }
                }
            }
            Some(PayloadKind::Renet) => {
                self.announce(now, session, PeerKind::Renet);
                let s = self.sessions.get_mut(&session).unwrap();
                if s.reliable.receive(payload).is_err() {
                    self.netcode.disconnect(session, &mut |to, d| tx.copy(to, d));
                    return self.drop_session(session, LeaveReason::Abuse);
                }
                while let Some((c, b)) = s.reliable.pop() {
                    self.link.message(key, c.id(), b);
                }
            }
            _ => {}
        }
    }
    pub fn publish<T: Transmit>(&mut self, now: Duration, tx: &mut T) {
        while let Some(v) = self.link.pop() {
            match v {
                ToWorker::Message { key, channel, bytes } => {
                    if let Some(s) = self.sessions.get_mut(&key.session) {
                        let _ = s.reliable.send(Channel::from_id(channel).unwrap(), bytes);
                    }
                }
                ToWorker::Disconnect { key, reason } => {
                    self.netcode.disconnect(key.session, &mut |to, d| tx.copy(to, d));
                    self.drop_session(key.session, reason);
                }
            }
        }
        let mut any = false;
        while let Some(f) = self.link.frame() {
            self.histories[0].push(f);
            any = true;
        }
        if !any {
            return;
        }
        let frame = self.histories[0].newest().unwrap().clone();
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        for id in ids {
            let s = self.sessions.get_mut(&id).unwrap();
            let mut used = 0;
            let _ = s.reliable.poll(now, 1200, |p| {
                used += p.len() + 25;
                send(&mut self.netcode, tx, id, now, p);
            });
            if !s.throng {
                continue;
            }
            let Some(row) = frame.players.get(self.worker, id) else {
                continue;
            };
            if !s.replication.is_acknowledged() {
                let mut b = [0; HELLO_BYTES_MAX];
                let n = Welcome {
                    tick: frame.tick,
                    tick_rate_hz: self.config.tick_rate,
                    player: row.player,
                }
                .write(&mut b);
                send(&mut self.netcode, tx, id, now, &b[..n]);
            }
            let view = ReplicationView {
                config: &self.config,
                protocol: &self.protocol,
                histories: &self.histories,
                worker: self.worker,
                session: id,
            };
            s.replication.write(
                &mut self.scratch,
                &view,
                used,
                &mut Sink {
                    netcode: &mut self.netcode,
                    tx,
                    session: id,
                    now,
                },
            );
        }
    }
    pub fn update<T: Transmit>(&mut self, now: Duration, tx: &mut T) {
        let mut gone = vec![];
        self.netcode
            .update(now, &mut |to, d| tx.copy(to, d), &mut |s| gone.push(s));
        for s in gone {
            self.drop_session(s, LeaveReason::TimedOut);
        }
        self.link.flush();
    }
    pub fn shutdown<T: Transmit>(&mut self, now: Duration, tx: &mut T) {
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        for id in ids {
            let mut b = [0; HELLO_BYTES_MAX];
            let n = Goodbye::Shutdown.write(&mut b);
            send(&mut self.netcode, tx, id, now, &b[..n]);
            self.netcode.disconnect(id, &mut |to, d| tx.copy(to, d));
        }
    }
}
