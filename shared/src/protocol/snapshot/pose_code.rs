//! The two codes of poses that a packet can have: on the plane and in space.

use crate::protocol::bits::{BitReader, BitWriter};
use crate::protocol::delta::{
    DeltaBits, DeltaError, MotionModel, absolute_bits, read_absolute, write_absolute,
};
use crate::protocol::delta3d::MotionModel3d;
use crate::protocol::pose::Pose;
use crate::protocol::pose3d::Pose3d;

/// How the poses of a game are written: by [`MotionModel`] on the plane, by [`MotionModel3d`] in space.
pub trait PoseCode: sealed::Bits {
    /// Returns the difference from `base` to `now`, `age` ticks later; `None` where it does not fit.
    fn encode(&self, base: &Self::Pose, now: &Self::Pose, age: u32) -> Option<DeltaBits>;

    /// Returns the number of bits that a pose takes without a baseline.
    fn absolute_bits(&self, pose: &Self::Pose) -> u32;
}

pub(super) mod sealed {
    use std::fmt::Debug;

    use crate::protocol::bits::{BitReader, BitWriter};
    use crate::protocol::delta::DeltaError;

    /// The part of [`PoseCode`](super::PoseCode) that needs this crate's bits.
    pub trait Bits {
        /// A pose in quanta.
        type Pose: Copy + Debug + Default + PartialEq;

        /// Reads a pose that was encoded as a difference to `base`.
        ///
        /// # Errors
        /// [`DeltaError`] when the bits are not a pose.
        fn read(
            &self,
            base: &Self::Pose,
            age: u32,
            bits: &mut BitReader<'_>,
        ) -> Result<Self::Pose, DeltaError>;

        /// Reads a pose that was written without a baseline.
        ///
        /// # Errors
        /// [`DeltaError`] when the bits end before the pose does.
        fn read_absolute(&self, bits: &mut BitReader<'_>) -> Result<Self::Pose, DeltaError>;

        /// Writes a pose without a baseline.
        fn write_absolute(&self, pose: &Self::Pose, bits: &mut BitWriter<'_>);
    }
}

impl PoseCode for MotionModel {
    #[inline]
    fn encode(&self, base: &Pose, now: &Pose, age: u32) -> Option<DeltaBits> {
        self.encode(base, now, age)
    }

    #[inline]
    fn absolute_bits(&self, pose: &Pose) -> u32 {
        absolute_bits(pose)
    }
}

impl sealed::Bits for MotionModel {
    type Pose = Pose;

    #[inline(always)]
    fn read(&self, base: &Pose, age: u32, bits: &mut BitReader<'_>) -> Result<Pose, DeltaError> {
        self.decode(base, age, bits)
    }

    #[inline]
    fn read_absolute(&self, bits: &mut BitReader<'_>) -> Result<Pose, DeltaError> {
        read_absolute(bits)
    }

    #[inline]
    fn write_absolute(&self, pose: &Pose, bits: &mut BitWriter<'_>) {
        write_absolute(pose, bits);
    }
}

impl PoseCode for MotionModel3d {
    fn encode(&self, base: &Pose3d, now: &Pose3d, age: u32) -> Option<DeltaBits> {
        self.encode(base, now, age)
    }

    fn absolute_bits(&self, pose: &Pose3d) -> u32 {
        self.absolute_bits(pose)
    }
}

impl sealed::Bits for MotionModel3d {
    type Pose = Pose3d;

    fn read(&self, base: &Pose3d, age: u32, bits: &mut BitReader<'_>) -> Result<Pose3d, DeltaError> {
        self.decode(base, age, bits)
    }

    fn read_absolute(&self, bits: &mut BitReader<'_>) -> Result<Pose3d, DeltaError> {
        self.read_absolute(bits)
    }

    fn write_absolute(&self, pose: &Pose3d, bits: &mut BitWriter<'_>) {
        self.write_absolute(pose, bits);
    }
}
