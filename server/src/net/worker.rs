//! A net worker: one core, one socket and one loop, on a thread of its own or between ticks.
//!
//! Owns the loop. Guarantees:
//! - the socket is read at least after every [`SESSIONS_PER_SLICE`] served clients, so that a fan-out never makes
//!   the kernel's buffer overflow and inputs do not wait for its end;
//! - each turn is bounded, so that neither a flood nor a fan-out starves the other;
//! - before a worker stops, it sends every client its last messages and a goodbye.
//!
//! Waits only for its socket, its waker and the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;

use super::core::{ReceivedKind, ServeState, WorkerCore};
use super::io::{DatagramReceiver, DatagramSender, halves};
use super::socket::IoKind;
use super::stats::WorkerStats;
use super::transmit::{Arrival, BATCH_DATAGRAMS, Flush, Receive, Take};
use super::wait::{SocketWait, Waker};
use crate::observe::ServerStats;

/// Clients served between two reads of the socket: about a quarter of a millisecond.
const SESSIONS_PER_SLICE: usize = BATCH_DATAGRAMS / 2;
/// Batches received in a row at most before new frames are served.
const BATCHES_PER_TURN: usize = 32;
/// Longest wait of a turn. Keep-alives and time-outs, which depend on time alone, are late by at most this.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Shortest interval between two reads of a socket that was read empty. Datagrams that arrive in the interval share
/// one wake-up and its system calls, which cost more than the datagrams themselves.
const READ_EVERY: Duration = Duration::from_micros(250);
/// The same interval while few inputs arrive among the keep-alives of idle clients.
const READ_EVERY_WITHOUT_INPUTS: Duration = Duration::from_millis(1);
/// The same interval when no client sends inputs. Then only keep-alives wait: 10,000 idle clients send 2,000 of them a
/// second.
const READ_EVERY_WITHOUT_PLAYERS: Duration = Duration::from_millis(10);
/// Time without an input after which no client counts as playing.
const PLAYERS_GONE_AFTER: Duration = Duration::from_secs(1);
/// Longest wait of a turn while one simulation's frame waits for another's.
const WAIT_FOR_FRAMES: Duration = Duration::from_millis(1);
/// Shortest wait on the socket. mio rounds a wait up to whole milliseconds; a shorter wait is a sleep.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// Interval between two updates of keep-alives, time-outs and retries.
const UPDATE_EVERY: Duration = Duration::from_millis(25);
/// Difference between the wall clock and the monotonic clock, from one batch of inputs to the next, above which the wall
/// clock was set. The two are not read at the same moment.
const WALL_CLOCK_STEP: Duration = Duration::from_millis(200);
/// Longest time for which the end of a worker waits for acknowledgements of the clients' last messages.
const END_MAX: Duration = Duration::from_secs(3);
/// Interval between two updates of the statistics that are costly to read.
const MEASURE_EVERY: Duration = Duration::from_millis(500);

/// An open socket and the means to wait for it, before there is a core to serve it.
pub(crate) struct Opened {
    pub(crate) socket: UdpSocket,
    io: IoKind,
    waiting: SocketWait,
    pub(crate) waker: Waker,
}

impl Opened {
    /// Prepares to wait for `socket`, which is read and written by `io`.
    pub(crate) fn new(mut socket: UdpSocket, io: IoKind) -> io::Result<Self> {
        let (waiting, waker) = SocketWait::new(&mut socket, io)?;
        Ok(Self {
            socket,
            io,
            waiting,
            waker,
        })
    }
}

/// Function that returns the time since the process's origin. Injected, so that a worker needs no ECS resource.
type ReadClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The clock and statistics of a worker.
pub(crate) struct WorkerParts {
    pub(crate) clock: ReadClock,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) server: Arc<ServerStats>,
}

/// One worker with its core and its socket.
pub(crate) struct Worker {
    core: WorkerCore,
    socket: Arc<UdpSocket>,
    waiting: SocketWait,
    receiver: DatagramReceiver,
    sender: DatagramSender,
    clock: ReadClock,
    server: Arc<ServerStats>,
    /// Whether the socket may still hold datagrams, so that the next turn reads without waiting.
    readable: bool,
    /// Arrival times of the current batch's inputs, since 1970.
    arrivals: Vec<Duration>,
    wall_clock: WallClock,
    /// Time at which the socket was last read empty, since the process's origin.
    read_at: Duration,
    /// Shortest time from then to the next read.
    read_every: Duration,
    /// Time of the last read that brought inputs, since the process's origin.
    input_at: Duration,
    updated_at: Duration,
    measured_at: Duration,
}

impl Worker {
    pub(crate) fn new(core: WorkerCore, opened: Opened, parts: WorkerParts) -> Self {
        let socket = Arc::new(opened.socket);
        let (receiver, sender) = halves(opened.io, &socket, &parts.stats.socket);
        let wall_clock = WallClock {
            origin: unix_now().saturating_sub((parts.clock)()),
        };
        Self {
            core,
            socket,
            waiting: opened.waiting,
            receiver,
            sender,
            clock: parts.clock,
            server: parts.server,
            readable: true,
            arrivals: Vec::with_capacity(BATCH_DATAGRAMS),
            wall_clock,
            read_at: Duration::ZERO,
            read_every: READ_EVERY,
            input_at: Duration::ZERO,
            updated_at: Duration::ZERO,
            measured_at: Duration::ZERO,
        }
    }

    /// Runs until `stop` is set and the waker was woken, then ends every session with a goodbye.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Relaxed) {
            self.turn(WAIT_MAX);
        }
        self.end();
    }

    /// Works on the simulation's own thread until `deadline`, and returns as soon after it as it can.
    pub(crate) fn run_until(&mut self, deadline: Duration) {
        // The frame of the last tick is served first, even when the deadline has passed.
        self.turn(Duration::ZERO);
        loop {
            let left = deadline.saturating_sub((self.clock)());
            if left < WAIT_MIN {
                std::thread::sleep(left);
                return self.turn(Duration::ZERO);
            }
            self.turn((left - WAIT_MIN).min(WAIT_MAX));
        }
    }

    /// Ends every session, because the server stops: sends what the simulations told the clients last, and a goodbye.
    /// Returns when the clients have acknowledged that, or after [`END_MAX`].
    pub(crate) fn end(&mut self) {
        let started_at = (self.clock)();
        self.core.shutdown(started_at, &mut self.sender);
        self.sender.flush();
        while self.core.is_closing() && (self.clock)() < started_at + END_MAX {
            self.turn(UPDATE_EVERY);
        }
        // Also the sessions that began meanwhile.
        let now = (self.clock)();
        self.core.shutdown(now, &mut self.sender);
        self.core.finish_closing(now, &mut self.sender);
        self.sender.flush();
        self.core.measure();
    }

    /// Waits up to `wait` for work, then reads the socket, serves frames and does what is due.
    fn turn(&mut self, wait: Duration) {
        let wait = match self.readable {
            true => Duration::ZERO,
            // No wake-up announces that the wait for another simulation's frame is over.
            false if self.core.is_waiting() => wait.min(WAIT_FOR_FRAMES),
            false => wait,
        };
        let is_announced = self.waiting.wait(&self.socket, wait).unwrap_or_else(|error| {
            tracing::error!(%error, "a net worker cannot wait for its socket");
            // Sleeping delays every datagram, but avoids a busy loop while the error lasts.
            std::thread::sleep(Duration::from_millis(1));
            true
        });
        let woken_at = (self.clock)();
        // Only a turn that may wait at least that long is delayed to collect datagrams.
        if is_announced && wait >= self.read_every {
            let next_read = self.read_at + self.read_every;
            std::thread::sleep(next_read.saturating_sub(woken_at));
        }
        self.readable |= is_announced;
        if self.readable {
            self.read(BATCHES_PER_TURN);
        }
        self.serve();
        let now = (self.clock)();
        if now >= self.updated_at + UPDATE_EVERY {
            self.updated_at = now;
            self.core.update(now, &mut self.sender);
        }
        self.sender.flush();
        if now >= self.measured_at + MEASURE_EVERY {
            self.measured_at = now;
            self.core.measure();
            self.receiver.measure();
        }
    }

    /// Reads up to `batches` batches of datagrams. Replies are sent with the next flush.
    fn read(&mut self, batches: usize) {
        let mut has_inputs = false;
        for _ in 0..batches {
            let now = (self.clock)();
            let Self {
                core,
                receiver,
                sender,
                arrivals,
                ..
            } = self;
            let received = receiver.receive(&mut BatchIntake {
                core,
                sender,
                has_inputs: &mut has_inputs,
                arrivals,
                now,
            });
            self.meter_inputs(now);
            match received {
                // Less than a full batch: the socket was empty at that moment.
                Ok(count) if count < BATCH_DATAGRAMS => {
                    self.readable = false;
                    self.read_at = now;
                    if has_inputs {
                        self.input_at = now;
                    }
                    self.read_every = match now.saturating_sub(self.input_at) {
                        Duration::ZERO => READ_EVERY,
                        silence if silence < PLAYERS_GONE_AFTER => READ_EVERY_WITHOUT_INPUTS,
                        _ => READ_EVERY_WITHOUT_PLAYERS,
                    };
                    return;
                }
                Ok(_) => self.readable = true,
                Err(error) => {
                    tracing::error!(%error, "a net worker cannot read its socket");
                    self.readable = false;
                    return;
                }
            }
        }
    }

    /// Records how long the inputs of the batch that was read at `now` took from the kernel to the simulation's queue.
    fn meter_inputs(&mut self, now: Duration) {
        if self.arrivals.is_empty() {
            return;
        }
        let queued = unix_now();
        if self.wall_clock.has_stepped(now, queued) {
            // The arrivals were recorded before the clock was set.
            return self.arrivals.clear();
        }
        for arrival in self.arrivals.drain(..) {
            self.server.input_waited(queued.saturating_sub(arrival));
        }
    }

    /// Serves a new frame to every session and reads the socket in between.
    fn serve(&mut self) {
        loop {
            let now = (self.clock)();
            match self.core.serve(now, SESSIONS_PER_SLICE, &mut self.sender) {
                ServeState::Idle => return,
                ServeState::More => {
                    self.sender.flush();
                    self.read(1);
                    // The portable way announces readiness only once, so datagrams that arrived in the meantime may
                    // never be announced.
                    self.readable = true;
                }
                ServeState::Done(served) => {
                    self.sender.flush();
                    let elapsed = (self.clock)().saturating_sub(served.published_at);
                    self.server.fanned_out(served.tick.0, elapsed);
                    return;
                }
            }
        }
    }
}

/// The wall clock as it was read last, to notice that it was set.
struct WallClock {
    /// Time since 1970 at the process's origin, by the last reading.
    origin: Duration,
}

impl WallClock {
    /// Returns whether the wall clock was set since the last reading. `now` is the monotonic time of the reading `unix`.
    fn has_stepped(&mut self, now: Duration, unix: Duration) -> bool {
        let origin = unix.saturating_sub(now);
        let step = origin.abs_diff(std::mem::replace(&mut self.origin, origin));
        step > WALL_CLOCK_STEP
    }
}

/// Passes a batch of received datagrams to the core.
struct BatchIntake<'a> {
    core: &'a mut WorkerCore,
    sender: &'a mut DatagramSender,
    /// Set when a datagram brings inputs.
    has_inputs: &'a mut bool,
    /// Arrival times of the batch's inputs, where the system recorded them.
    arrivals: &'a mut Vec<Duration>,
    now: Duration,
}

impl Take for BatchIntake<'_> {
    fn expect(&mut self, from: impl Iterator<Item = SocketAddr>) {
        self.core.expect(from);
    }

    fn take(&mut self, arrival: Arrival, datagram: &mut [u8]) {
        let received = self
            .core
            .receive_datagram(self.now, arrival.from, datagram, self.sender);
        if received == ReceivedKind::Inputs {
            *self.has_inputs = true;
            self.arrivals.extend(arrival.unix);
        }
    }
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin_thread(cpu: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    let pinned = super::syscalls::pin_thread(cpu);
    #[cfg(not(target_os = "linux"))]
    let pinned = Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("cannot pin a thread to CPU {cpu} on this system"),
    ));
    pinned
}

/// Returns the system's time since 1970, by which the kernel records arrivals of datagrams. Only for metering.
#[expect(
    clippy::disallowed_methods,
    reason = "the system's time is read here and passed on as a value"
)]
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_is_noticed_once_in_either_direction() {
        let ms = Duration::from_millis;
        let unix = Duration::from_secs(1_800_000_000);
        let mut clock = WallClock { origin: unix };
        assert!(!clock.has_stepped(ms(20), unix + ms(120)), "read a moment later");
        assert!(!clock.has_stepped(ms(90_000), unix + ms(90_000)));
        assert!(
            clock.has_stepped(ms(90_010), unix + ms(3_690_010)),
            "an hour ahead"
        );
        assert!(!clock.has_stepped(ms(90_020), unix + ms(3_690_020)));
        assert!(clock.has_stepped(ms(90_030), unix + ms(90_030)), "and back");
    }
}
