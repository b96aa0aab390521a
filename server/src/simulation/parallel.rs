//! Parallel work inside a system.
//!
//! Guarantees that the result does not depend on threads: work is divided into fixed chunks, each of which
//! writes only to itself. With one thread there is no pool, and the work runs in place.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bevy_ecs::prelude::Resource;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Executes chunks of work, on a pool of its own or in place.
#[derive(Resource, Debug, Default)]
pub struct Parallel {
    pool: Option<ThreadPool>,
    /// One bit for each thread that has executed a chunk; the highest bit is shared by all further threads.
    used: AtomicU64,
}

impl Parallel {
    /// Creates a pool of `threads` threads, or none if there is only one.
    ///
    /// # Errors
    /// If the operating system refuses to start the threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        if threads <= 1 {
            return Ok(Self::default());
        }
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder
            .thread_name(|index| format!("simulation-{index}"))
            .build()?;
        Ok(Self {
            pool: Some(pool),
            used: AtomicU64::new(0),
        })
    }

    /// Executes `work` for every chunk, in any order, and returns when all are done.
    pub fn for_each<T: Send>(&self, chunks: impl Iterator<Item = T>, work: impl Fn(T) + Sync + Send) {
        let Some(pool) = &self.pool else {
            self.note_thread();
            chunks.for_each(work);
            return;
        };
        let chunks: Vec<T> = chunks.collect();
        pool.install(|| {
            chunks.into_par_iter().with_max_len(1).for_each(|chunk| {
                self.note_thread();
                work(chunk);
            });
        });
    }

    /// Returns the number of threads that have executed a chunk so far.
    #[must_use]
    pub fn threads_used(&self) -> u32 {
        self.used.load(Relaxed).count_ones()
    }

    fn note_thread(&self) {
        let bit = 1u64 << rayon::current_thread_index().unwrap_or(0).min(63);
        if self.used.load(Relaxed) & bit == 0 {
            self.used.fetch_or(bit, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn a_single_thread_has_no_pool_and_four_threads_work_at_once() {
        let mut values = vec![0u32; 1_000];
        let alone = Parallel::new(1).unwrap();
        alone.for_each(values.chunks_mut(100), |chunk| chunk.fill(1));
        assert!(alone.pool.is_none());
        assert_eq!((alone.threads_used(), values.iter().sum::<u32>()), (1, 1_000));

        let four = Parallel::new(4).unwrap();
        let together = Barrier::new(4);
        four.for_each(values.chunks_mut(250), |chunk| {
            together.wait();
            chunk.fill(2);
        });
        assert_eq!((four.threads_used(), values.iter().sum::<u32>()), (4, 2_000));
    }
}
