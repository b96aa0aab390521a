//! Ranks of candidates by squared distance, without sorting: as exact as one bucket.

/// Buckets by which candidates are ranked.
const BUCKETS: usize = 256;
/// Bucket of a candidate that takes no part in the ranking.
pub(super) const NO_BUCKET: u16 = u16::MAX;

/// The number of candidates by squared distance, in 255 buckets of equal width and one for the rest.
pub(super) struct Ranks {
    counts: [u16; BUCKETS],
    /// Buckets per squared unit.
    scale: f32,
}

impl Ranks {
    pub(super) fn new(end2: f32) -> Self {
        Self {
            counts: [0; BUCKETS],
            scale: (BUCKETS - 1) as f32 / end2.max(f32::MIN_POSITIVE * 1e6),
        }
    }

    #[inline(always)]
    pub(super) fn bucket(&self, distance2: f32) -> u16 {
        ((distance2 * self.scale) as u16).min(BUCKETS as u16 - 1)
    }

    #[inline(always)]
    pub(super) fn count(&mut self, bucket: u16) {
        let count = &mut self.counts[usize::from(bucket) % BUCKETS];
        *count = count.saturating_add(1);
    }

    /// Returns the bucket that contains the candidate of this rank, counted from 0; the last bucket if there
    /// are not that many.
    pub(super) fn bucket_of_rank(&self, rank: usize) -> u16 {
        let mut before = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            before += usize::from(count);
            if before > rank {
                return bucket as u16;
            }
        }
        BUCKETS as u16 - 1
    }

    /// Returns the squared distance at which a bucket ends; infinite for the last.
    pub(super) fn upper_edge(&self, bucket: u16) -> f32 {
        if usize::from(bucket) + 1 == BUCKETS {
            return f32::INFINITY;
        }
        f32::from(bucket + 1) / self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn candidates_at_one_distance_share_a_bucket() {
        let mut ranks = Ranks::new(0.0);
        (0..300).for_each(|_| ranks.count(ranks.bucket(0.0)));
        assert_eq!(
            (
                ranks.bucket_of_rank(0),
                ranks.bucket_of_rank(299),
                ranks.bucket_of_rank(300)
            ),
            (0, 0, 255)
        );
        assert_eq!(
            (ranks.bucket(f32::INFINITY), ranks.upper_edge(255)),
            (255, f32::INFINITY)
        );
    }

    proptest! {
        #[test]
        fn a_rank_is_in_the_bucket_of_its_distance(mut distances2 in prop::collection::vec(0.0f32..150.0, 1..500), rank: prop::sample::Index) {
            let mut ranks = Ranks::new(100.0);
            distances2.iter().for_each(|&distance2| ranks.count(ranks.bucket(distance2)));
            let rank = rank.index(distances2.len());
            distances2.sort_unstable_by(f32::total_cmp);
            let bucket = ranks.bucket_of_rank(rank);
            prop_assert_eq!(bucket, ranks.bucket(distances2[rank]));
            // Rounding may put the very edge on either side.
            prop_assert!(distances2[rank] <= ranks.upper_edge(bucket) * 1.000_001);
        }
    }
}
