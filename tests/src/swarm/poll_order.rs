//! The order in which to read the sockets of bots that receive datagrams in every tick: a queue instead of epoll.
//!
//! Each datagram to a socket that epoll watches wakes the watcher. On one machine the server pays for that wake-up,
//! and the swarm pays for it again. A server's net worker sends to its clients in the same order in every tick.
//! The bot whose last datagram is the oldest is therefore the next to receive one, and no watching is needed. There
//! is one queue for each address that a server sends from. Its bots are in the order of their last datagrams.
//!
//! Owns the queues and their order. The [driver](super::driver) reads the sockets and registers them with epoll.
//! Guarantees:
//! - A bot enters a queue only after [`STEADY_RECEIPTS`] receipts, each within [`STEADY_TICKS`] of the one before.
//! - A bot whose datagram does not come keeps its position. It leaves the queue, to be watched again, after
//!   [`PATIENCE_TICKS`] without a datagram, or at once when the server has passed it over. Its socket is always
//!   polled immediately before it leaves.
//! - A second datagram of a tick is read with the first, or in the next sweep if it had not arrived yet: only the
//!   bot at the back of the queue can have received a part of its tick. A datagram sent out of order waits until the
//!   bot's turn comes, a tick at most.
//! - Each poll receives the bots that come next, so that their memory can be prefetched.
//! - A sweep ends after [`SWEEP_POLLS_MAX`] bots, or in one queue after [`MISSES_MAX`] bots without a datagram.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Receipts in a row after which a bot enters a queue.
pub const STEADY_RECEIPTS: u32 = 8;
/// The most ticks between two receipts that count as being in a row.
pub const STEADY_TICKS: u32 = 2;
/// Ticks without a datagram after which a bot leaves its queue.
pub const PATIENCE_TICKS: f64 = 2.5;
/// Bots without a datagram, one after another, after which the sweep of a queue ends.
pub const MISSES_MAX: usize = 8;
/// Bots polled in one sweep of all queues: a millisecond or two of decoding, so that updates stay on time.
pub const SWEEP_POLLS_MAX: usize = 256;
/// Number of next bots that each poll receives for prefetching.
pub const AHEAD: usize = 4;
/// 2^32 divided by the golden ratio: its multiples modulo 2^32 spread evenly over the range, for any number of them.
const GOLDEN_STRIDE: u32 = 2_654_435_769;

/// The result of polling a bot's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// There were datagrams. The last of them was read at this time.
    Received(Duration),
    /// There was no datagram.
    Missed,
    /// The bot no longer exists.
    Gone,
}

/// The bots that are polled after the current one, the next one first.
pub type Coming = [Option<u32>; AHEAD];

/// Receipts of a bot, from which follows whether it is steady.
#[derive(Debug, Clone, Copy, Default)]
struct BotRecord {
    receipts: u32,
    received_at: Duration,
    is_queued: bool,
}

/// A bot's entry in a queue.
#[derive(Debug, Clone, Copy)]
struct Turn {
    bot: u32,
    patience: Duration,
    leaves_at: Duration,
}

impl Turn {
    /// Returns the turn of a bot that received a datagram at `time`.
    fn renewed(self, time: Duration) -> Self {
        Self {
            leaves_at: time + self.patience,
            ..self
        }
    }
}

/// The bots that one net worker sends to.
#[derive(Debug)]
struct WorkerQueue {
    server: SocketAddr,
    /// The bot whose last datagram is the oldest is in front.
    turns: VecDeque<Turn>,
    /// Multiple of [`GOLDEN_STRIDE`], which chooses the position of the next probe.
    probe: u32,
}

/// All queues, and the receipts of every bot.
#[derive(Debug)]
pub struct PollOrder {
    records: Vec<BotRecord>,
    queues: Vec<WorkerQueue>,
    /// Bots that had no datagram in the current sweep of a queue.
    missed: Vec<Turn>,
    leaving: Vec<u32>,
}

impl PollOrder {
    /// Creates an order for `bots` bots with empty queues.
    #[must_use]
    pub fn new(bots: usize) -> Self {
        Self {
            records: vec![BotRecord::default(); bots],
            queues: Vec::new(),
            missed: Vec::with_capacity(MISSES_MAX),
            leaving: Vec::new(),
        }
    }

    /// Returns whether every queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.turns.is_empty())
    }

    /// Records that a watched bot received a datagram from `server` at `time`.
    ///
    /// Returns whether the bot entered a queue. It need not be watched then.
    #[must_use]
    pub fn note(&mut self, bot: u32, server: SocketAddr, time: Duration, tick: Duration) -> bool {
        let record = &mut self.records[bot as usize];
        if record.is_queued {
            return false;
        }
        let is_in_row = time.saturating_sub(record.received_at) <= tick * STEADY_TICKS;
        record.receipts = if is_in_row { record.receipts + 1 } else { 1 };
        record.received_at = time;
        if record.receipts < STEADY_RECEIPTS {
            return false;
        }
        record.is_queued = true;
        let patience = tick.mul_f64(PATIENCE_TICKS);
        let turn = Turn {
            bot,
            patience,
            leaves_at: time + patience,
        };
        self.queue_of(server).turns.push_back(turn);
        true
    }

    /// Polls the bots that are due. Returns whether the sweep reached its limit, so that more bots may be due.
    ///
    /// Afterwards take out all leaving bots with [`PollOrder::pop_leaving`].
    pub fn sweep(&mut self, now: Duration, mut poll: impl FnMut(u32, Coming) -> Polled) -> bool {
        let polls_max = SWEEP_POLLS_MAX / self.queues.len().max(1);
        let mut is_cut = false;
        for queue in &mut self.queues {
            queue.poll_last(&mut poll);
            is_cut |= queue.sweep(now, polls_max, &mut self.missed, &mut self.leaving, &mut poll);
        }
        is_cut
    }

    /// Removes and returns a bot that left its queue in a sweep and must be watched again.
    ///
    /// Epoll does not announce datagrams that arrived before the bot is watched.
    pub fn pop_leaving(&mut self) -> Option<u32> {
        let bot = self.leaving.pop()?;
        self.records[bot as usize] = BotRecord::default();
        Some(bot)
    }

    /// Returns the queue of a server's address. A linear search suffices, as a server has few workers.
    fn queue_of(&mut self, server: SocketAddr) -> &mut WorkerQueue {
        let known = self.queues.iter().position(|queue| queue.server == server);
        let index = known.unwrap_or_else(|| {
            self.queues.push(WorkerQueue {
                server,
                turns: VecDeque::new(),
                probe: 0,
            });
            self.queues.len() - 1
        });
        &mut self.queues[index]
    }
}

impl WorkerQueue {
    /// Polls the bot at the back again: its tick may have been sent only in part when it was polled before.
    fn poll_last(&mut self, poll: &mut impl FnMut(u32, Coming) -> Polled) {
        let Some(last) = self.turns.pop_back() else { return };
        match poll(last.bot, self.coming()) {
            Polled::Received(time) => self.turns.push_back(last.renewed(time)),
            Polled::Missed => self.turns.push_back(last),
            Polled::Gone => {}
        }
    }

    fn coming(&self) -> Coming {
        std::array::from_fn(|index| self.turns.get(index).map(|turn| turn.bot))
    }

    /// Polls from the front until too many bots in a row had no datagram. Returns whether `polls_max` was reached.
    fn sweep(
        &mut self,
        now: Duration,
        polls_max: usize,
        missed: &mut Vec<Turn>,
        leaving: &mut Vec<u32>,
        poll: &mut impl FnMut(u32, Coming) -> Polled,
    ) -> bool {
        let mut polls = 0;
        while polls < polls_max {
            if missed.len() == MISSES_MAX {
                polls += 1;
                if !self.probe(poll) {
                    break;
                }
                // The server has passed these bots over. In the queue they would delay all bots behind them.
                leaving.extend(missed.drain(..).map(|turn| turn.bot));
                continue;
            }
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            polls += 1;
            match poll(turn.bot, self.coming()) {
                Polled::Received(time) => self.turns.push_back(turn.renewed(time)),
                Polled::Missed if turn.leaves_at <= now => leaving.push(turn.bot),
                Polled::Missed => missed.push(turn),
                Polled::Gone => {}
            }
        }
        for turn in missed.drain(..).rev() {
            self.turns.push_front(turn);
        }
        polls == polls_max
    }

    /// Polls one bot at another position of the queue each time. Returns whether it received a datagram.
    fn probe(&mut self, poll: &mut impl FnMut(u32, Coming) -> Polled) -> bool {
        self.probe = self.probe.wrapping_add(GOLDEN_STRIDE);
        // `probe` is a fraction of 2^32. Multiplied by the length and shifted by 32 bits it is an index below the
        // length. The product fits, as both factors are below 2^32.
        let index = (u64::from(self.probe) * self.turns.len() as u64) >> u32::BITS;
        let Some(&turn) = self.turns.get(index as usize) else {
            return false;
        };
        let found = poll(turn.bot, self.coming());
        if found == Polled::Missed {
            return false;
        }
        self.turns.remove(index as usize);
        match found {
            Polled::Received(time) => {
                self.turns.push_back(turn.renewed(time));
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

    /// Queues the bots in this order: each receives a datagram in every tick, the last time at `last`.
    fn steady(order: &mut PollOrder, bots: impl Iterator<Item = u32> + Clone, port: u16, last: Duration) {
        for receipt in (0..STEADY_RECEIPTS).rev() {
            for bot in bots.clone() {
                let is_queued = order.note(bot, server(port), last - TICK * receipt, TICK);
                assert_eq!(is_queued, receipt == 0);
            }
        }
    }

    /// Sockets with waiting datagrams, and the bots that were polled.
    #[derive(Default)]
    struct Sockets {
        waiting: HashMap<u32, u32>,
        polled: Vec<u32>,
        received: Vec<u32>,
    }

    impl Sockets {
        fn send(&mut self, bots: impl IntoIterator<Item = u32>) {
            bots.into_iter()
                .for_each(|bot| *self.waiting.entry(bot).or_default() += 1);
        }

        fn poll(&mut self, bot: u32, now: Duration) -> Polled {
            self.polled.push(bot);
            if self.waiting.remove(&bot).is_none() {
                return Polled::Missed;
            }
            self.received.push(bot);
            Polled::Received(now)
        }

        /// Sweeps once. Returns the bots that received a datagram, and whether the sweep reached its limit.
        fn sweep(&mut self, order: &mut PollOrder, now: Duration) -> (Vec<u32>, bool) {
            self.polled.clear();
            let is_cut = order.sweep(now, |bot, _| self.poll(bot, now));
            (std::mem::take(&mut self.received), is_cut)
        }
    }

    fn queue(order: &PollOrder, index: usize) -> Vec<u32> {
        order.queues[index].turns.iter().map(|turn| turn.bot).collect()
    }

    fn leaving(order: &mut PollOrder) -> Vec<u32> {
        let mut bots: Vec<_> = std::iter::from_fn(|| order.pop_leaving()).collect();
        bots.sort_unstable();
        bots
    }

    #[test]
    fn a_bot_is_queued_after_enough_receipts_in_a_row() {
        let mut order = PollOrder::new(1);
        let mut time = Duration::from_secs(1);
        for receipt in 1..STEADY_RECEIPTS * 2 - 1 {
            // After a pause in the middle a new row begins.
            time += if receipt == STEADY_RECEIPTS {
                TICK * 3
            } else {
                TICK * STEADY_TICKS
            };
            assert!(!order.note(0, server(1), time, TICK), "receipt {receipt}");
            assert!(order.is_empty());
        }
        assert!(order.note(0, server(1), time + TICK, TICK));
        assert!(!order.is_empty());
    }

    #[test]
    fn the_oldest_receipt_is_polled_first_and_misses_keep_their_positions() {
        let (mut order, mut sockets, now) = (PollOrder::new(20), Sockets::default(), TICK * 20);
        steady(&mut order, 0..20, 1, now - TICK);
        sockets.send([0, 1, 3, 4]);
        let (found, is_cut) = sockets.sweep(&mut order, now);
        assert_eq!(found, [0, 1, 3, 4]);
        assert!(!is_cut);
        assert_eq!(queue(&order, 0)[..3], [2, 5, 6]);
        assert_eq!(queue(&order, 0)[16..], [0, 1, 3, 4]);
        // The sweep polls the back, the front and one probe, then it ends.
        assert!(sockets.sweep(&mut order, now + MS).0.is_empty());
        assert_eq!(sockets.polled[..9], [4, 2, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(sockets.polled.len(), 1 + MISSES_MAX + 1);
        sockets.send([2]);
        assert_eq!(sockets.sweep(&mut order, now + 2 * MS).0, [2]);
        assert_eq!(queue(&order, 0)[16..], [1, 3, 4, 2]);
        assert!(leaving(&mut order).is_empty());
    }

    #[test]
    fn a_poll_receives_the_next_bots() {
        let (mut order, now) = (PollOrder::new(20), TICK * 20);
        steady(&mut order, 0..20, 1, now - TICK);
        let mut polls = Vec::new();
        order.sweep(now, |bot, coming| {
            polls.push((bot, coming));
            Polled::Missed
        });
        // The first poll is of the bot at the back.
        assert_eq!(polls[0], (19, [0, 1, 2, 3].map(Some)));
        assert_eq!(polls[1], (0, [1, 2, 3, 4].map(Some)));
    }

    #[test]
    fn the_rest_of_a_tick_is_read_in_the_next_sweep() {
        let (mut order, mut sockets, now) = (PollOrder::new(20), Sockets::default(), TICK * 20);
        steady(&mut order, 0..20, 1, now - TICK);
        sockets.send(0..3);
        sockets.sweep(&mut order, now);
        sockets.send(2..5);
        assert_eq!(sockets.sweep(&mut order, now + MS).0, [2, 3, 4]);
        assert_eq!(queue(&order, 0)[15..], [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_bot_without_datagrams_leaves_and_must_become_steady_again() {
        let (mut order, mut sockets, now) = (PollOrder::new(3), Sockets::default(), TICK * 20);
        steady(&mut order, 0..3, 1, now);
        sockets.send([1, 2]);
        sockets.sweep(&mut order, now + TICK);
        let late = now + TICK.mul_f64(PATIENCE_TICKS);
        sockets.sweep(&mut order, late - MS);
        assert!(leaving(&mut order).is_empty());
        sockets.sweep(&mut order, late);
        assert_eq!(leaving(&mut order), [0]);
        assert!(!queue(&order, 0).contains(&0));
        assert!(!order.note(0, server(1), late + TICK, TICK));
    }

    #[test]
    fn no_bot_leaves_unpolled_after_a_long_pause_of_the_swarm() {
        let (mut order, mut sockets, now) = (PollOrder::new(40), Sockets::default(), TICK * 20);
        steady(&mut order, 0..40, 1, now);
        sockets.send(0..40);
        assert_eq!(sockets.sweep(&mut order, now + TICK * 50).0.len(), 40);
        assert!(leaving(&mut order).is_empty());
    }

    #[test]
    fn bots_that_the_server_passes_over_leave_and_delay_no_others() {
        let (mut order, mut sockets, now) = (PollOrder::new(200), Sockets::default(), TICK * 20);
        steady(&mut order, 0..200, 1, now - TICK);
        sockets.send(64..200);
        let mut found = 0;
        for sweep in 0..10 {
            found += sockets.sweep(&mut order, now + MS * sweep).0.len();
        }
        assert_eq!(found, 136);
        assert_eq!(leaving(&mut order), (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn two_workers_do_not_wait_for_each_other() {
        let (mut order, mut sockets, now) = (PollOrder::new(40), Sockets::default(), TICK * 20);
        steady(&mut order, (0..40).step_by(2), 1, now - TICK);
        steady(&mut order, (1..40).step_by(2), 2, now - TICK);
        sockets.send((1..40).step_by(2));
        let (found, _) = sockets.sweep(&mut order, now);
        // The bot at the very back is polled first.
        assert_eq!(found.len(), 20);
        assert_eq!(queue(&order, 0), (0..40).step_by(2).collect::<Vec<_>>());
        // No bot of the first worker was passed over: the order of one queue does not affect the other.
        assert!(leaving(&mut order).is_empty());
    }

    #[test]
    fn a_sweep_is_bounded_and_the_next_continues_where_it_ended() {
        let bots = 2 * SWEEP_POLLS_MAX as u32;
        let (mut order, mut sockets, now) = (PollOrder::new(bots as usize), Sockets::default(), TICK * 20);
        steady(&mut order, 0..bots, 1, now - TICK);
        sockets.send(0..bots - 1);
        let (found, is_cut) = sockets.sweep(&mut order, now);
        assert!(is_cut);
        assert_eq!(found, (0..SWEEP_POLLS_MAX as u32).collect::<Vec<_>>());
        let (found, is_cut) = sockets.sweep(&mut order, now + MS);
        assert_eq!(found[0], SWEEP_POLLS_MAX as u32);
        assert_eq!(found.len(), SWEEP_POLLS_MAX - 1);
        assert!(is_cut);
        assert!(!sockets.sweep(&mut order, now + 2 * MS).1);
    }

    #[test]
    fn bots_that_are_gone_leave_the_queue() {
        let (mut order, now) = (PollOrder::new(30), TICK * 20);
        steady(&mut order, 0..30, 1, now);
        assert!(!order.sweep(now, |_, _| Polled::Gone));
        assert!(order.is_empty());
        assert!(leaving(&mut order).is_empty());
    }
}
