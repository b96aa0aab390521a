//! One token at several workers on one port.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::Duration,
};

use throng_shared::netcode::{ClientNetcode, ClientReceived};

use super::{AttackedServer, BOTS, Window, now, peers::request};

/// Sockets that present the token. The kernel chooses the worker by the sender's address, so that many sockets reach
/// every worker.
const SOCKETS: usize = 48;

/// Returns the sequence number of a netcode packet: the upper half of its first byte says how many bytes it has.
fn sequence(datagram: &[u8]) -> u64 {
    let width = usize::from(datagram[0] >> 4);
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(&datagram[1..1 + width]);
    u64::from_le_bytes(bytes)
}

fn challenges(window: &Window, worker: usize) -> u64 {
    window.after.workers[worker]["challenges"] - window.before.workers[worker]["challenges"]
}

#[test]
fn one_token_at_several_workers_opens_one_session_and_repeats_no_number() {
    let mut attacked = AttackedServer::start_with(&["--workers", "3", "--udp-shared"]);
    let quiet = attacked.run_bots(|_| true);
    let joined = attacked
        .joiner()
        .join("many", &attacked.protocol.version(), None)
        .unwrap();
    let attack = || {
        let request = request(&joined.token);
        let mut clients: Vec<_> = (0..SOCKETS)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                socket.connect(joined.address).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket.send(&request).unwrap();
                (socket, ClientNetcode::new(Duration::ZERO, &joined.token))
            })
            .collect();
        // All sockets act as the token's client: they send requests, responses and keep-alives.
        let (begun, mut opened) = (now(), BTreeSet::new());
        let mut packets: BTreeMap<u64, BTreeSet<Vec<u8>>> = BTreeMap::new();
        while begun.elapsed() < Duration::from_secs(3) {
            for (index, (socket, client)) in clients.iter_mut().enumerate() {
                let mut buffer = [0; 2_048];
                while let Ok(length) = socket.recv(&mut buffer) {
                    let sealed = &mut buffer[..length];
                    packets
                        .entry(sequence(sealed))
                        .or_default()
                        .insert(sealed.to_vec());
                    if client.receive(begun.elapsed(), sealed) == ClientReceived::Connected {
                        opened.insert(index);
                    }
                }
                let _ = client.update(begun.elapsed(), &mut |_, datagram| drop(socket.send(datagram)));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Two packets of one number under one key reveal the key of their authentication.
        let repeated = packets.into_iter().filter(|(_, packets)| packets.len() > 1);
        (
            opened.len(),
            repeated.map(|(number, _)| number).collect::<Vec<_>>(),
        )
    };
    let counted = |window: &Window| window.counted("token_elsewhere") as usize >= SOCKETS - 1;
    let (during, (opened, repeated)) = attacked.run_during(attack, counted);
    assert_eq!(repeated, [0; 0], "numbers of different packets under one key");
    assert_eq!(opened, 1, "sessions of one token");
    let challenging = (0..3).filter(|&worker| challenges(&during, worker) > 0).count();
    assert_eq!(
        challenging, 1,
        "only the worker of the first address has sealed packets with the token's keys"
    );
    let elsewhere = |worker: usize| {
        during.after.workers[worker]["token_elsewhere"] - during.before.workers[worker]["token_elsewhere"]
    };
    let refusing = (0..3).filter(|&worker| elsewhere(worker) > 0).count();
    assert!(
        refusing > 1,
        "the kernel passed {SOCKETS} addresses to {refusing} worker"
    );
    attacked.assert_bots_unaffected("a token at several workers", &quiet, &during);
    assert!(attacked.stats().clients <= u64::from(BOTS) + 1);
}
