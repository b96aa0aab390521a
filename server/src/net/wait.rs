//! A worker's wait for its socket, its waker or the time.
//!
//! A socket in an epoll set is watched all the time: the kernel runs the wake-up at every datagram that is sent or
//! received, even while the worker is busy. On Linux a worker therefore calls `ppoll`, which watches the socket only
//! while the worker waits. The portable way uses mio.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
#[cfg(target_os = "linux")]
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use super::socket::IoKind;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// Handle by which another thread ends a worker's wait.
#[derive(Clone, Debug)]
pub(crate) enum Waker {
    Portable(Arc<mio::Waker>),
    #[cfg(target_os = "linux")]
    Event(Arc<OwnedFd>),
}

impl Waker {
    /// Ends the current wait, or the next one when the worker is not waiting.
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Self::Portable(waker) => waker.wake(),
            // `AGAIN` means that the event's counter is full: the wake-up is already pending.
            #[cfg(target_os = "linux")]
            Self::Event(event) => match rustix::io::write(event, &1u64.to_ne_bytes()) {
                Err(Errno::AGAIN) => Ok(()),
                other => Ok(other.map(drop)?),
            },
        }
    }
}

/// The means to wait for one socket and one waker.
#[derive(Debug)]
pub(super) enum SocketWait {
    Portable {
        poll: Poll,
        events: Events,
    },
    #[cfg(target_os = "linux")]
    Event(Arc<OwnedFd>),
}

impl SocketWait {
    /// Creates the means to wait for `socket` and returns it with its waker. Each call of [`SocketWait::wait`] gets the
    /// same socket.
    pub(super) fn new(socket: &mut UdpSocket, io: IoKind) -> io::Result<(Self, Waker)> {
        #[cfg(target_os = "linux")]
        if io == IoKind::Batched {
            let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
            return Ok((Self::Event(Arc::clone(&event)), Waker::Event(event)));
        }
        let _ = io;
        let poll = Poll::new()?;
        poll.registry().register(socket, SOCKET, Interest::READABLE)?;
        let waker = Waker::Portable(Arc::new(mio::Waker::new(poll.registry(), WAKE)?));
        let events = Events::with_capacity(4);
        Ok((Self::Portable { poll, events }, waker))
    }

    /// Waits up to `timeout` and returns whether the socket can be read. Readiness may be reported only once, so the
    /// caller must read until the socket is empty.
    pub(super) fn wait(&mut self, socket: &UdpSocket, timeout: Duration) -> io::Result<bool> {
        match self {
            Self::Portable { poll, events } => match poll.poll(events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                Err(error) => Err(error),
                Ok(()) => Ok(events.iter().any(|event| event.token() == SOCKET)),
            },
            #[cfg(target_os = "linux")]
            Self::Event(event) => wait_for(socket, event, timeout),
        }
    }
}

#[cfg(target_os = "linux")]
fn wait_for(socket: &UdpSocket, event: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let mut watched = [
        PollFd::new(socket, PollFlags::IN),
        PollFd::new(event, PollFlags::IN),
    ];
    match ppoll(&mut watched, timeout) {
        Err(Errno::INTR) => return Ok(false),
        other => other?,
    };
    let [has_datagrams, is_woken] = watched.map(|watched| !watched.revents().is_empty());
    if is_woken {
        // Resets the event's counter. A failure means that it is already reset.
        let _ = rustix::io::read(event, &mut [0; 8]);
    }
    Ok(has_datagrams)
}

/// Waits until a socket can be written, at most for `timeout`. Does not return which of the two it was: the caller
/// retries a bounded number of times in both cases.
#[cfg(target_os = "linux")]
pub(super) fn wait_writable(socket: BorrowedFd<'_>, timeout: Duration) {
    let _ = ppoll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], timeout);
}

#[cfg(target_os = "linux")]
fn ppoll(watched: &mut [PollFd<'_>], timeout: Duration) -> Result<usize, Errno> {
    let timeout = Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    poll(watched, Some(&timeout))
}
