//! Both halves against each other and against `renetcode`, in memory and in virtual time.

mod handshake;
mod hostile;
mod interop;
mod refusals;
mod session;
mod shared_tokens;

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::*;

const KEY: [u8; KEY_BYTES] = [11; KEY_BYTES];
/// The wall clock when virtual time is zero.
const EPOCH_UNIX_S: u64 = 1_800_000_000;
const SERVER: &str = "192.0.2.1:5000";

/// Returns the `n`th client's address.
fn address(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 40_000))
}

/// A copy of a [`ServerReceived`] that borrows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Payload(SessionId, u64, Vec<u8>),
    Connected {
        session: SessionId,
        client_id: u64,
        number: u64,
        replaced: Option<SessionId>,
    },
    Disconnected(SessionId),
    Handshake,
    KeepAlive,
    Dropped(DropReason),
}

impl From<ServerReceived<'_>> for Seen {
    fn from(received: ServerReceived<'_>) -> Self {
        match received {
            ServerReceived::Payload {
                session,
                sequence,
                payload,
            } => Self::Payload(session, sequence, payload.to_vec()),
            ServerReceived::Connected {
                session,
                client_id,
                user_data,
                replaced,
            } => {
                let number = u64::from_le_bytes(*user_data.first_chunk().unwrap());
                Self::Connected {
                    session,
                    client_id,
                    number,
                    replaced,
                }
            }
            ServerReceived::Disconnected { session } => Self::Disconnected(session),
            ServerReceived::Handshake => Self::Handshake,
            ServerReceived::KeepAlive => Self::KeepAlive,
            ServerReceived::Dropped(reason) => Self::Dropped(reason),
        }
    }
}

/// A server in virtual time, with the issuer of its tokens.
struct Host {
    server: ServerNetcode,
    entropy: Entropy,
    now: Duration,
}

impl Host {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ServerNetcodeConfig)) -> Self {
        let mut config = ServerNetcodeConfig::new(KEY, vec![SERVER.parse().unwrap()]);
        change(&mut config);
        let mut entropy = Entropy::from_seed([42; 32]);
        let server = ServerNetcode::new(config, &mut entropy);
        Self {
            server,
            entropy,
            now: Duration::from_secs(100),
        }
    }

    fn unix_s(&self) -> u64 {
        EPOCH_UNIX_S + self.now.as_secs()
    }

    /// Returns a token for our server with a time-out of 20 s that expires in a minute.
    fn token(&mut self, client_id: u64, number: u64) -> ConnectToken {
        self.token_with(client_id, number, &[SERVER.parse().unwrap()], |_| {})
    }

    fn token_with(
        &mut self,
        client_id: u64,
        number: u64,
        addresses: &[SocketAddr],
        change: impl FnOnce(&mut TokenRequest<'_>),
    ) -> ConnectToken {
        let mut user_data = [0; USER_DATA_BYTES];
        user_data[..8].copy_from_slice(&number.to_le_bytes());
        let mut request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses,
            expire_s: 60,
            timeout_s: 20,
            user_data: &user_data,
            private_key: &KEY,
        };
        change(&mut request);
        ConnectToken::generate(EPOCH_UNIX_S + self.now.as_secs(), &request, &mut self.entropy).unwrap()
    }

    fn client(&mut self, client_id: u64, number: u64) -> ClientNetcode {
        let token = self.token(client_id, number);
        ClientNetcode::new(self.now, &token)
    }

    /// Passes one datagram to the server. Returns what it received and its reply, which is never larger.
    fn give(&mut self, from: SocketAddr, datagram: &[u8]) -> (Seen, Vec<u8>) {
        let mut reply = Reply::new();
        let drops = self.server.counters().dropped_total();
        let unix_s = self.unix_s();
        let seen: Seen = self
            .server
            .receive(self.now, unix_s, from, &mut datagram.to_vec(), &mut reply)
            .into();
        assert!(
            reply.as_slice().len() <= datagram.len(),
            "a reply is larger than its datagram"
        );
        let dropped = u64::from(matches!(seen, Seen::Dropped(_)));
        assert_eq!(
            self.server.counters().dropped_total(),
            drops + dropped,
            "each drop is counted once"
        );
        (seen, reply.as_slice().to_vec())
    }

    /// Lets the client send what is due and receive the replies. Returns what the server received.
    fn exchange(&mut self, client: &mut ClientNetcode, from: SocketAddr) -> Vec<Seen> {
        let mut seen = Vec::new();
        for datagram in due(client, self.now) {
            let (what, mut reply) = self.give(from, &datagram);
            seen.push(what);
            if !reply.is_empty() {
                client.receive(self.now, &mut reply);
            }
        }
        seen
    }

    /// Completes the client's handshake.
    fn connect(&mut self, client: &mut ClientNetcode, from: SocketAddr) -> SessionId {
        assert_eq!(self.exchange(client, from), [Seen::Handshake]);
        let seen = self.exchange(client, from);
        assert_eq!(client.state(), ClientState::Connected, "{seen:?}");
        match seen[..] {
            [Seen::Connected { session, .. }] => session,
            _ => panic!("no connection: {seen:?}"),
        }
    }

    fn connected(&mut self, client_id: u64, number: u64, from: SocketAddr) -> (ClientNetcode, SessionId) {
        let mut client = self.client(client_id, number);
        let session = self.connect(&mut client, from);
        (client, session)
    }

    /// Returns a payload of the server for a session, as a datagram.
    fn seal(&mut self, session: SessionId, payload: &[u8]) -> Result<Vec<u8>, SealError> {
        let now = self.now;
        framed(payload, |buf, range| self.server.seal(session, now, buf, range))
    }

    /// Advances time. Returns the datagrams that were sent and the sessions that ended.
    fn pass(&mut self, time: Duration) -> (Vec<(SocketAddr, Vec<u8>)>, Vec<SessionId>) {
        self.now += time;
        let (mut sent, mut ended) = (Vec::new(), Vec::new());
        self.server.update(
            self.now,
            &mut |to, datagram| sent.push((to, datagram.to_vec())),
            &mut |session| ended.push(session),
        );
        (sent, ended)
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.server.counters().dropped(reason)
    }
}

/// Returns the datagrams that the client sends now.
fn due(client: &mut ClientNetcode, now: Duration) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    client.update(now, &mut |_, datagram| datagrams.push(datagram.to_vec()));
    datagrams
}

/// Returns a payload of the client, as a datagram.
fn seal(client: &mut ClientNetcode, now: Duration, payload: &[u8]) -> Vec<u8> {
    framed(payload, |buf, range| client.seal(now, buf, range)).unwrap()
}

fn framed(
    payload: &[u8],
    seal: impl FnOnce(&mut [u8], core::ops::Range<usize>) -> Result<core::ops::Range<usize>, SealError>,
) -> Result<Vec<u8>, SealError> {
    let mut buf = vec![0; SEAL_HEAD_BYTES + payload.len() + SEAL_TAIL_BYTES];
    let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
    buf[range.clone()].copy_from_slice(payload);
    seal(&mut buf, range).map(|range| buf[range].to_vec())
}
