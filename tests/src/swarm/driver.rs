//! One thread, one epoll loop, all bots.
//!
//! Every turn of the loop waits until a bot is due, drains the sockets that have datagrams, delivers the datagrams
//! that the emulated line has carried, updates the bots that are due, and starts bots that have joined. Nothing is
//! allocated per datagram. Epoll watches the bots that are connecting, are silent or receive datagrams now and then.
//! Bots that receive datagrams in every tick are polled [in order](super::poll_order) instead. While there are any,
//! a turn comes every half millisecond.

mod admission;
mod requests;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use throng_client::connection::ClientConfig;
use throng_server::observe::StatsReport;
use throng_shared::limits::DATAGRAM_RECEIVE_BYTES_MAX;
use throng_shared::prefetch::prefetch;

use self::admission::watch;
use super::audit::Findings;
use super::bot::{Bot, BotState, Buffer, Extent};
use super::conditions::LineDirection;
use super::joining::JoinOutcome;
use super::poll_order::{PollOrder, Polled};
use super::rejoin::Rejoins;
use super::requests::ServerRequests;
use super::state::SwarmState;
use super::wheel::Wheel;
use crate::pilots::PilotCounts;

/// The most updates in a turn. The remaining bots are the first in the next turn. It equals the polls of a sweep: on
/// a full processor neither receiving nor sending waits for all of the other. A bot that is updated late sends its
/// inputs together.
const UPDATES_MAX: usize = 256;
/// The most events of one call of epoll.
const EVENTS: usize = 1_024;
/// Time between two checks for bots that have joined.
const JOINED_EVERY: Duration = Duration::from_millis(1);
/// Time between two sweeps of the bots that epoll does not watch, while there is nothing else to do. It is a part of
/// the ages that are measured.
const SWEEP_EVERY: Duration = Duration::from_micros(500);

/// The number of bots in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BotCounts {
    /// Bots in their handshake, and bots that wait for their first snapshot.
    pub connecting: u32,
    /// Bots that receive snapshots or, with `--idle`, are connected.
    pub playing: u32,
    /// Bots whose server does not reply.
    pub silent: u32,
    /// Bots that never joined or whose session ended.
    pub lost: u32,
}

impl fmt::Display for BotCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connecting,
            playing,
            silent,
            lost,
        } = self;
        write!(
            formatter,
            "{playing} playing, {silent} without a reply, {connecting} connecting, {lost} lost"
        )
    }
}

impl BotCounts {
    /// Counts a bot's change from one state to another.
    fn note(&mut self, before: BotState, after: BotState) {
        if before == after {
            return;
        }
        match before {
            BotState::Connecting => self.connecting -= 1,
            BotState::Playing => self.playing -= 1,
            BotState::Silent => self.silent -= 1,
            BotState::Ended => {}
        }
        match after {
            BotState::Connecting => self.connecting += 1,
            BotState::Playing => self.playing += 1,
            BotState::Silent => self.silent += 1,
            BotState::Ended => self.lost += 1,
        }
    }
}

/// All bots and the loop that drives them.
pub struct Driver {
    poll: Poll,
    events: Events,
    buffer: Box<Buffer>,
    bots: Vec<Option<Bot>>,
    wheel: Wheel,
    /// Bots that were taken from the wheel and are not updated yet.
    due: VecDeque<u32>,
    order: PollOrder,
    swept_at: Duration,
    /// Whether the last sweep reached its limit, so that more bots may be due.
    is_behind: bool,
    outcomes: Option<Receiver<JoinOutcome>>,
    rejoins: Option<Rejoins>,
    config: ClientConfig,
    is_idle: bool,
    seed: u64,
    origin: Instant,
    requests: ServerRequests,
    requested_at: Duration,
    audited_at: Duration,
    request_every: Duration,
    stats: Option<Box<StatsReport>>,
    /// The state that all bots write to.
    pub shared: SwarmState,
    /// The number of bots in each state.
    pub bot_counts: BotCounts,
    /// The sum of what all audits found.
    pub findings: Findings,
    /// The error of the last request that failed.
    pub problem: Option<String>,
}

/// The arguments of [`Driver::new`], by name.
pub struct DriverParts {
    /// The number of bots.
    pub clients: u32,
    /// Configuration of each bot's connection.
    pub config: ClientConfig,
    /// Whether the bots stay silent once they are connected.
    pub is_idle: bool,
    /// Seed of the bots' steering.
    pub seed: u64,
    /// Tokens, or errors, of the bots that join.
    pub outcomes: Receiver<JoinOutcome>,
    /// The threads that request tokens for bots that come back, if bots do.
    pub rejoins: Option<Rejoins>,
    /// The thread that queries the server.
    pub requests: ServerRequests,
    /// Time between two readings of the server's figures.
    pub request_every: Duration,
    /// The state that all bots write to.
    pub shared: SwarmState,
}

impl Driver {
    /// Creates a driver without bots.
    ///
    /// # Errors
    /// If the system gives no epoll instance.
    pub fn new(parts: DriverParts) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: Box::new([0; DATAGRAM_RECEIVE_BYTES_MAX]),
            bots: (0..parts.clients).map(|_| None).collect(),
            wheel: Wheel::default(),
            due: VecDeque::new(),
            order: PollOrder::new(parts.clients as usize),
            swept_at: Duration::ZERO,
            is_behind: false,
            outcomes: Some(parts.outcomes),
            rejoins: parts.rejoins,
            config: parts.config,
            is_idle: parts.is_idle,
            seed: parts.seed,
            origin: start_clock(),
            requests: parts.requests,
            requested_at: Duration::ZERO,
            audited_at: Duration::ZERO,
            request_every: parts.request_every,
            stats: None,
            shared: parts.shared,
            bot_counts: BotCounts::default(),
            findings: Findings::default(),
            problem: None,
        })
    }

    /// Returns the time since the driver was created.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Returns whether every bot plays or is lost.
    pub fn is_ramped(&self) -> bool {
        self.outcomes.is_none() && self.bot_counts.connecting == 0
    }

    /// Accepts no more bots from now on. Bots that are still connecting are lost.
    pub fn end_ramp(&mut self) {
        for slot in &mut self.bots {
            if let Some(bot) = slot.take_if(|bot| bot.state() == BotState::Connecting).as_mut() {
                bot.disconnect();
            }
        }
        self.bot_counts.connecting = 0;
        self.bot_counts.lost = self.bots.len() as u32 - self.bot_counts.playing - self.bot_counts.silent;
        self.outcomes = None;
    }

    /// Runs one turn of the loop. It takes about a millisecond.
    ///
    /// # Errors
    /// If epoll fails or no file is left for a socket.
    pub fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        self.drain_watched()?;
        self.sweep()?;
        self.deliver_line();
        self.update_due();
        self.admit()?;
        self.readmit()?;
        self.poll_requests();
        Ok(())
    }

    /// Returns the sum of all pilots' counts in Skirmish, or `None` if no bot plays it.
    #[must_use]
    pub fn counts(&self) -> Option<PilotCounts> {
        let mut all: Option<PilotCounts> = None;
        for counts in self.bots.iter().flatten().filter_map(Bot::counts) {
            all.get_or_insert_default().add(counts);
        }
        all
    }

    /// Disconnects every bot that has not ended.
    pub fn disconnect(&mut self) {
        for bot in self.bots.iter_mut().flatten() {
            if bot.state() != BotState::Ended {
                bot.disconnect();
            }
        }
    }

    /// Waits until a bot is due. Epoll does not announce datagrams for the bots that are polled in order, so the wait is
    /// short while there are such bots.
    fn wait(&mut self) -> io::Result<()> {
        let now = self.now();
        let until_update = if self.due.is_empty() {
            self.wheel.until_next(now)
        } else {
            Duration::ZERO
        };
        let timeout = if self.order.is_empty() {
            let line_due = self.shared.line.as_ref().and_then(|line| line.queue.next_due());
            let until_line = line_due.map_or(Duration::MAX, |due| due.saturating_sub(now));
            let until_joined = self.outcomes.as_ref().map_or(Duration::MAX, |_| JOINED_EVERY);
            until_update.min(until_line).min(until_joined)
        } else {
            // Epoll counts in milliseconds. The emulated line's datagrams are delivered a sweep late at most.
            // Waking for each of them would wake the server for each, too.
            let until_sweep = (self.swept_at + SWEEP_EVERY).saturating_sub(now);
            let pause = until_sweep.min(until_update);
            if !self.is_behind && !pause.is_zero() {
                thread::sleep(pause);
            }
            Duration::ZERO
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// Drains the sockets that epoll announced, and stops watching the bots that have become steady.
    fn drain_watched(&mut self) -> io::Result<()> {
        for event in &self.events {
            let Token(index) = event.token();
            let Some(bot) = self.bots.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let received_at = drain_bot(
                bot,
                Extent::Everything,
                self.origin,
                &mut self.shared,
                &mut self.buffer,
                &mut self.bot_counts,
            );
            let (Some(at), Some(tick)) = (received_at, bot.tick_length()) else {
                continue;
            };
            if self.order.note(index as u32, bot.server(), at, tick) {
                self.poll.registry().deregister(bot.socket())?;
            }
        }
        Ok(())
    }

    /// Drains the bots that are due in their queue, and watches the bots again that have left it.
    fn sweep(&mut self) -> io::Result<()> {
        if self.order.is_empty() {
            self.is_behind = false;
            return Ok(());
        }
        let now = self.now();
        self.swept_at = now;
        let Self {
            order,
            bots,
            shared,
            buffer,
            bot_counts,
            origin,
            ..
        } = self;
        self.is_behind = order.sweep(now, |index, coming| {
            let [_, _, near, far] = coming;
            prefetch_bots(bots, far, near);
            let bot = bots[index as usize].as_mut();
            let Some(bot) = bot.filter(|bot| bot.state() != BotState::Ended) else {
                return Polled::Gone;
            };
            drain_bot(bot, Extent::NewestTick, *origin, shared, buffer, bot_counts)
                .map_or(Polled::Missed, Polled::Received)
        });
        while let Some(index) = order.pop_leaving() {
            let Some(bot) = bots[index as usize].as_mut() else {
                continue;
            };
            watch(self.poll.registry(), bot, index)?;
            // Epoll does not announce datagrams that came before.
            drain_bot(bot, Extent::Everything, *origin, shared, buffer, bot_counts);
        }
        Ok(())
    }

    /// Delivers the datagrams that the emulated line has delayed until now.
    fn deliver_line(&mut self) {
        let now = self.now();
        while let Some(delivery) = self.shared.line.as_mut().and_then(|line| line.queue.pop(now)) {
            let mut bytes = delivery.bytes;
            if let Some(bot) = self.bots[delivery.bot as usize].as_mut() {
                let before = bot.state();
                match delivery.direction {
                    LineDirection::Up => bot.transmit(&bytes, &mut self.shared.totals),
                    LineDirection::Down => bot.receive(now, &mut bytes, &mut self.shared),
                }
                self.bot_counts.note(before, bot.state());
            }
            if let Some(line) = &mut self.shared.line {
                line.queue.recycle(bytes);
            }
        }
    }

    /// Updates the bots that are due, [`UPDATES_MAX`] at most.
    fn update_due(&mut self) {
        let now = self.now();
        self.wheel.take_due(now, &mut self.due);
        for _ in 0..UPDATES_MAX {
            let Some(index) = self.due.pop_front() else {
                break;
            };
            prefetch_bots(&self.bots, self.due.get(2).copied(), self.due.get(1).copied());
            let Some(bot) = self.bots[index as usize].as_mut() else {
                continue;
            };
            let before = bot.state();
            if before == BotState::Ended {
                continue;
            }
            bot.update(now, &mut self.shared);
            if let Some(rejoins) = &self.rejoins
                && let Some(comeback) = bot.comeback()
                && comeback.poll(now)
            {
                rejoins.request(index, comeback.resume());
            }
            self.wheel.insert(now + bot.until_update(now), index);
            self.bot_counts.note(before, bot.state());
        }
    }
}

/// Prefetches two of the next bots while another one is processed: the bot itself for the farther one, its session
/// for the nearer one.
#[inline]
fn prefetch_bots(bots: &[Option<Bot>], far: Option<u32>, near: Option<u32>) {
    let slot = |index: Option<u32>| bots.get(index? as usize);
    if let Some(slot) = slot(far) {
        prefetch(slot);
    }
    if let Some(Some(bot)) = slot(near) {
        bot.prefetch_session();
    }
}

/// Drains a bot's socket and counts its state. Returns when the last datagram was read, if there was any.
fn drain_bot(
    bot: &mut Bot,
    extent: Extent,
    origin: Instant,
    shared: &mut SwarmState,
    buffer: &mut Buffer,
    bot_counts: &mut BotCounts,
) -> Option<Duration> {
    let before = bot.state();
    let received_at = bot.drain(extent, || origin.elapsed(), shared, buffer);
    bot_counts.note(before, bot.state());
    received_at
}

#[expect(
    clippy::disallowed_methods,
    reason = "the loop over real sockets reads the time"
)]
fn start_clock() -> Instant {
    Instant::now()
}
