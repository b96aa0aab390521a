//! Encodes poses as differences to a baseline that both ends have.
//!
//! Owns the prediction of a pose from an older one and the code of the residuals: the real pose less the
//! prediction. Guarantees: integer arithmetic only, so that both ends compute the same on every machine; a
//! decoded pose equals the encoded one in every bit; any input bits result in a pose or an error.
//! Knows nothing of where baselines come from.
//!
//! **Prediction.** The yaw comes first, as a difference. The velocity is the baseline's, turned by
//! the same angle (what steering does) or kept (what drifting does). The position moves by
//! `dt * (v0 * (n - 1) + vn * (n + 1)) / 2` over `n` ticks: exact for a simulation that adds the
//! new velocity in every tick, when the velocity changes evenly.
//!
//! **Code**, least significant bit first:
//!
//! | part | bits |
//! |---|---|
//! | yaw | `0` + 7 signed; `10` unchanged; `11` + 10 |
//! | usual | `0` + 7: all four residuals are in -1..=1, as one number in base 3; the velocity turns |
//! | velocity | `1` + 4-bit symbol: 0..=8 turned, both residuals in -1..=1; 9 kept, the same in 4 more bits; 10..=12 turned, 13..=15 kept, with two zigzag residuals of 3, 5 or 8 bits |
//! | position | 3-bit class, two zigzag residuals of 0, 2, 3, 4, 5, 6, 8 or 10 bits |
//!
//! A pose whose residuals do not fit, after a teleport for example, is sent as an absolute state.

use super::bits::{BitError, BitReader, BitWriter, FIELD_BITS_MAX};
use super::pose::{Pose, YAW_STEPS};

/// Position quanta that one velocity quantum covers in a second.
const POSITION_PER_VELOCITY: u32 = 5;
/// Fractional bits of the fixed-point [`MotionModel::step`].
pub(super) const STEP_BITS: u32 = 16;
/// Fractional bits of the fixed-point [`COSINE`].
const COSINE_BITS: u32 = 14;
const YAW_MASK: u16 = YAW_STEPS - 1;
const YAW_BITS: u32 = YAW_STEPS.trailing_zeros();
const SMALL_TURN_BITS: u32 = 7;

/// Widths of the residuals that follow a velocity symbol, by class; class 0 is the joint code of 9.
pub(super) const VELOCITY_WIDTHS: [u32; 4] = [0, 3, 5, 8];
/// Widths of the position residuals, by class.
pub(super) const POSITION_WIDTHS: [u32; 8] = [0, 2, 3, 4, 5, 6, 8, 10];
/// Widths of an absolute state's coordinates and velocity, by their 2-bit class.
pub(super) const COORDINATE_WIDTHS: [u32; 4] = [14, 18, 24, 32];
pub(super) const SPEED_WIDTHS: [u32; 4] = [0, 8, 12, 16];

/// Velocity symbols: two residuals in -1..=1 take 0..9, and these follow.
const SYMBOL_KEPT_JOINT: u64 = 9;
const SYMBOL_TURNED: u64 = 9;
const SYMBOL_KEPT: u64 = 12;

/// Bits of the longest difference.
const DIFFERENCE_BITS_MAX: u32 = 2 + YAW_BITS + 1 + 4 + 2 * 8 + 3 + 2 * 10;
const _: () = assert!(DIFFERENCE_BITS_MAX <= FIELD_BITS_MAX);

/// An encoded difference, ready to be written as one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeltaBits {
    /// The bits, least significant first; those above `len` are 0.
    pub bits: u64,
    /// The number of bits, 9..=56 on the plane and 14..=64 in space.
    pub len: u8,
}

/// Why bits are not a pose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The input ends in the middle of a pose.
    #[error(transparent)]
    Bits(#[from] BitError),
    /// A code that no encoder writes.
    #[error("not a symbol of the pose code")]
    Symbol,
}

/// The motion of entities between ticks: all that a prediction needs besides the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MotionModel {
    /// Position quanta per velocity quantum and tick, in 2^-16.
    step: i64,
}

impl MotionModel {
    /// Creates the motion of a simulation with `tick_rate` ticks a second; 0 counts as 1.
    #[must_use]
    pub const fn new(tick_rate: u16) -> Self {
        let rate = if tick_rate == 0 { 1 } else { tick_rate as u32 };
        Self {
            step: (((POSITION_PER_VELOCITY << STEP_BITS) + rate / 2) / rate) as i64,
        }
    }

    /// Returns the difference from `base` to `now`, `age` ticks later; `None` where it does not fit.
    #[inline]
    #[must_use]
    pub fn encode(&self, base: &Pose, now: &Pose, age: u32) -> Option<DeltaBits> {
        if base.flags != now.flags {
            return None;
        }
        let turn = signed_turn(now.yaw.wrapping_sub(base.yaw));
        let mut code = CodeWriter::default();
        code.push_turn(turn);
        let (vx, vy) = turned(base, turn);
        let velocity_residual = [i32::from(now.vx) - vx, i32::from(now.vy) - vy];
        let predicted = self.predict_position(base, now.vx, now.vy, age);
        let position_residual = [now.x.wrapping_sub(predicted[0]), now.y.wrapping_sub(predicted[1])];
        if is_tiny(velocity_residual) && is_tiny(position_residual) {
            code.push((joint(velocity_residual) * 9 + joint(position_residual)) << 1, 8);
        } else {
            code.push(1, 1);
            code.push_velocity(base, now, velocity_residual)?;
            code.push_position(position_residual)?;
        }
        Some(DeltaBits {
            bits: code.bits,
            len: code.len as u8,
        })
    }

    /// Decodes the pose that was encoded with the same `base` and `age`.
    ///
    /// # Errors
    /// [`DeltaError`]; nothing is read then.
    #[inline(always)]
    pub(crate) fn decode(
        &self,
        base: &Pose,
        age: u32,
        reader: &mut BitReader<'_>,
    ) -> Result<Pose, DeltaError> {
        // No difference is longer than one field, so a single look at the bits contains all of it.
        let mut code = CodeReader::new(reader.peek());
        let turn = code.take_turn();
        let (velocity, position_residual) = if code.take(1) == 0 {
            let index = code.take(7);
            if index >= 81 {
                return Err(DeltaError::Symbol);
            }
            let (vx, vy) = turned(base, turn);
            let velocity_residual = split(index / 9);
            (
                [vx + velocity_residual[0], vy + velocity_residual[1]],
                split(index % 9),
            )
        } else {
            (code.take_velocity(base, turn)?, code.take_position())
        };
        reader.skip(code.taken)?;
        // An encoder's values are in range; those of a hostile peer wrap.
        let (vx, vy) = (velocity[0] as i16, velocity[1] as i16);
        let predicted = self.predict_position(base, vx, vy, age);
        Ok(Pose {
            x: predicted[0].wrapping_add(position_residual[0]),
            y: predicted[1].wrapping_add(position_residual[1]),
            vx,
            vy,
            yaw: base.yaw.wrapping_add(turn as u16) & YAW_MASK,
            flags: base.flags,
        })
    }

    /// Predicts the position of `base` after `age` ticks, at the end of which its velocity is (`vx`, `vy`).
    #[inline]
    fn predict_position(&self, base: &Pose, vx: i16, vy: i16, age: u32) -> [i32; 2] {
        [
            predict_axis(self.step, base.x, base.vx, vx, age),
            predict_axis(self.step, base.y, base.vy, vy, age),
        ]
    }
}

/// Predicts a coordinate from that of `age` ticks ago, with the velocities then and now; `step` is position quanta per
/// velocity quantum and tick, in 2^-16.
#[inline(always)]
pub(super) fn predict_axis(step: i64, base: i32, then: i16, now: i16, age: u32) -> i32 {
    let age = i64::from(age);
    // Twice the sum of the velocities, so that the half is applied once, in the rounding shift.
    let twice = i64::from(then) * (age - 1) + i64::from(now) * (age + 1);
    base.wrapping_add(((twice * step + (1 << STEP_BITS)) >> (STEP_BITS + 1)) as i32)
}

/// Returns the number of bits that `pose` takes without a baseline.
#[inline]
#[must_use]
pub fn absolute_bits(pose: &Pose) -> u32 {
    let coordinate = COORDINATE_WIDTHS[coordinate_class(pose)];
    let speed = SPEED_WIDTHS[speed_class(pose)];
    2 + 2 * coordinate + 2 + 2 * speed + YAW_BITS + 1 + if pose.flags == 0 { 0 } else { 16 }
}

/// Writes `pose` without a baseline. The yaw is taken modulo [`YAW_STEPS`].
#[inline]
pub(crate) fn write_absolute(pose: &Pose, writer: &mut BitWriter<'_>) {
    let (coordinate, speed) = (coordinate_class(pose), speed_class(pose));
    writer.write(coordinate as u64 | (speed as u64) << 2, 4);
    writer.write(u64::from(zigzag(pose.x)), COORDINATE_WIDTHS[coordinate]);
    writer.write(u64::from(zigzag(pose.y)), COORDINATE_WIDTHS[coordinate]);
    writer.write(u64::from(zigzag(pose.vx.into())), SPEED_WIDTHS[speed]);
    writer.write(u64::from(zigzag(pose.vy.into())), SPEED_WIDTHS[speed]);
    writer.write(u64::from(pose.yaw & YAW_MASK), YAW_BITS);
    writer.write_bool(pose.flags != 0);
    if pose.flags != 0 {
        writer.write(pose.flags.into(), 16);
    }
}

/// Reads a pose that was written without a baseline.
///
/// # Errors
/// [`DeltaError::Bits`] when the bits end before the pose does.
#[inline]
pub(crate) fn read_absolute(reader: &mut BitReader<'_>) -> Result<Pose, DeltaError> {
    let coordinate = COORDINATE_WIDTHS[reader.read(2)? as usize];
    let speed = SPEED_WIDTHS[reader.read(2)? as usize];
    Ok(Pose {
        x: unzigzag(reader.read(coordinate)? as u32),
        y: unzigzag(reader.read(coordinate)? as u32),
        vx: unzigzag(reader.read(speed)? as u32) as i16,
        vy: unzigzag(reader.read(speed)? as u32) as i16,
        yaw: reader.read(YAW_BITS)? as u16,
        flags: if reader.read_bool()? {
            reader.read(16)? as u16
        } else {
            0
        },
    })
}

fn coordinate_class(pose: &Pose) -> usize {
    class(&COORDINATE_WIDTHS, zigzag(pose.x) | zigzag(pose.y)).unwrap_or(COORDINATE_WIDTHS.len() - 1)
}

fn speed_class(pose: &Pose) -> usize {
    class(&SPEED_WIDTHS, zigzag(pose.vx.into()) | zigzag(pose.vy.into())).unwrap_or(SPEED_WIDTHS.len() - 1)
}

/// Joins fields into one word.
#[derive(Default)]
struct CodeWriter {
    bits: u64,
    len: u32,
}

impl CodeWriter {
    #[inline(always)]
    fn push(&mut self, value: u64, bits: u32) {
        self.bits |= value << self.len;
        self.len += bits;
    }

    #[inline(always)]
    fn push_turn(&mut self, turn: i32) {
        if turn == 0 {
            self.push(0b01, 2);
        } else if (-64..64).contains(&turn) {
            self.push((turn as u64 & 0x7f) << 1, 1 + SMALL_TURN_BITS);
        } else {
            self.push(0b11 | (turn as u64 & u64::from(YAW_MASK)) << 2, 2 + YAW_BITS);
        }
    }

    /// Appends the velocity's symbol and residuals. `velocity_residual` is that of the turned baseline.
    fn push_velocity(&mut self, base: &Pose, now: &Pose, velocity_residual: [i32; 2]) -> Option<()> {
        let kept_residual = [
            i32::from(now.vx) - i32::from(base.vx),
            i32::from(now.vy) - i32::from(base.vy),
        ];
        let (turned, kept) = (velocity_class(velocity_residual), velocity_class(kept_residual));
        let is_kept = kept.unwrap_or(usize::MAX) < turned.unwrap_or(usize::MAX);
        let (class, velocity_residual) = if is_kept {
            (kept?, kept_residual)
        } else {
            (turned?, velocity_residual)
        };
        match (class, is_kept) {
            (0, false) => self.push(joint(velocity_residual), 4),
            (0, true) => self.push(SYMBOL_KEPT_JOINT | joint(velocity_residual) << 4, 8),
            (_, false) => self.push(SYMBOL_TURNED + class as u64, 4),
            (_, true) => self.push(SYMBOL_KEPT + class as u64, 4),
        }
        if class > 0 {
            self.push_pair(velocity_residual, VELOCITY_WIDTHS[class]);
        }
        Some(())
    }

    fn push_position(&mut self, position_residual: [i32; 2]) -> Option<()> {
        let class = class(
            &POSITION_WIDTHS,
            zigzag(position_residual[0]) | zigzag(position_residual[1]),
        )?;
        self.push(class as u64, 3);
        self.push_pair(position_residual, POSITION_WIDTHS[class]);
        Some(())
    }

    fn push_pair(&mut self, pair: [i32; 2], width: u32) {
        self.push(u64::from(zigzag(pair[0])), width);
        self.push(u64::from(zigzag(pair[1])), width);
    }
}

/// Takes fields out of one word.
struct CodeReader {
    bits: u64,
    taken: u32,
}

impl CodeReader {
    #[inline(always)]
    fn new(bits: u64) -> Self {
        Self { bits, taken: 0 }
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) -> u64 {
        let value = self.bits & ((1 << bits) - 1);
        self.bits >>= bits;
        self.taken += bits;
        value
    }

    #[inline(always)]
    fn take_turn(&mut self) -> i32 {
        if self.take(1) == 0 {
            // Shifting up and back down copies the top bit of the 7 into the bits above: sign extension.
            let turn = self.take(SMALL_TURN_BITS) as i32;
            return turn << (32 - SMALL_TURN_BITS) >> (32 - SMALL_TURN_BITS);
        }
        if self.take(1) == 0 {
            return 0;
        }
        signed_turn(self.take(YAW_BITS) as u16)
    }

    fn take_velocity(&mut self, base: &Pose, turn: i32) -> Result<[i32; 2], DeltaError> {
        let symbol = self.take(4);
        let is_kept = symbol == SYMBOL_KEPT_JOINT || symbol > SYMBOL_KEPT;
        let velocity_residual = if symbol <= SYMBOL_KEPT_JOINT {
            let index = if is_kept { self.take(4) } else { symbol };
            if index >= 9 {
                return Err(DeltaError::Symbol);
            }
            split(index)
        } else {
            let class = symbol - if is_kept { SYMBOL_KEPT } else { SYMBOL_TURNED };
            self.take_pair(VELOCITY_WIDTHS[class as usize])
        };
        let (vx, vy) = if is_kept {
            (base.vx.into(), base.vy.into())
        } else {
            turned(base, turn)
        };
        Ok([vx + velocity_residual[0], vy + velocity_residual[1]])
    }

    fn take_position(&mut self) -> [i32; 2] {
        let class = self.take(3);
        self.take_pair(POSITION_WIDTHS[class as usize])
    }

    fn take_pair(&mut self, width: u32) -> [i32; 2] {
        [
            unzigzag(self.take(width) as u32),
            unzigzag(self.take(width) as u32),
        ]
    }
}

/// Returns the first class whose width holds `bits`, the or of zigzag codes.
#[inline]
pub(super) fn class(widths: &[u32], bits: u32) -> Option<usize> {
    let needed = 32 - bits.leading_zeros();
    widths.iter().position(|&width| width >= needed)
}

#[inline]
fn velocity_class(velocity_residual: [i32; 2]) -> Option<usize> {
    if is_tiny(velocity_residual) {
        return Some(0);
    }
    class(
        &VELOCITY_WIDTHS,
        zigzag(velocity_residual[0]) | zigzag(velocity_residual[1]),
    )
}

#[inline(always)]
fn is_tiny(pair: [i32; 2]) -> bool {
    (-1..=1).contains(&pair[0]) && (-1..=1).contains(&pair[1])
}

/// Joins two values in -1..=1 into one in 0..9; [`split`] is the inverse.
#[inline(always)]
fn joint(pair: [i32; 2]) -> u64 {
    ((pair[0] + 1) * 3 + pair[1] + 1) as u64
}

#[inline(always)]
fn split(index: u64) -> [i32; 2] {
    let index = index as i32;
    [index / 3 - 1, index % 3 - 1]
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...: small numbers of either sign get small codes.
///
/// `value >> 31` is all ones for a negative number, so the xor inverts its bits, and 0 for others.
#[inline(always)]
pub(super) fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// Inverts [`zigzag`]: the lowest bit, negated, is all ones for a negative number.
#[inline(always)]
pub(super) fn unzigzag(code: u32) -> i32 {
    (code >> 1) as i32 ^ -((code & 1) as i32)
}

/// Returns a difference of yaws as the shorter way, -512..512, by sign extension of its low 10 bits.
#[inline(always)]
fn signed_turn(difference: u16) -> i32 {
    i32::from((difference << (16 - YAW_BITS)) as i16 >> (16 - YAW_BITS))
}

/// Returns the baseline's velocity turned by `turn` yaw steps, rounded to the nearest quantum.
#[inline(always)]
fn turned(base: &Pose, turn: i32) -> (i32, i32) {
    let index = turn as usize & usize::from(YAW_MASK);
    let cosine = i32::from(COSINE[index]);
    let sine = i32::from(COSINE[index.wrapping_sub(usize::from(YAW_STEPS / 4)) & usize::from(YAW_MASK)]);
    let (vx, vy) = (i32::from(base.vx), i32::from(base.vy));
    let round = 1 << (COSINE_BITS - 1);
    (
        (vx * cosine - vy * sine + round) >> COSINE_BITS,
        (vx * sine + vy * cosine + round) >> COSINE_BITS,
    )
}

/// Cosines of all yaws, in 2^-14. The sine is the cosine a quarter turn before.
static COSINE: [i16; YAW_STEPS as usize] = cosines();

const fn cosines() -> [i16; YAW_STEPS as usize] {
    const QUARTER: usize = YAW_STEPS as usize / 4;
    let mut table = [0; YAW_STEPS as usize];
    let mut step = 0;
    while step <= QUARTER {
        let value = sine(QUARTER - step);
        table[step] = value;
        table[2 * QUARTER - step] = -value;
        table[2 * QUARTER + step] = -value;
        if step > 0 {
            table[4 * QUARTER - step] = value;
        }
        step += 1;
    }
    table
}

/// Returns the sine of `step` yaw steps in the first quarter turn, in 2^-14: Taylor's series in 2^-40.
const fn sine(step: usize) -> i16 {
    const PI: i128 = 3_454_217_652_358;
    let x = step as i128 * PI / (YAW_STEPS as i128 / 2);
    let (mut sum, mut term, mut n) = (x, x, 1);
    while n < 12 {
        term = -((((term * x) >> 40) * x) >> 40) / (2 * n * (2 * n + 1));
        sum += term;
        n += 1;
    }
    ((sum + (1 << 25)) >> 26) as i16
}

#[cfg(test)]
mod tests;
