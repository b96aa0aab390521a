//! How far a worker is with the frames that it serves.

use std::time::Duration;

use throng_shared::tick::Tick;

/// Part of a tick for which a frame waits for those of the other simulations.
const WAIT_DIVISOR: u32 = 4;

/// Which simulations brought a frame since the last fan-out.
#[derive(Debug)]
pub(super) struct FreshFrames {
    /// Per link.
    fresh: Vec<bool>,
    /// When the first of them came.
    since: Option<Duration>,
    wait_max: Duration,
}

impl FreshFrames {
    pub(super) fn new(links: usize, tick_rate: u32) -> Self {
        Self {
            fresh: vec![false; links],
            since: None,
            wait_max: Duration::from_secs(1) / tick_rate / WAIT_DIVISOR,
        }
    }

    pub(super) fn came(&mut self, link: usize, now: Duration) {
        self.fresh[link] = true;
        self.since.get_or_insert(now);
    }

    /// Whether the frame of one simulation waits for that of another.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Whether to serve now: every simulation has brought a frame, or the first has waited long enough, so
    /// that one simulation that is late does not make all clients late. Begins anew then.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let Some(since) = self.since else { return false };
        let is_due = self.fresh.iter().all(|&fresh| fresh) || now >= since + self.wait_max;
        if is_due {
            self.fresh.fill(false);
            self.since = None;
        }
        is_due
    }
}

/// A tick under way: which sessions have had theirs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    /// Index of the next session.
    pub(super) next: usize,
    pub(super) tick: Tick,
    pub(super) published_at: Duration,
}

/// A tick that every session has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The tick.
    pub tick: Tick,
    /// When its frame was published, since the process's origin.
    pub published_at: Duration,
}

/// How far [`WorkerCore::serve`](super::WorkerCore::serve) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeState {
    /// There is no new frame.
    Idle,
    /// Sessions are left; call again.
    More,
    /// The last session has just been served.
    Done(Served),
}
