//! Measures what netcode costs, in nanoseconds per packet on one core.
//!
//! `cargo run --release -p throng-shared --example netcode_cost`
//!
//! No sockets: sealing and receiving in both directions with 1,000 and with 5,000 sessions taken in turn
//! (so that the keys of each are as cold as a server's), connection requests with forged tokens, copies of
//! a valid one, whole handshakes, and a second of keep-alives for 10,000 idle sessions. Compare only
//! ratios: machines differ, and other programs that run at the same time change the times. It prints the least of five
//! runs.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use throng_shared::netcode::{
    ClientNetcode, ConnectToken, Entropy, PROTOCOL_ID, Reply, SEAL_HEAD_BYTES, SEAL_TAIL_BYTES,
    ServerNetcode, ServerNetcodeConfig, ServerReceived, SessionId, TokenRequest,
};

const KEY: [u8; 32] = [7; 32];
const UNIX_S: u64 = 1_800_000_000;
/// Payload bytes of a client's input and of a server's snapshot.
const UP_BYTES: usize = 40;
const DOWN_BYTES: usize = 330;

fn main() {
    for count in [1_000, 5_000] {
        payloads(count);
    }
    spoofs();
    idle();
    report(
        "ClientNetcode, without its handshake",
        size_of::<ClientNetcode>() as f64,
        "bytes",
    );
}

/// A connected client of the server.
struct CostPeer {
    client: ClientNetcode,
    session: SessionId,
    address: SocketAddr,
}

struct Bench {
    server: ServerNetcode,
    entropy: Entropy,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        let mut entropy = Entropy::from_seed([1; 32]);
        let config = ServerNetcodeConfig::new(KEY, vec![server_address()]);
        Self {
            server: ServerNetcode::new(config, &mut entropy),
            entropy,
            now: Duration::from_secs(1),
        }
    }

    fn token(&mut self, client_id: u64, private_key: &[u8; 32]) -> ConnectToken {
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses: &[server_address()],
            expire_s: 60,
            timeout_s: 20,
            user_data: &[0; 256],
            private_key,
        };
        ConnectToken::generate(UNIX_S, &request, &mut self.entropy).expect("one address is a valid number")
    }

    fn connect(&mut self, number: u32) -> CostPeer {
        let token = self.token(number.into(), &KEY);
        let mut client = ClientNetcode::new(self.now, &token);
        let address = SocketAddr::from((number.to_be_bytes(), 4_000));
        let mut session = None;
        while !client.is_connected() {
            self.now += Duration::from_micros(20);
            let (server, now) = (&mut self.server, self.now);
            let mut reply = Reply::new();
            client.update(now, &mut |_, datagram| {
                let mut datagram = datagram.to_vec();
                let received = server.receive(now, UNIX_S, address, &mut datagram, &mut reply);
                if let ServerReceived::Connected { session: id, .. } = received {
                    session = Some(id);
                }
            });
            client.receive(now, &mut reply.as_slice().to_vec());
        }
        CostPeer {
            client,
            session: session.expect("a connected client has a session"),
            address,
        }
    }
}

fn server_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5_000))
}

/// Returns nanoseconds per item of the fastest of five runs of `run`, which handles `items`.
fn least(items: usize, mut run: impl FnMut()) -> f64 {
    (0..5)
        .map(|_| {
            let start = clock();
            run();
            start.elapsed().as_nanos() as f64 / items as f64
        })
        .fold(f64::INFINITY, f64::min)
}

#[expect(
    clippy::disallowed_methods,
    reason = "measuring reads a clock, and nothing here is simulated"
)]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn report(what: &str, value: f64, unit: &str) {
    println!("{what:<58} {value:>9.1} {unit}");
}

/// Seals and receives a payload for each of `count` sessions, both ways.
fn payloads(count: u32) {
    let mut bench = Bench::new();
    let mut peers: Vec<CostPeer> = (0..count).map(|number| bench.connect(number)).collect();
    let now = bench.now;
    let items = peers.len();
    let mut down = vec![[0; SEAL_HEAD_BYTES + DOWN_BYTES + SEAL_TAIL_BYTES]; items];
    let mut up = vec![[0; SEAL_HEAD_BYTES + UP_BYTES + SEAL_TAIL_BYTES]; items];
    let mut ranges = vec![0..0; items];
    let (mut seal_down, mut open_down, mut seal_up, mut open_up) = ([0.0; 5], [0.0; 5], [0.0; 5], [0.0; 5]);
    let each = |start: Instant| start.elapsed().as_nanos() as f64 / items as f64;
    for run in 0..5 {
        let start = clock();
        for ((peer, buf), range) in peers.iter().zip(&mut down).zip(&mut ranges) {
            let payload = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + DOWN_BYTES;
            *range = bench
                .server
                .seal(peer.session, now, buf, payload)
                .expect("the session lives");
        }
        seal_down[run] = each(start);
        let start = clock();
        for ((peer, buf), range) in peers.iter_mut().zip(&mut down).zip(&ranges) {
            black_box(peer.client.receive(now, &mut buf[range.clone()]));
        }
        open_down[run] = each(start);
        let start = clock();
        for ((peer, buf), range) in peers.iter_mut().zip(&mut up).zip(&mut ranges) {
            let payload = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + UP_BYTES;
            *range = peer
                .client
                .seal(now, buf, payload)
                .expect("the client is connected");
        }
        seal_up[run] = each(start);
        let mut reply = Reply::new();
        let start = clock();
        for ((peer, buf), range) in peers.iter().zip(&mut up).zip(&ranges) {
            let datagram = &mut buf[range.clone()];
            let received = bench
                .server
                .receive(now, UNIX_S, peer.address, datagram, &mut reply);
            assert!(matches!(received, ServerReceived::Payload { .. }), "{received:?}");
        }
        open_up[run] = each(start);
    }
    let min = |runs: [f64; 5]| runs.into_iter().fold(f64::INFINITY, f64::min);
    report(
        &format!("server seals {DOWN_BYTES} B, {count} sessions"),
        min(seal_down),
        "ns",
    );
    report(
        &format!("client receives {DOWN_BYTES} B, {count} sessions"),
        min(open_down),
        "ns",
    );
    report(
        &format!("client seals {UP_BYTES} B, {count} sessions"),
        min(seal_up),
        "ns",
    );
    report(
        &format!("server receives {UP_BYTES} B, {count} sessions"),
        min(open_up),
        "ns",
    );
}

/// Measures connection requests that open nothing, and handshakes that open a session.
fn spoofs() {
    let mut bench = Bench::new();
    let forged = request(&bench.token(1, &[8; 32]));
    let valid = request(&bench.token(2, &KEY));
    let mut reply = Reply::new();
    let mut first = valid.clone();
    bench.server.receive(
        bench.now,
        UNIX_S,
        SocketAddr::from(([10, 0, 0, 1], 1)),
        &mut first,
        &mut reply,
    );
    let mut port = 1;
    for (name, datagram) in [
        ("request with a forged token", forged),
        ("copy of a valid request", valid),
    ] {
        const ITEMS: usize = 10_000;
        let mut buf = datagram.clone();
        let cost = least(ITEMS, || {
            for _ in 0..ITEMS {
                port += 1;
                bench.now += Duration::from_micros(10);
                buf.copy_from_slice(&datagram);
                let from = SocketAddr::from(([10, 1, 0, (port >> 16) as u8], port as u16));
                let received = bench
                    .server
                    .receive(bench.now, UNIX_S, from, &mut buf, &mut reply);
                assert!(matches!(received, ServerReceived::Dropped(_)));
            }
        });
        report(name, cost, "ns");
    }
    assert_eq!(
        bench
            .server
            .counters()
            .dropped(throng_shared::netcode::DropReason::RateLimited),
        0
    );
    let mut number = 0;
    let cost = least(1_000, || {
        for _ in 0..1_000 {
            number += 1;
            bench.connect(number);
        }
    });
    report("handshake, both halves and its token", cost, "ns");
}

/// Returns the first packet of a client with this token.
fn request(token: &ConnectToken) -> Vec<u8> {
    let mut request = Vec::new();
    ClientNetcode::new(Duration::ZERO, token).update(Duration::ZERO, &mut |_, datagram| {
        request.extend_from_slice(datagram);
    });
    request
}

/// Measures a second of 10,000 idle sessions, a fifth of which are due for a keep-alive.
fn idle() {
    let mut bench = Bench::new();
    for number in 0..10_000 {
        bench.connect(number);
        bench.now += Duration::from_micros(480);
    }
    let mut sent = 0;
    let cost = least(1, || {
        for _ in 0..1_000 {
            bench.now += Duration::from_millis(1);
            bench.server.update(bench.now, &mut |_, _| sent += 1, &mut |_| {});
        }
    });
    report("a second of updates, 10,000 idle sessions", cost / 1_000.0, "us");
    report("keep-alives in those five seconds", f64::from(sent), "");
}
