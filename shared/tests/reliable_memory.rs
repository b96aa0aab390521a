//! Memory of a session with a hostile peer: it never exceeds the limits, whatever the peer sends.
//!
//! Measured with an allocator that counts, so that renet's memory is included.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use throng_shared::limits::{RELIABLE_RECEIVE_BYTES_MAX, RELIABLE_WINDOW_MESSAGES};
use throng_shared::protocol::ids::Channel;
use throng_shared::reliable::Reliable;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no thread-local any more, and is not measured.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator with unchanged arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Received bytes of two reliable channels, and what their data structures take.
const BYTES_MAX: isize = 2 * RELIABLE_RECEIVE_BYTES_MAX as isize + 16 * 1024;

const PACKETS: u64 = 50_000;
const ORDERED: u8 = Channel::ReliableOrdered as u8;
const UNORDERED: u8 = Channel::ReliableUnordered as u8;

fn varint(value: u64) -> [u8; 8] {
    (value | 0xc000_0000_0000_0000).to_be_bytes()
}

fn small(sequence: u64, channel: u8, ids: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut packet = vec![0];
    packet.extend(varint(sequence));
    packet.extend([channel, 0, 0]);
    for id in ids {
        packet[11] += 1;
        packet.extend(varint(id));
        packet.extend([1, 0xaa]);
    }
    packet
}

fn slice(kind: u8, sequence: u64, channel: u8, [id, index, count]: [u64; 3]) -> Vec<u8> {
    let mut packet = vec![kind];
    packet.extend(varint(sequence));
    packet.push(channel);
    for value in [id, index, count, 1_200] {
        packet.extend(varint(value));
    }
    packet.extend([0; 1_200]);
    packet
}

/// Returns the most bytes that a session holds while it receives what `packet` makes, until it refuses one.
fn held_at_most(poll_every: u64, packet: impl Fn(u64) -> Vec<u8>) -> isize {
    let before = HELD.get();
    let mut end = Reliable::new();
    let mut most = 0;
    for number in 0..PACKETS {
        if end.receive(&packet(number)).is_err() {
            break;
        }
        while end.pop().is_some() {}
        if number % poll_every == 0
            && end
                .poll(Duration::from_millis(number), usize::MAX, |_| {})
                .is_err()
        {
            break;
        }
        most = most.max(HELD.get() - before);
    }
    drop(end);
    assert!(
        HELD.get() - before < 1024,
        "{} bytes are left",
        HELD.get() - before
    );
    most
}

#[test]
fn a_session_holds_no_more_than_the_limits_whatever_it_receives() {
    let floods: [(&str, fn(u64) -> Vec<u8>); 9] = [
        ("empty ordered messages", |n| {
            let mut packet = small(n, ORDERED, [n]);
            packet.truncate(20);
            packet.extend([0]);
            packet
        }),
        ("all but the first message", |n| {
            small(n, ORDERED, [1 + n % (RELIABLE_WINDOW_MESSAGES - 1)])
        }),
        ("every second message", |n| {
            small(n, UNORDERED, [(2 * n + 1) % RELIABLE_WINDOW_MESSAGES])
        }),
        ("the beginnings of sliced messages", |n| {
            slice(2, n, ORDERED, [n % RELIABLE_WINDOW_MESSAGES, 0, 8])
        }),
        ("slices that never complete", |n| {
            slice(2, n, UNORDERED, [n % 2, n % 7, 8])
        }),
        ("unreliable slices", |n| slice(3, n, 0, [n, 0, 8])),
        ("sequences that leave gaps", |n| small(2 * n, ORDERED, [])),
        ("sequences that run backwards", |n| {
            small(2 * (PACKETS - n), ORDERED, [])
        }),
        ("sequences that jump ahead and fill up backwards", |n| {
            small((n / 64 + 1) * 1_000 - 2 * (n % 64), ORDERED, [])
        }),
    ];
    for (name, packet) in floods {
        for poll_every in [1, 64, u64::MAX] {
            let most = held_at_most(poll_every, packet);
            assert!(
                most <= BYTES_MAX,
                "{name}: {most} bytes, polled every {poll_every}"
            );
        }
    }
}

#[test]
fn a_session_holds_no_more_than_the_limits_if_its_peer_never_acknowledges() {
    let before = HELD.get();
    let mut end = Reliable::new();
    let mut most = 0;
    for step in 0..20_000 {
        // Refused once the queue is full: a server would end the session then.
        let _ = end.send(Channel::ReliableOrdered, vec![1; 100].into());
        end.poll(Duration::from_millis(step * 50), 24_000, |_| {})
            .unwrap();
        most = most.max(HELD.get() - before);
    }
    assert!(most < 192 * 1024, "{most} bytes");
}

#[test]
fn sessions_share_the_bytes_of_a_message_to_many() {
    const SESSIONS: isize = 200;
    const MESSAGES: usize = 200;
    let messages: Vec<bytes::Bytes> = (0..MESSAGES).map(|_| vec![1; 1_000].into()).collect();
    // The first clone of each allocates the counter that all clones share.
    drop(messages.clone());
    let before = HELD.get();
    let mut ends: Vec<_> = (0..SESSIONS)
        .map(|_| Reliable::with_send_bytes_max(256 * 1024))
        .collect();
    for end in &mut ends {
        for message in &messages {
            end.send(Channel::ReliableOrdered, message.clone()).unwrap();
        }
    }
    let each = (HELD.get() - before) / SESSIONS;
    assert!(each < 24 * 1024, "{each} bytes a session");
    drop(ends);
    assert!(HELD.get() - before < 1024);
}
