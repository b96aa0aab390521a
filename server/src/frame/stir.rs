//! By how much a frame may differ from an earlier one in who is where, without a look at its rows.

use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::POSITION_QUANTUM;

use super::chunk::{AliveBits, HotChunk, Row};

/// What a change of room counts as, in quanta: farther than any view reaches.
const JUMP: u64 = 1 << 40;

/// Counts since the simulation began, so that a reader that skipped frames compares any two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stir {
    /// In quanta: the longest step that anybody took in each tick, added up. Between two frames, nobody who is
    /// in both has moved farther than the difference.
    pub travelled: u64,
    /// Entities that appeared.
    pub arrived: u64,
    /// Entities that disappeared.
    pub departed: u64,
    /// Those that appeared in this very frame.
    pub arrivals: Vec<Slot>,
}

impl Stir {
    /// Units that nobody can have moved beyond since the frame of `earlier`; never too short.
    #[must_use]
    pub fn units_since(&self, earlier: u64) -> f32 {
        // One quantum more for what the conversion may round away.
        (self.travelled.wrapping_sub(earlier) as f32 + 1.0) * POSITION_QUANTUM
    }

    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.arrivals.clear();
    }

    /// Somebody is in another room now.
    pub(super) fn jump(&mut self) {
        self.travelled = self.travelled.wrapping_add(JUMP);
    }

    /// Takes in that a chunk became what `rows` and `alive` are; answers the square of the longest step, in
    /// quanta.
    pub(super) fn compare(
        &mut self,
        chunk: usize,
        before: &HotChunk,
        rows: &[Row],
        alive: &AliveBits,
    ) -> f32 {
        let mut longest2 = 0.0f32;
        for (word, (&then, &now)) in before.alive.iter().zip(alive).enumerate() {
            self.departed = self.departed.wrapping_add(u64::from((then & !now).count_ones()));
            self.arrived = self.arrived.wrapping_add(u64::from((now & !then).count_ones()));
            each_bit(now & !then, |bit| {
                self.arrivals
                    .push(Slot((chunk * CHUNK_SLOTS + word * 64 + bit) as u32));
            });
            let (old, new) = (&before.rows[word * 64..][..64], &rows[word * 64..][..64]);
            each_bit(then & now, |bit| {
                let (old, new) = (&old[bit].pose, &new[bit].pose);
                let dx = (i64::from(new.x) - i64::from(old.x)) as f32;
                let dy = (i64::from(new.y) - i64::from(old.y)) as f32;
                longest2 = longest2.max(dx * dx + dy * dy);
            });
        }
        longest2
    }

    /// Takes in the longest step of a tick, from its square in quanta.
    pub(super) fn travel(&mut self, longest2: f32) {
        if longest2 > 0.0 {
            // The square root of a rounded square: up, and a little more.
            let step = (f64::from(longest2).sqrt() * (1.0 + 1e-6)).ceil() as u64;
            self.travelled = self.travelled.wrapping_add(step);
        }
    }
}

#[inline(always)]
fn each_bit(bits: u64, mut visit: impl FnMut(usize)) {
    let mut left = bits;
    while left != 0 {
        visit(left.trailing_zeros() as usize);
        left &= left - 1;
    }
}
