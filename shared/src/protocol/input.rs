//! A player's input, and the packet in which a client sends it.
//!
//! A client sends the packet every tick, with the newest input, three repeats, and the acknowledgement of
//! the snapshots that arrived. Owns the layout of the packet. Guarantees that reading any bytes returns a
//! packet or an error and never allocates; the largest packet has [`INPUT_PACKET_BYTES_MAX`] bytes. An
//! input's bytes are opaque here and on the net workers' way to the simulation, except for validation
//! through the [registry](super::registry).

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::PayloadKind;
use super::bits::{BitError, BitReader, BitWriter};
use crate::limits::{INPUT_BYTES_MAX, INPUTS_PER_PACKET};
use crate::tick::Tick;

/// Bytes of the largest input packet: all optional fields, and the most and longest inputs.
pub const INPUT_PACKET_BYTES_MAX: usize = (8
    + (1 + 16 + 1 + 64)
    + 16
    + RESTART_BITS as usize
    + (1 + 24)
    + 3
    + INPUTS_PER_PACKET * (1 + 5 + INPUT_BYTES_MAX * 8))
    .div_ceil(8);

const RESTART_BITS: u32 = 4;
const COUNT_BITS: u32 = 3;
const LENGTH_BITS: u32 = 5;
const _: () = assert!(INPUTS_PER_PACKET < 1 << COUNT_BITS && INPUT_BYTES_MAX < 1 << LENGTH_BITS);

/// The input that a player's client sends for every tick. The default is the neutral input.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no input of a player",
    label = "it does not implement `PlayerInput`",
    note = "write `impl PlayerInput for {Self} {{}}`, and `#[derive(Clone, Default, Serialize, Deserialize)]` above `{Self}`"
)]
pub trait PlayerInput: Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static {
    /// Checks a decoded input before the simulation reads it: NaN, out of range, impossible. Unless
    /// implemented it accepts all values, which suits types whose values are all valid.
    ///
    /// # Errors
    /// A description of what is wrong, for the log.
    fn validate(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Time for which the last input of a player replaces missing ones: as long as a connection without a reply counts as
/// alive. It covers the pauses of a client that draws two frames a second, and the loss of two packets in a row there.
pub const INPUT_HOLD: Duration = Duration::from_millis(1_500);

/// Returns the number of ticks for which the last input replaces missing ones: [`INPUT_HOLD`], and at least 5 ticks.
#[must_use]
pub fn held_ticks(tick_length: Duration) -> u8 {
    let ticks = INPUT_HOLD.as_nanos().div_ceil(tick_length.as_nanos().max(1));
    u8::try_from(ticks).unwrap_or(u8::MAX).max(5)
}

/// One encoded input, at most [`INPUT_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct InputBytes {
    // Bytes behind the length are 0, so that the derived equality may compare all of them.
    length: u8,
    bytes: [u8; INPUT_BYTES_MAX],
}

impl InputBytes {
    /// Copies an encoded input; `None` when it is too long.
    #[inline]
    #[must_use]
    pub fn new(encoded: &[u8]) -> Option<Self> {
        let mut input = Self {
            length: encoded.len() as u8,
            ..Self::default()
        };
        input.bytes.get_mut(..encoded.len())?.copy_from_slice(encoded);
        Some(input)
    }

    /// Returns the bytes of the encoded input.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl From<InputBytes> for Vec<u8> {
    fn from(input: InputBytes) -> Self {
        input.as_slice().to_vec()
    }
}

impl TryFrom<Vec<u8>> for InputBytes {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::new(&bytes).ok_or("an input is longer than is allowed")
    }
}

/// The snapshot packets that arrived, by their packet numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotAck {
    /// Number of the newest packet that arrived.
    pub newest: u16,
    /// Bit `i` says whether packet `newest - 1 - i` arrived.
    pub bits: u64,
}

/// The time that a client shows, in 1/256 tick: the low 16 bits of a tick, and 8 bits for the fraction after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewTick(u32);

impl ViewTick {
    /// Returns the time `fraction` 256ths of a tick after `tick`.
    #[inline]
    #[must_use]
    pub const fn new(tick: Tick, fraction: u8) -> Self {
        Self((tick.wire() as u32) << 8 | fraction as u32)
    }

    /// Returns the time `ticks` ticks earlier.
    #[inline]
    #[must_use]
    pub const fn before(self, ticks: u32) -> Self {
        Self(self.0.wrapping_sub(ticks << 8) & 0xff_ffff)
    }

    /// Returns the nearest tick to `reference` that has these low 16 bits, and the 256ths after it.
    #[inline]
    #[must_use]
    pub const fn unwrap_near(self, reference: Tick) -> (Tick, u8) {
        (Tick::unwrap_near((self.0 >> 8) as u16, reference), self.0 as u8)
    }
}

/// How often a client's clock of inputs has jumped backward, modulo 16. After a jump the client sends inputs again for
/// ticks that already have some, and the newer ones count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts(u8);

impl Restarts {
    /// Creates the count from the number of all jumps.
    #[inline]
    #[must_use]
    pub const fn new(jumps: u8) -> Self {
        Self(jumps & 15)
    }

    /// Returns whether this count is later than `other`. Packets that were overtaken are at most four jumps behind.
    #[inline]
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        matches!(self.0.wrapping_sub(other.0) & 15, 1..=11)
    }
}

/// Inputs of consecutive ticks, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputList {
    count: u8,
    inputs: [InputBytes; INPUTS_PER_PACKET],
}

impl InputList {
    /// Adds the input of the tick before the last one added. Does nothing when the list is full.
    #[inline]
    pub fn push_older(&mut self, input: InputBytes) {
        if let Some(slot) = self.inputs.get_mut(usize::from(self.count)) {
            *slot = input;
            self.count += 1;
        }
    }

    /// Returns the inputs, newest first.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[InputBytes] {
        &self.inputs[..usize::from(self.count)]
    }
}

/// The packet that a client sends every tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputPacket {
    /// Snapshots that arrived; `None` before the first.
    pub ack: Option<SnapshotAck>,
    /// Wire form of the tick of the newest input.
    pub newest_tick: u16,
    /// How often the client's clock of inputs has jumped backward.
    pub restarts: Restarts,
    /// The time of the states that the player saw when giving the newest input, for lag compensation.
    pub view: Option<ViewTick>,
    /// Inputs for `newest_tick`, `newest_tick - 1`, ...
    pub inputs: InputList,
}

/// Why bytes are not an input packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputPacketError {
    /// The packet is of another kind.
    #[error("not an input packet")]
    WrongKind,
    /// The packet ends in the middle of a field.
    #[error("the packet ends in the middle of a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("bytes left after the packet")]
    Trailing,
    /// The packet has more than [`INPUTS_PER_PACKET`] inputs.
    #[error("the packet has {0} inputs")]
    TooManyInputs(u8),
    /// An input has more than [`INPUT_BYTES_MAX`] bytes.
    #[error("an input has {0} bytes")]
    InputTooLong(u8),
}

impl From<BitError> for InputPacketError {
    fn from(_: BitError) -> Self {
        Self::Truncated
    }
}

impl InputPacket {
    /// Writes the packet and returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; INPUT_PACKET_BYTES_MAX]) -> usize {
        let mut bits = BitWriter::new(out);
        bits.write(PayloadKind::INPUT.into(), 8);
        bits.write_bool(self.ack.is_some());
        if let Some(ack) = self.ack {
            bits.write(ack.newest.into(), 16);
            // Without loss every bit is set. That case costs one bit instead of 64.
            bits.write_bool(ack.bits == u64::MAX);
            if ack.bits != u64::MAX {
                bits.write(ack.bits, 32);
                bits.write(ack.bits >> 32, 32);
            }
        }
        bits.write(self.newest_tick.into(), 16);
        bits.write(self.restarts.0.into(), RESTART_BITS);
        bits.write_bool(self.view.is_some());
        if let Some(ViewTick(view)) = self.view {
            bits.write(view.into(), 24);
        }
        bits.write(self.inputs.count.into(), COUNT_BITS);
        let mut newer: Option<&InputBytes> = None;
        for input in self.inputs.as_slice() {
            if newer.is_some() {
                // An input that equals the newer one before it costs one bit.
                bits.write_bool(newer == Some(input));
            }
            if newer != Some(input) {
                bits.write(input.length.into(), LENGTH_BITS);
                bits.write_bytes(input.as_slice());
            }
            newer = Some(input);
        }
        debug_assert!(!bits.overflowed(), "the buffer is sized for the largest packet");
        bits.finish()
    }

    /// Reads and checks a received input packet.
    ///
    /// # Errors
    /// An [`InputPacketError`] that says what is wrong.
    pub fn read(packet: &[u8]) -> Result<Self, InputPacketError> {
        let mut bits = BitReader::new(packet);
        if bits.read(8)? != u64::from(PayloadKind::INPUT) {
            return Err(InputPacketError::WrongKind);
        }
        let ack = if bits.read_bool()? {
            let newest = bits.read(16)? as u16;
            let all = bits.read_bool()?;
            let bits = if all {
                u64::MAX
            } else {
                bits.read(32)? | bits.read(32)? << 32
            };
            Some(SnapshotAck { newest, bits })
        } else {
            None
        };
        let newest_tick = bits.read(16)? as u16;
        let restarts = Restarts(bits.read(RESTART_BITS)? as u8);
        let view = if bits.read_bool()? {
            Some(ViewTick(bits.read(24)? as u32))
        } else {
            None
        };
        let inputs = read_inputs(&mut bits)?;
        if bits.bits_left() >= 8 {
            return Err(InputPacketError::Trailing);
        }
        Ok(Self {
            ack,
            newest_tick,
            restarts,
            view,
            inputs,
        })
    }
}

fn read_inputs(bits: &mut BitReader<'_>) -> Result<InputList, InputPacketError> {
    let count = bits.read(COUNT_BITS)? as u8;
    if usize::from(count) > INPUTS_PER_PACKET {
        return Err(InputPacketError::TooManyInputs(count));
    }
    let mut list = InputList::default();
    let mut input = InputBytes::default();
    for index in 0..count {
        let same = index > 0 && bits.read_bool()?;
        if !same {
            input = InputBytes {
                length: bits.read(LENGTH_BITS)? as u8,
                ..InputBytes::default()
            };
            let room = input.bytes.get_mut(..usize::from(input.length));
            bits.read_bytes(room.ok_or(InputPacketError::InputTooLong(input.length))?)?;
        }
        list.push_older(input);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn input() -> impl Strategy<Value = InputBytes> {
        prop::collection::vec(any::<u8>(), 0..=INPUT_BYTES_MAX)
            .prop_map(|bytes| InputBytes::new(&bytes).unwrap())
    }

    fn packet() -> impl Strategy<Value = InputPacket> {
        let ack = (any::<u16>(), prop_oneof![Just(u64::MAX), any::<u64>()])
            .prop_map(|(newest, bits)| SnapshotAck { newest, bits });
        let view = (any::<u32>(), any::<u8>()).prop_map(|(tick, part)| ViewTick::new(Tick(tick), part));
        let inputs = prop::collection::vec((input(), any::<bool>()), 0..=INPUTS_PER_PACKET);
        (
            prop::option::of(ack),
            (any::<u16>(), any::<u8>()),
            prop::option::of(view),
            inputs,
        )
            .prop_map(|(ack, (newest_tick, restarts), view, inputs)| {
                let mut list = InputList::default();
                let mut newer = InputBytes::default();
                for (input, same) in inputs {
                    newer = if same { newer } else { input };
                    list.push_older(newer);
                }
                InputPacket {
                    ack,
                    newest_tick,
                    restarts: Restarts::new(restarts),
                    view,
                    inputs: list,
                }
            })
    }

    #[test]
    fn later_restarts_are_recognized_across_the_wrap() {
        for jumps in 0..=u8::MAX {
            let count = Restarts::new(jumps);
            assert!(!count.is_after(count));
            for later in 1..=11 {
                assert!(Restarts::new(jumps.wrapping_add(later)).is_after(count));
            }
            for earlier in 1..=4 {
                assert!(!Restarts::new(jumps.wrapping_sub(earlier)).is_after(count));
            }
        }
    }

    #[test]
    fn three_repeats_of_an_unchanged_input_cost_at_most_a_byte() {
        let input = InputBytes::new(&[7; 8]).unwrap();
        let mut packet = InputPacket::default();
        let mut buffer = [0; INPUT_PACKET_BYTES_MAX];
        packet.inputs.push_older(input);
        let one = packet.write(&mut buffer);
        (0..3).for_each(|_| packet.inputs.push_older(input));
        assert!(packet.write(&mut buffer) <= one + 1);
    }

    #[test]
    fn an_input_that_is_too_long_and_too_many_inputs_are_refused() {
        assert!(InputBytes::new(&[0; INPUT_BYTES_MAX + 1]).is_none());
        let mut packet = [0u8; 64];
        let mut bits = BitWriter::new(&mut packet);
        bits.write(PayloadKind::INPUT.into(), 8);
        bits.write(0, 1 + 16 + RESTART_BITS + 1);
        bits.write(1, COUNT_BITS);
        bits.write(31, LENGTH_BITS);
        assert_eq!(
            InputPacket::read(&packet),
            Err(InputPacketError::InputTooLong(31))
        );
        let mut bits = BitWriter::new(&mut packet);
        bits.write(PayloadKind::INPUT.into(), 8);
        bits.write(0, 1 + 16 + RESTART_BITS + 1);
        bits.write(5, COUNT_BITS);
        assert_eq!(
            InputPacket::read(&packet),
            Err(InputPacketError::TooManyInputs(5))
        );
    }

    proptest! {
        #[test]
        fn input_packets_round_trip(packet in packet()) {
            let mut buffer = [0xa5; INPUT_PACKET_BYTES_MAX];
            let length = packet.write(&mut buffer);
            let mut bytes = buffer[..length].to_vec();
            prop_assert_eq!(InputPacket::read(&bytes), Ok(packet));
            for end in 0..length {
                prop_assert!(InputPacket::read(&bytes[..end]).is_err());
            }
            bytes.push(0);
            prop_assert_eq!(InputPacket::read(&bytes), Err(InputPacketError::Trailing));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..140)) {
            bytes[0] = PayloadKind::INPUT;
            if let Ok(packet) = InputPacket::read(&bytes) {
                let mut again = [0; INPUT_PACKET_BYTES_MAX];
                let length = packet.write(&mut again);
                prop_assert_eq!(InputPacket::read(&again[..length]), Ok(packet));
            }
        }

        #[test]
        fn view_ticks_unwrap_near_a_reference(tick: u32, fraction: u8, ahead in -30_000i32..30_000) {
            let reference = Tick(tick.wrapping_add_signed(ahead));
            let view = ViewTick::new(Tick(tick), fraction);
            prop_assert_eq!(view.unwrap_near(reference), (Tick(tick), fraction));
            prop_assert_eq!(view.before(3), ViewTick::new(Tick(tick) - 3, fraction));
        }
    }
}
