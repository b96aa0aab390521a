//! Whom to listen to next, without being told: bots that are heard in every tick take turns in a queue.
//!
//! A socket that epoll watches makes whoever sends to it wake the watcher, datagram by datagram: on one
//! machine the server pays for it, and the swarm a second time. A server's net worker sends to its clients in
//! the same order in every tick, so the bot that was heard longest ago is the one that is heard next, and no
//! watching is needed: one queue for each address that a server sends from, in the order in which its bots
//! were last heard.
//!
//! Owns who is in which queue; reading sockets and watching them is the [driver](super::driver)'s. Guarantees:
//! - Only a bot heard [`STEADY_HEARINGS`] times, each within [`STEADY_TICKS`] of the last, takes turns.
//! - One whose datagram does not come keeps its place. It leaves, to be watched again, after
//!   [`PATIENCE_TICKS`] without any, or at once when the server has passed it over; and it never leaves without
//!   having been looked at just then.
//! - A second datagram of a tick is read with the first, or in the next sweep where it was not there yet: only
//!   the bot heard last can be in the middle of being sent to. One sent out of turn waits for the bot's turn,
//!   a tick at most.
//! - A look is told who comes next, so that what they need can be fetched ahead.
//! - A sweep ends after [`SWEEP_LOOKS_MAX`] bots, or [`MISSES_MAX`] in a queue that had nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Hearings in a row after which a bot takes turns.
pub const STEADY_HEARINGS: u32 = 8;
/// Ticks between two hearings at most, for them to be in a row.
pub const STEADY_TICKS: u32 = 2;
/// Ticks without a hearing after which a bot takes turns no longer.
pub const PATIENCE_TICKS: f64 = 2.5;
/// Bots in a row that had nothing, after which a queue is left alone.
pub const MISSES_MAX: usize = 8;
/// Bots looked at in one sweep of all queues: a millisecond or two of decoding, so that updates stay on time.
pub const SWEEP_LOOKS_MAX: usize = 256;
/// Bots whose coming is told.
pub const AHEAD: usize = 4;
/// 2^32 over the golden ratio: multiples of it fall evenly over the range, however few they are.
const GOLDEN_STRIDE: u32 = 2_654_435_769;

/// What a look at a bot's socket found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Datagrams, the last of them read at this time.
    Heard(Duration),
    /// None.
    Missed,
    /// The bot is no more.
    Gone,
}

/// Who is looked at after this one, the nearest first.
pub type Coming = [Option<u32>; AHEAD];

/// What is known of a bot that is watched.
#[derive(Debug, Clone, Copy, Default)]
struct BotRecord {
    hearings: u32,
    heard_at: Duration,
    takes_turns: bool,
}

/// A bot's place in a queue.
#[derive(Debug, Clone, Copy)]
struct Turn {
    bot: u32,
    patience: Duration,
    leaves_at: Duration,
}

impl Turn {
    fn heard(self, at: Duration) -> Self {
        Self {
            leaves_at: at + self.patience,
            ..self
        }
    }
}

/// The bots that one net worker sends to.
#[derive(Debug)]
struct WorkerQueue {
    server: SocketAddr,
    /// Whoever was heard longest ago is in front.
    turns: VecDeque<Turn>,
    elsewhere: u32,
}

/// All queues, and how far everybody else is from being in one.
#[derive(Debug)]
pub struct PollOrder {
    standings: Vec<BotRecord>,
    queues: Vec<WorkerQueue>,
    /// Scratch of a sweep.
    missed: Vec<Turn>,
    leaving: Vec<u32>,
}

impl PollOrder {
    /// Nobody takes turns yet.
    #[must_use]
    pub fn new(bots: usize) -> Self {
        Self {
            standings: vec![BotRecord::default(); bots],
            queues: Vec::new(),
            missed: Vec::with_capacity(MISSES_MAX),
            leaving: Vec::new(),
        }
    }

    /// Whether nobody takes turns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.turns.is_empty())
    }

    /// A bot that is watched was heard at `at`, from `server`. True when it takes turns from now on and need
    /// not be watched.
    #[must_use]
    pub fn note(&mut self, bot: u32, server: SocketAddr, at: Duration, tick: Duration) -> bool {
        let standing = &mut self.standings[bot as usize];
        if standing.takes_turns {
            return false;
        }
        let is_in_row = at.saturating_sub(standing.heard_at) <= tick * STEADY_TICKS;
        standing.hearings = if is_in_row { standing.hearings + 1 } else { 1 };
        standing.heard_at = at;
        if standing.hearings < STEADY_HEARINGS {
            return false;
        }
        standing.takes_turns = true;
        let patience = tick.mul_f64(PATIENCE_TICKS);
        let turn = Turn {
            bot,
            patience,
            leaves_at: at + patience,
        };
        self.queue_of(server).turns.push_back(turn);
        true
    }

    /// Looks at those who are due. True when the sweep was cut short and somebody may wait.
    ///
    /// Afterwards take everybody out with [`PollOrder::pop_leaving`].
    pub fn sweep(&mut self, now: Duration, mut look: impl FnMut(u32, Coming) -> Polled) -> bool {
        let looks_max = SWEEP_LOOKS_MAX / self.queues.len().max(1);
        let mut is_cut = false;
        for queue in &mut self.queues {
            queue.look_at_last(&mut look);
            is_cut |= queue.sweep(now, looks_max, &mut self.missed, &mut self.leaving, &mut look);
        }
        is_cut
    }

    /// Somebody who has left in a sweep and must be watched again. What came before that is not announced.
    pub fn pop_leaving(&mut self) -> Option<u32> {
        let bot = self.leaving.pop()?;
        self.standings[bot as usize] = BotRecord::default();
        Some(bot)
    }

    /// Workers are few.
    fn queue_of(&mut self, server: SocketAddr) -> &mut WorkerQueue {
        let known = self.queues.iter().position(|queue| queue.server == server);
        let index = known.unwrap_or_else(|| {
            self.queues.push(WorkerQueue {
                server,
                turns: VecDeque::new(),
                elsewhere: 0,
            });
            self.queues.len() - 1
        });
        &mut self.queues[index]
    }
}

impl WorkerQueue {
    /// Whoever was heard last may have been sent but a part of its tick by then.
    fn look_at_last(&mut self, look: &mut impl FnMut(u32, Coming) -> Polled) {
        let Some(last) = self.turns.pop_back() else { return };
        match look(last.bot, self.coming()) {
            Polled::Heard(at) => self.turns.push_back(last.heard(at)),
            Polled::Missed => self.turns.push_back(last),
            Polled::Gone => {}
        }
    }

    fn coming(&self) -> Coming {
        std::array::from_fn(|index| self.turns.get(index).map(|turn| turn.bot))
    }

    fn sweep(
        &mut self,
        now: Duration,
        looks_max: usize,
        missed: &mut Vec<Turn>,
        leaving: &mut Vec<u32>,
        look: &mut impl FnMut(u32, Coming) -> Polled,
    ) -> bool {
        let mut looks = 0;
        while looks < looks_max {
            if missed.len() == MISSES_MAX {
                looks += 1;
                if !self.look_elsewhere(look) {
                    break;
                }
                // The server is past those: they would hold up everybody behind them.
                leaving.extend(missed.drain(..).map(|turn| turn.bot));
                continue;
            }
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            looks += 1;
            match look(turn.bot, self.coming()) {
                Polled::Heard(at) => self.turns.push_back(turn.heard(at)),
                Polled::Missed if turn.leaves_at <= now => leaving.push(turn.bot),
                Polled::Missed => missed.push(turn),
                Polled::Gone => {}
            }
        }
        for turn in missed.drain(..).rev() {
            self.turns.push_front(turn);
        }
        looks == looks_max
    }

    /// Looks at one more bot, in another part of the queue each time; whether it was heard.
    fn look_elsewhere(&mut self, look: &mut impl FnMut(u32, Coming) -> Polled) -> bool {
        self.elsewhere = self.elsewhere.wrapping_add(GOLDEN_STRIDE);
        let place = (u64::from(self.elsewhere) * self.turns.len() as u64) >> u32::BITS;
        let Some(&turn) = self.turns.get(place as usize) else {
            return false;
        };
        let found = look(turn.bot, self.coming());
        if found == Polled::Missed {
            return false;
        }
        self.turns.remove(place as usize);
        match found {
            Polled::Heard(at) => {
                self.turns.push_back(turn.heard(at));
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const TICK: Duration = Duration::from_millis(50);
    const MS: Duration = Duration::from_millis(1);

    fn server(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Bots that have been heard steadily, in this order, the last time at `at`.
    fn steady(heard: &mut PollOrder, bots: impl Iterator<Item = u32> + Clone, port: u16, at: Duration) {
        for hearing in (0..STEADY_HEARINGS).rev() {
            for bot in bots.clone() {
                let takes_turns = heard.note(bot, server(port), at - TICK * hearing, TICK);
                assert_eq!(takes_turns, hearing == 0);
            }
        }
    }

    /// Sockets with datagrams, and who was looked at.
    #[derive(Default)]
    struct Sockets {
        waiting: HashMap<u32, u32>,
        looks: Vec<u32>,
        heard: Vec<u32>,
    }

    impl Sockets {
        fn send(&mut self, bots: impl IntoIterator<Item = u32>) {
            bots.into_iter()
                .for_each(|bot| *self.waiting.entry(bot).or_default() += 1);
        }

        fn look(&mut self, bot: u32, now: Duration) -> Polled {
            self.looks.push(bot);
            if self.waiting.remove(&bot).is_none() {
                return Polled::Missed;
            }
            self.heard.push(bot);
            Polled::Heard(now)
        }

        /// One sweep; who was heard in it, and whether it was cut short.
        fn sweep(&mut self, heard: &mut PollOrder, now: Duration) -> (Vec<u32>, bool) {
            self.looks.clear();
            let is_cut = heard.sweep(now, |bot, _| self.look(bot, now));
            (std::mem::take(&mut self.heard), is_cut)
        }
    }

    fn order(heard: &PollOrder, queue: usize) -> Vec<u32> {
        heard.queues[queue].turns.iter().map(|turn| turn.bot).collect()
    }

    fn leaving(heard: &mut PollOrder) -> Vec<u32> {
        let mut bots: Vec<_> = std::iter::from_fn(|| heard.pop_leaving()).collect();
        bots.sort_unstable();
        bots
    }

    #[test]
    fn only_the_steady_take_turns() {
        let mut heard = PollOrder::new(1);
        let mut at = Duration::from_secs(1);
        for hearing in 1..STEADY_HEARINGS * 2 - 1 {
            // A pause in the middle: the row begins anew.
            at += if hearing == STEADY_HEARINGS {
                TICK * 3
            } else {
                TICK * STEADY_TICKS
            };
            assert!(!heard.note(0, server(1), at, TICK), "hearing {hearing}");
            assert!(heard.is_empty());
        }
        assert!(heard.note(0, server(1), at + TICK, TICK));
        assert!(!heard.is_empty());
    }

    #[test]
    fn whoever_was_heard_longest_ago_is_looked_at_first_and_misses_keep_their_places() {
        let (mut heard, mut sockets, now) = (PollOrder::new(20), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..20, 1, now - TICK);
        sockets.send([0, 1, 3, 4]);
        let (found, is_cut) = sockets.sweep(&mut heard, now);
        assert_eq!(found, [0, 1, 3, 4]);
        assert!(!is_cut);
        assert_eq!(order(&heard, 0)[..3], [2, 5, 6]);
        assert_eq!(order(&heard, 0)[16..], [0, 1, 3, 4]);
        // The last one, the front, and a look elsewhere; then it is left alone.
        assert!(sockets.sweep(&mut heard, now + MS).0.is_empty());
        assert_eq!(sockets.looks[..9], [4, 2, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(sockets.looks.len(), 1 + MISSES_MAX + 1);
        sockets.send([2]);
        assert_eq!(sockets.sweep(&mut heard, now + 2 * MS).0, [2]);
        assert_eq!(order(&heard, 0)[16..], [1, 3, 4, 2]);
        assert!(leaving(&mut heard).is_empty());
    }

    #[test]
    fn a_look_is_told_who_comes_next() {
        let (mut heard, now) = (PollOrder::new(20), TICK * 20);
        steady(&mut heard, 0..20, 1, now - TICK);
        let mut told = Vec::new();
        heard.sweep(now, |bot, coming| {
            told.push((bot, coming));
            Polled::Missed
        });
        // The first look is at the one heard last.
        assert_eq!(told[0], (19, [0, 1, 2, 3].map(Some)));
        assert_eq!(told[1], (0, [1, 2, 3, 4].map(Some)));
    }

    #[test]
    fn the_rest_of_a_tick_is_read_in_the_next_sweep() {
        let (mut heard, mut sockets, now) = (PollOrder::new(20), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..20, 1, now - TICK);
        sockets.send(0..3);
        sockets.sweep(&mut heard, now);
        sockets.send(2..5);
        assert_eq!(sockets.sweep(&mut heard, now + MS).0, [2, 3, 4]);
        assert_eq!(order(&heard, 0)[15..], [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_falls_silent_leaves_and_becomes_steady_anew() {
        let (mut heard, mut sockets, now) = (PollOrder::new(3), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..3, 1, now);
        sockets.send([1, 2]);
        sockets.sweep(&mut heard, now + TICK);
        let late = now + TICK.mul_f64(PATIENCE_TICKS);
        sockets.sweep(&mut heard, late - MS);
        assert!(leaving(&mut heard).is_empty());
        sockets.sweep(&mut heard, late);
        assert_eq!(leaving(&mut heard), [0]);
        assert!(!order(&heard, 0).contains(&0));
        assert!(!heard.note(0, server(1), late + TICK, TICK));
    }

    #[test]
    fn nobody_leaves_unlooked_at_however_long_the_swarm_was_away() {
        let (mut heard, mut sockets, now) = (PollOrder::new(40), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..40, 1, now);
        sockets.send(0..40);
        assert_eq!(sockets.sweep(&mut heard, now + TICK * 50).0.len(), 40);
        assert!(leaving(&mut heard).is_empty());
    }

    #[test]
    fn whom_the_server_passes_over_holds_nobody_up() {
        let (mut heard, mut sockets, now) = (PollOrder::new(200), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..200, 1, now - TICK);
        sockets.send(64..200);
        let mut found = 0;
        for sweep in 0..10 {
            found += sockets.sweep(&mut heard, now + MS * sweep).0.len();
        }
        assert_eq!(found, 136);
        assert_eq!(leaving(&mut heard), (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn two_workers_do_not_wait_for_each_other() {
        let (mut heard, mut sockets, now) = (PollOrder::new(40), Sockets::default(), TICK * 20);
        steady(&mut heard, (0..40).step_by(2), 1, now - TICK);
        steady(&mut heard, (1..40).step_by(2), 2, now - TICK);
        sockets.send((1..40).step_by(2));
        let (found, _) = sockets.sweep(&mut heard, now);
        // The very last is looked at first.
        assert_eq!(found.len(), 20);
        assert_eq!(order(&heard, 0), (0..40).step_by(2).collect::<Vec<_>>());
        // Nobody of the first worker was passed over: its order says nothing about the second's.
        assert!(leaving(&mut heard).is_empty());
    }

    #[test]
    fn a_sweep_is_bounded_and_the_next_goes_on_where_it_ended() {
        let bots = 2 * SWEEP_LOOKS_MAX as u32;
        let (mut heard, mut sockets, now) = (PollOrder::new(bots as usize), Sockets::default(), TICK * 20);
        steady(&mut heard, 0..bots, 1, now - TICK);
        sockets.send(0..bots - 1);
        let (found, is_cut) = sockets.sweep(&mut heard, now);
        assert!(is_cut);
        assert_eq!(found, (0..SWEEP_LOOKS_MAX as u32).collect::<Vec<_>>());
        let (found, is_cut) = sockets.sweep(&mut heard, now + MS);
        assert_eq!(found[0], SWEEP_LOOKS_MAX as u32);
        assert_eq!(found.len(), SWEEP_LOOKS_MAX - 1);
        assert!(is_cut);
        assert!(!sockets.sweep(&mut heard, now + 2 * MS).1);
    }

    #[test]
    fn the_gone_are_forgotten() {
        let (mut heard, now) = (PollOrder::new(30), TICK * 20);
        steady(&mut heard, 0..30, 1, now);
        assert!(!heard.sweep(now, |_, _| Polled::Gone));
        assert!(heard.is_empty());
        assert!(leaving(&mut heard).is_empty());
    }
}
