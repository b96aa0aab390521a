//! The packets that open and close a session: hello, welcome, goodbye.
//!
//! The client repeats its hello with every packet until a welcome arrives; the server repeats the
//! welcome until an input packet acknowledges a snapshot, and sends its goodbye before it ends the
//! session. All of them are small, byte-aligned and little endian. Guarantees that reading any bytes
//! returns a [`HelloError`] or the value, without allocating.

use std::fmt;

use super::PayloadKind;
use super::ids::PlayerId;
use super::kick_text::KickText;
use super::version::{ProtocolHash, ProtocolVersion, Release};
use crate::limits::{KICK_TEXT_BYTES_MAX, VERSION_BYTES_MAX};
use crate::tick::Tick;

/// Bytes of the longest hello or welcome.
pub const HELLO_BYTES_MAX: usize = 1 + VERSION_FIELD_BYTES_MAX;

/// Bytes of the longest goodbye.
pub const GOODBYE_BYTES_MAX: usize = 2 + larger(2 * VERSION_FIELD_BYTES_MAX, 1 + KICK_TEXT_BYTES_MAX);

/// Bytes of a protocol's hash and release, with the release's length.
const VERSION_FIELD_BYTES_MAX: usize = 8 + 1 + VERSION_BYTES_MAX;

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

/// Why bytes are not a hello, welcome or goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The packet is of another kind.
    #[error("not a packet of this kind")]
    WrongKind,
    /// The packet ends in the middle of a field.
    #[error("the packet ends in the middle of a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("{0} bytes left after the packet")]
    Trailing(usize),
    /// The release is too long, or not printable ASCII.
    #[error("the release is not a short printable text")]
    Release,
    /// The tick rate is 0.
    #[error("the tick rate is 0")]
    TickRate,
    /// The text of a goodbye is too long, or not UTF-8.
    #[error("the text of the goodbye is too long, or not UTF-8")]
    Text,
    /// The goodbye has an unknown reason.
    #[error("unknown reason {0} for a goodbye")]
    Reason(u8),
}

/// A client's first packet: its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The client's protocol. The server refuses any other than its own.
    pub version: ProtocolVersion,
}

/// The server's reply to a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The newest tick when the welcome was sent.
    pub tick: Tick,
    /// Ticks a second, at least 1.
    pub tick_rate_hz: u16,
    /// The player that the client controls.
    pub player: PlayerId,
}

/// The server's last packet: why the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goodbye {
    /// The two ends speak different protocols.
    ProtocolMismatch {
        /// The protocol of the server.
        server: ProtocolVersion,
        /// The protocol that the client sent.
        client: ProtocolVersion,
    },
    /// The server is shutting down.
    Shutdown,
    /// The same client connected again.
    Replaced,
    /// More reliable messages waited for the client than fit its queue.
    Overflow,
    /// The client broke the protocol.
    Abuse,
    /// The server has no room for another player.
    ServerFull,
    /// The game's code ended the session, for a reason in its own words.
    Kicked(KickText),
    /// The game's code despawned the player.
    Despawned,
    /// The client acknowledged no reliable message for some seconds, although packets of it arrived.
    Unacknowledged,
    /// The game does not admit the player, for a reason in its own words.
    Refused(KickText),
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolMismatch { server, client } => {
                write!(f, "the server speaks protocol {server}, the client {client}")
            }
            Self::Shutdown => f.write_str("the server stops"),
            Self::Replaced => f.write_str("the same player connected anew"),
            Self::Overflow => f.write_str("more reliable messages wait for the client than fit its queue"),
            Self::Abuse => f.write_str("the client broke the protocol"),
            Self::ServerFull => f.write_str("the server is full"),
            Self::Kicked(text) if text.is_empty() => f.write_str("the server removed the player"),
            Self::Kicked(text) => write!(f, "the server removed the player: {text}"),
            Self::Despawned => f.write_str("the player is no longer in the game"),
            Self::Refused(text) if text.is_empty() => f.write_str("the game does not admit the player"),
            Self::Refused(text) => write!(f, "the game does not admit the player: {text}"),
            Self::Unacknowledged => f.write_str("the client acknowledges no reliable message"),
        }
    }
}

impl Hello {
    /// Writes the packet and returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; HELLO_BYTES_MAX]) -> usize {
        let mut writer = HelloWriter::new(out, PayloadKind::HELLO);
        writer.version(&self.version);
        writer.length
    }

    /// Reads and checks a received hello.
    ///
    /// # Errors
    /// A [`HelloError`] that says what is wrong.
    pub fn read(packet: &[u8]) -> Result<Self, HelloError> {
        let mut reader = HelloReader::new(packet, PayloadKind::HELLO)?;
        let version = reader.version()?;
        reader.finish(Self { version })
    }
}

impl Welcome {
    /// Writes the packet and returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; HELLO_BYTES_MAX]) -> usize {
        let mut writer = HelloWriter::new(out, PayloadKind::HELLO);
        writer.bytes(&self.tick.0.to_le_bytes());
        writer.bytes(&self.tick_rate_hz.to_le_bytes());
        writer.bytes(&self.player.0.to_le_bytes());
        writer.length
    }

    /// Reads and checks a received welcome.
    ///
    /// # Errors
    /// A [`HelloError`] that says what is wrong.
    pub fn read(packet: &[u8]) -> Result<Self, HelloError> {
        let mut reader = HelloReader::new(packet, PayloadKind::HELLO)?;
        let tick = Tick(u32::from_le_bytes(reader.array()?));
        let tick_rate_hz = u16::from_le_bytes(reader.array()?);
        let player = PlayerId(u32::from_le_bytes(reader.array()?));
        if tick_rate_hz == 0 {
            return Err(HelloError::TickRate);
        }
        reader.finish(Self {
            tick,
            tick_rate_hz,
            player,
        })
    }
}

impl Goodbye {
    /// Writes the packet and returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; GOODBYE_BYTES_MAX]) -> usize {
        let mut writer = HelloWriter::new(out, PayloadKind::GOODBYE);
        match self {
            Self::ProtocolMismatch { server, client } => {
                writer.bytes(&[0]);
                writer.version(server);
                writer.version(client);
            }
            Self::Shutdown => writer.bytes(&[1]),
            Self::Replaced => writer.bytes(&[2]),
            Self::Overflow => writer.bytes(&[3]),
            Self::Abuse => writer.bytes(&[4]),
            Self::ServerFull => writer.bytes(&[5]),
            Self::Kicked(text) => writer.text(6, text),
            Self::Despawned => writer.bytes(&[7]),
            Self::Unacknowledged => writer.bytes(&[8]),
            Self::Refused(text) => writer.text(9, text),
        }
        writer.length
    }

    /// Reads and checks a received goodbye.
    ///
    /// # Errors
    /// A [`HelloError`] that says what is wrong.
    pub fn read(packet: &[u8]) -> Result<Self, HelloError> {
        let mut reader = HelloReader::new(packet, PayloadKind::GOODBYE)?;
        let [reason] = reader.array()?;
        let goodbye = match reason {
            0 => Self::ProtocolMismatch {
                server: reader.version()?,
                client: reader.version()?,
            },
            1 => Self::Shutdown,
            2 => Self::Replaced,
            3 => Self::Overflow,
            4 => Self::Abuse,
            5 => Self::ServerFull,
            6 => Self::Kicked(reader.text()?),
            7 => Self::Despawned,
            8 => Self::Unacknowledged,
            9 => Self::Refused(reader.text()?),
            other => return Err(HelloError::Reason(other)),
        };
        reader.finish(goodbye)
    }
}

/// Fills a buffer that is long enough for every packet of this module.
struct HelloWriter<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> HelloWriter<'a> {
    fn new(out: &'a mut [u8], kind: u8) -> Self {
        out[0] = kind;
        Self { out, length: 1 }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Writes a reason and its text behind the text's length.
    fn text(&mut self, reason: u8, text: &KickText) {
        let text = text.as_str().as_bytes();
        self.bytes(&[reason, text.len() as u8]);
        self.bytes(text);
    }

    fn version(&mut self, version: &ProtocolVersion) {
        let release = version.release.as_bytes();
        self.bytes(&version.hash.0.to_le_bytes());
        self.bytes(&[release.len() as u8]);
        self.bytes(release);
    }
}

struct HelloReader<'a> {
    rest: &'a [u8],
}

impl<'a> HelloReader<'a> {
    fn new(packet: &'a [u8], kind: u8) -> Result<Self, HelloError> {
        match packet.split_first() {
            Some((&first, rest)) if first == kind => Ok(Self { rest }),
            _ => Err(HelloError::WrongKind),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HelloError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(HelloError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    /// Reads bytes behind their number.
    fn counted(&mut self) -> Result<&'a [u8], HelloError> {
        let [length] = self.array()?;
        let counted = self.rest.split_at_checked(length.into());
        let (bytes, rest) = counted.ok_or(HelloError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn version(&mut self) -> Result<ProtocolVersion, HelloError> {
        let hash = ProtocolHash(u64::from_le_bytes(self.array()?));
        let release = Release::new(self.counted()?).ok_or(HelloError::Release)?;
        Ok(ProtocolVersion { hash, release })
    }

    fn text(&mut self) -> Result<KickText, HelloError> {
        let text = std::str::from_utf8(self.counted()?).map_err(|_| HelloError::Text)?;
        if text.len() > KICK_TEXT_BYTES_MAX {
            return Err(HelloError::Text);
        }
        Ok(KickText::new(text))
    }

    fn finish<T>(self, packet: T) -> Result<T, HelloError> {
        if self.rest.is_empty() {
            Ok(packet)
        } else {
            Err(HelloError::Trailing(self.rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version() -> impl Strategy<Value = ProtocolVersion> {
        (any::<u64>(), "[!-~]{0,32}").prop_map(|(hash, release)| ProtocolVersion {
            hash: ProtocolHash(hash),
            release: Release::new(release.as_bytes()).unwrap(),
        })
    }

    fn goodbye() -> impl Strategy<Value = Goodbye> {
        prop_oneof![
            (version(), version()).prop_map(|(server, client)| Goodbye::ProtocolMismatch { server, client }),
            Just(Goodbye::Shutdown),
            Just(Goodbye::Replaced),
            Just(Goodbye::Overflow),
            Just(Goodbye::Abuse),
            Just(Goodbye::ServerFull),
            ".{0,60}".prop_map(|text| Goodbye::Kicked(KickText::new(&text))),
            Just(Goodbye::Despawned),
            Just(Goodbye::Unacknowledged),
            ".{0,60}".prop_map(|text| Goodbye::Refused(KickText::new(&text))),
        ]
    }

    /// Checks that the packet reads back as itself, and does not read when shorter or longer.
    fn check<T: PartialEq + fmt::Debug, const N: usize>(
        packet: T,
        write: impl Fn(&T, &mut [u8; N]) -> usize,
        read: impl Fn(&[u8]) -> Result<T, HelloError>,
    ) -> Result<(), TestCaseError> {
        let mut buffer = [0xa5; N];
        let length = write(&packet, &mut buffer);
        let mut bytes = buffer[..length].to_vec();
        prop_assert_eq!(read(&bytes), Ok(packet));
        for end in 0..length {
            prop_assert!(read(&bytes[..end]).is_err());
        }
        bytes.push(0);
        prop_assert_eq!(read(&bytes), Err(HelloError::Trailing(1)));
        Ok(())
    }

    proptest! {
        #[test]
        fn hello_round_trips(version in version()) {
            check(Hello { version }, Hello::write, Hello::read)?;
        }

        #[test]
        fn welcome_round_trips(tick: u32, tick_rate_hz in 1u16.., player: u32) {
            let packet = Welcome { tick: Tick(tick), tick_rate_hz, player: PlayerId(player) };
            check(packet, Welcome::write, Welcome::read)?;
        }

        #[test]
        fn goodbye_round_trips(packet in goodbye()) {
            check(packet, Goodbye::write, Goodbye::read)?;
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            for kind in [PayloadKind::HELLO, PayloadKind::GOODBYE] {
                bytes[0] = kind;
                let _ = (Hello::read(&bytes), Welcome::read(&bytes), Goodbye::read(&bytes));
            }
        }
    }

    #[test]
    fn a_tick_rate_of_zero_is_refused() {
        let packet = [PayloadKind::HELLO, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(Welcome::read(&packet), Err(HelloError::TickRate));
    }

    #[test]
    fn a_kick_text_that_is_too_long_or_not_utf_8_is_refused() {
        let kicked =
            |text: &[u8]| Goodbye::read(&[&[PayloadKind::GOODBYE, 6, text.len() as u8], text].concat());
        assert_eq!(kicked(&[b'x'; KICK_TEXT_BYTES_MAX + 1]), Err(HelloError::Text));
        assert_eq!(kicked(&[0xff]), Err(HelloError::Text));
        let text = "x".repeat(KICK_TEXT_BYTES_MAX);
        assert_eq!(kicked(text.as_bytes()), Ok(Goodbye::Kicked(KickText::new(&text))));
        let shown = Goodbye::Kicked(KickText::new("no shouting")).to_string();
        assert_eq!(shown, "the server removed the player: no shouting");
    }

    #[test]
    fn a_protocol_mismatch_names_both_versions() {
        let version = |hash, release: &str| ProtocolVersion {
            hash: ProtocolHash(hash),
            release: Release::new(release.as_bytes()).unwrap(),
        };
        let goodbye = Goodbye::ProtocolMismatch {
            server: version(1, "0.2.0"),
            client: version(2, "0.1.0"),
        };
        assert_eq!(
            goodbye.to_string(),
            "the server speaks protocol 0.2.0 (hash 0000000000000001), \
             the client 0.1.0 (hash 0000000000000002)"
        );
    }
}
