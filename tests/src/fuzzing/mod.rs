//! The functions that the fuzz targets run: one for each part that reads a peer's bytes or a file.
//!
//! A function panics if the tested part breaks a guarantee, and returns otherwise. The targets in `tests/fuzz` only call
//! these functions, so that an ordinary test replays the corpora without a fuzzer.

pub mod files;
mod handshake;
mod payloads;
pub mod values;

pub use files::{checkpoints, recordings};
pub use handshake::{datagrams, tokens};
pub use payloads::payloads;
pub use values::messages;

use std::time::Duration;

use bytes::Bytes;
use throng_client::mirror::{Mirror, MirrorConfig};
use throng_shared::{
    limits::{DATAGRAM_BYTES_MAX, KNOWN_MAX, PAYLOAD_BYTES_MAX},
    protocol::{
        hello::{GOODBYE_BYTES_MAX, Goodbye, HELLO_BYTES_MAX, Hello, Welcome},
        ids::Channel,
        input::{INPUT_PACKET_BYTES_MAX, InputPacket},
        steps::ComponentFormats,
    },
    reliable::Reliable,
    tick::Tick,
};

/// A target: its name under `tests/fuzz/corpus`, and the function that it runs.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All fuzz targets, each with its name.
pub const TARGETS: [FuzzTarget; 9] = [
    ("datagrams", datagrams),
    ("payloads", payloads),
    ("renet_guard", renet_guard),
    ("snapshots", snapshots),
    ("inputs", inputs),
    ("tokens", tokens),
    ("messages", messages),
    ("checkpoints", checkpoints),
    ("recordings", recordings),
];

/// The most packets of one run: enough to reach every state, and few enough for speed.
const PACKETS_MAX: usize = 64;

/// Splits fuzz input into packets: two bytes of length (little endian, modulo the datagram's size), then the packet.
/// The last packet is shorter if bytes are missing.
fn packets(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)) % (DATAGRAM_BYTES_MAX + 1);
        let (packet, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        Some(packet)
    })
    .take(PACKETS_MAX)
}

/// Passes reliable packets of an authenticated peer to the guard and to renet behind it.
///
/// It must not panic, and no packet or message exceeds its bound. After an error the session ends, as on a worker.
pub fn renet_guard(data: &[u8]) {
    let mut reliable = Reliable::new();
    // Unacknowledged messages give effect to acknowledgements.
    for channel in Channel::ALL {
        reliable
            .send(channel, Bytes::from_static(b"hello"))
            .expect("an empty channel has room");
    }
    for (count, packet) in (1_u32..).zip(packets(data)) {
        if reliable.receive(packet).is_err() {
            return;
        }
        // A bit of the input decides whether the messages are removed at once or later.
        if packet.last().is_none_or(|last| last & 1 == 0) {
            while let Some((_, message)) = reliable.pop() {
                assert!(!message.is_empty(), "an empty message was delivered");
            }
        }
        let check = |packet: &[u8]| assert!(packet.len() <= PAYLOAD_BYTES_MAX, "{} bytes", packet.len());
        if reliable
            .poll(Duration::from_millis(50) * count, PAYLOAD_BYTES_MAX, check)
            .is_err()
        {
            return;
        }
    }
}

/// Applies several snapshot packets to one client's mirror, one after the other. The mirror must not panic, and must not
/// hold more entities than there are short ids.
pub fn snapshots(data: &[u8]) {
    let (config, data) = data.split_first_chunk::<4>().unwrap_or((&[0; 4], data));
    let mut mirror = Mirror::new(&MirrorConfig {
        tick_rate: u16::from(config[0] % 128) + 1,
        components: formats(config[1]),
        quanta_3d: None,
        tick: Tick(u32::from(u16::from_le_bytes([config[2], config[3]]))),
    });
    for packet in packets(data) {
        // A refused packet does not end the run: a client that continues must not panic either.
        let _ = mirror.receive_snapshot(packet, &mut ());
        assert!(mirror.len() <= KNOWN_MAX + 1, "{} entities", mirror.len());
        assert_eq!(mirror.entities().count(), mirror.len());
    }
}

/// Returns formats of up to 64 components. Every third is a delta component of 0 to 8 numbers.
fn formats(byte: u8) -> ComponentFormats {
    ComponentFormats::new(
        (0..usize::from(byte % 65)).map(|index| if index % 3 == 2 { index / 3 % 9 } else { 0 }),
    )
}

/// Reads all other packets of clients and servers. A packet that decodes must encode to an equal value.
pub fn inputs(data: &[u8]) {
    if let Ok(packet) = InputPacket::read(data) {
        let mut out = [0; INPUT_PACKET_BYTES_MAX];
        let length = packet.write(&mut out);
        assert_eq!(InputPacket::read(&out[..length]), Ok(packet));
    }
    let mut out = [0; HELLO_BYTES_MAX];
    if let Ok(hello) = Hello::read(data) {
        let length = hello.write(&mut out);
        assert_eq!(Hello::read(&out[..length]), Ok(hello));
    }
    if let Ok(welcome) = Welcome::read(data) {
        let length = welcome.write(&mut out);
        assert_eq!(Welcome::read(&out[..length]), Ok(welcome));
    }
    let mut out = [0; GOODBYE_BYTES_MAX];
    if let Ok(goodbye) = Goodbye::read(data) {
        let length = goodbye.write(&mut out);
        assert_eq!(Goodbye::read(&out[..length]), Ok(goodbye));
        assert!(goodbye.to_string().len() < 1_024);
    }
}
