//! The settings of replication and their ranges.

use throng_shared::limits::{KNOWN_DEFAULT, KNOWN_MAX};

/// Bytes a second that one client is sent unless configured otherwise; the whole UDP payload counts.
pub const BYTES_PER_SECOND_DEFAULT: u32 = 24 * 1_024;
/// Largest number of bytes a second that one client can be configured to be sent.
pub const BYTES_PER_SECOND_MAX: u32 = 64 * 1_024;
/// Smallest number of bytes a second: with fewer, not even the packets' overhead fits.
const BYTES_PER_SECOND_MIN: u32 = 2 * 1_024;

/// Settings of all sessions of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicationConfig {
    /// Ticks a second, at least 1.
    pub tick_rate: u16,
    /// Largest number of entities that a client holds, 1..=[`KNOWN_MAX`].
    pub known: usize,
    /// Bytes a second to one client, 2,048..=[`BYTES_PER_SECOND_MAX`].
    pub bytes_per_second: u32,
    /// Part of the view radius beyond which entities are sent only every fourth tick, 0..=1. At 1, the
    /// default, every change is sent in every tick for as long as the budget suffices.
    pub far_fraction: f32,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self {
            tick_rate: 20,
            known: KNOWN_DEFAULT,
            bytes_per_second: BYTES_PER_SECOND_DEFAULT,
            far_fraction: 1.0,
        }
    }
}

/// A setting that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicationConfigError {
    /// The tick rate is 0.
    #[error("tick_rate is 0, must be at least 1")]
    TickRate,
    /// The size of the known set is out of range.
    #[error("known is {0}, must be 1..={KNOWN_MAX}")]
    Known(usize),
    /// The bytes a second are out of range.
    #[error("bytes_per_second is {0}, must be {BYTES_PER_SECOND_MIN}..={BYTES_PER_SECOND_MAX}")]
    BytesPerSecond(u32),
    /// The fraction of the radius is not within 0..=1.
    #[error("far_fraction is {0}, must be 0..=1")]
    FarFraction(f32),
}

impl ReplicationConfig {
    /// Checks the ranges of all settings.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ReplicationConfigError> {
        if self.tick_rate == 0 {
            return Err(ReplicationConfigError::TickRate);
        }
        if !(1..=KNOWN_MAX).contains(&self.known) {
            return Err(ReplicationConfigError::Known(self.known));
        }
        if !(BYTES_PER_SECOND_MIN..=BYTES_PER_SECOND_MAX).contains(&self.bytes_per_second) {
            return Err(ReplicationConfigError::BytesPerSecond(self.bytes_per_second));
        }
        if !(0.0..=1.0).contains(&self.far_fraction) {
            return Err(ReplicationConfigError::FarFraction(self.far_fraction));
        }
        Ok(())
    }

    /// Returns the number of short ids of a session: a quarter more than entities, for those whose leave is
    /// not acknowledged yet.
    pub(super) fn short_ids(&self) -> usize {
        self.known + self.known / 4 + 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_shared::protocol::snapshot::short_id_bits;

    #[test]
    fn settings_out_of_range_are_refused() {
        let good = ReplicationConfig::default();
        assert_eq!(good.validate(), Ok(()));
        assert!(ReplicationConfig { tick_rate: 0, ..good }.validate().is_err());
        for known in [0, KNOWN_MAX + 1] {
            assert_eq!(
                ReplicationConfig { known, ..good }.validate(),
                Err(ReplicationConfigError::Known(known))
            );
        }
        for bytes_per_second in [0, BYTES_PER_SECOND_MAX + 1] {
            assert!(
                ReplicationConfig {
                    bytes_per_second,
                    ..good
                }
                .validate()
                .is_err()
            );
        }
        for far_fraction in [-0.1, 1.1, f32::NAN] {
            assert!(ReplicationConfig { far_fraction, ..good }.validate().is_err());
        }
    }

    #[test]
    fn short_ids_of_every_known_set_have_a_width() {
        let widths = [1, KNOWN_DEFAULT, KNOWN_MAX].map(|known| {
            let config = ReplicationConfig {
                known,
                ..ReplicationConfig::default()
            };
            short_id_bits(config.short_ids())
        });
        assert_eq!(widths, [Some(8), Some(9), Some(11)]);
    }
}
