//! The progress of a worker with the frames that it serves.

use std::time::Duration;

use throng_shared::tick::Tick;

/// Divisor of a tick: a frame waits at most a quarter of a tick for the frames of the other simulations.
const WAIT_DIVISOR: u32 = 4;

/// The simulations that have sent a frame since the last fan-out.
#[derive(Debug)]
pub(super) struct FreshFrames {
    /// By link: whether a frame arrived.
    fresh: Vec<bool>,
    /// Time at which the first of these frames arrived, since the process's origin.
    since: Option<Duration>,
    wait_max: Duration,
}

impl FreshFrames {
    /// Creates the state for a number of links without any frame.
    pub(super) fn new(links: usize, tick_rate: u32) -> Self {
        Self {
            fresh: vec![false; links],
            since: None,
            wait_max: Duration::from_secs(1) / tick_rate / WAIT_DIVISOR,
        }
    }

    /// Records that a frame of a link's simulation arrived.
    pub(super) fn record_arrival(&mut self, link: usize, now: Duration) {
        self.fresh[link] = true;
        self.since.get_or_insert(now);
    }

    /// Returns whether the frame of one simulation waits for the frame of another.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Returns whether to serve the clients now: a new frame of every simulation has arrived, or the first new frame has
    /// waited for `wait_max`. The limit keeps one late simulation from making all clients late. If it returns true, the
    /// frames that have arrived no longer count as new.
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

/// A fan-out in progress: the tick that is served and the sessions that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    /// Index of the next session to serve.
    pub(super) next: usize,
    pub(super) tick: Tick,
    pub(super) published_at: Duration,
}

/// A completed fan-out: a tick that was served to every session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Tick of the newest frame that was served.
    pub tick: Tick,
    /// Time at which its frame was published, since the process's origin.
    pub published_at: Duration,
}

/// Progress of a fan-out after one call of [`WorkerCore::serve`](super::WorkerCore::serve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeState {
    /// There is no new frame.
    Idle,
    /// Sessions are left; call again.
    More,
    /// The last session has just been served.
    Done(Served),
}
