//! The Linux system calls that no safe crate wraps well: batched datagrams, socket options, affinity and
//! a thread's CPU time.
//!
//! The only file with `unsafe`. Owns the memory that the kernel fills during a batched receive.
//! Guarantees that every function is safe to call with any argument, and that a short or failed call is
//! reported unchanged: retries and counters belong to `batched.rs`.

#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and socket options have no safe wrapper"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

use socket2::Socket;

use super::transmit::{Arrival, BATCH_DATAGRAMS, DATAGRAM_BUFFER_BYTES};

/// Most segments in one message. The kernel accepts at least 64 (`UDP_MAX_SEGMENTS` before Linux 6.9); 44 segments
/// of up to 1,408 bytes keep a message below 65,507 bytes.
const SEGMENTS_MAX: usize = 44;
/// Socket option from `linux/udp.h`, which `libc` does not define.
const UDP_SEGMENT: libc::c_int = 103;
/// Number of values that `SO_MEMINFO` returns, and the index of the drop counter, from `linux/sock_diag.h`.
const MEMINFO_VALUES: usize = 9;
const MEMINFO_DROPS: usize = 8;
/// Bytes of a control message with one 16-bit value: a header of 16 bytes, the value and padding to 8 bytes.
const CONTROL_BYTES: usize = 24;

/// Sets "don't fragment" and ignores learned path MTUs. Forged "packet too big" messages therefore have no effect: a
/// path passes datagrams of 1,200 bytes whole or loses them.
pub(super) fn forbid_fragments(socket: &Socket, ipv6: bool) -> io::Result<()> {
    set_option(
        socket.as_fd(),
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::IP_PMTUDISC_PROBE,
    )
    .or_else(|error| {
        // A socket for IPv6 only has no IPv4 options.
        if ipv6 { Ok(()) } else { Err(error) }
    })?;
    if ipv6 {
        set_option(
            socket.as_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        )?;
    }
    Ok(())
}

/// Switches the kernel's recording of arrival times on or off; see [`ReceiveRing::datagram`].
pub(super) fn note_arrivals(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        libc::c_int::from(on),
    )
}

/// Requests buffers above the system's limit, which the kernel grants only to a privileged process.
pub(super) fn force_buffer_sizes(socket: &Socket, bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // Without the privilege the earlier sizes remain; the caller reads the granted sizes.
    let _ = set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes);
    let _ = set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes);
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call, and the pointer and length describe a live `c_int`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Returns how many datagrams the kernel dropped at this socket since it was opened. This is the counter that
/// `SO_RXQ_OVFL` attaches to datagrams, read without a control message on each. Wraps at 2^32.
pub(super) fn receive_overflow(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut values = [0u32; MEMINFO_VALUES];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the pointer and length describe `values`, which the kernel fills at most.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(values[MEMINFO_DROPS])
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps the calling thread on one CPU.
pub(super) fn pin_thread(cpu: usize) -> io::Result<()> {
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: all zeros is the empty set, and `cpu` is within the set.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: 0 is the calling thread; the pointer and size describe `set`.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The memory of one datagram in a [`ReceiveRing`], which the kernel writes.
#[repr(C)]
struct ReceiveSlot {
    bytes: [u8; DATAGRAM_BUFFER_BYTES],
    name: libc::sockaddr_in6,
    vector: libc::iovec,
    arrival: ArrivalNote,
}

/// A control message with the time of a datagram's arrival, in the layout that `CMSG_DATA` expects.
#[repr(C)]
struct ArrivalNote {
    header: libc::cmsghdr,
    at: libc::timespec,
}

/// All memory that one `recvmmsg` needs. The headers point to slots of the same allocation.
#[repr(C)]
struct RingMemory {
    headers: [libc::mmsghdr; BATCH_DATAGRAMS],
    slots: [ReceiveSlot; BATCH_DATAGRAMS],
}

/// Memory for receiving datagrams in batches. It is set up once, and each call resets only the headers that the
/// last one changed.
///
/// The memory contains pointers into itself, so it is accessed only through the one raw pointer.
pub(super) struct ReceiveRing {
    memory: NonNull<RingMemory>,
    /// Number of headers that the last receive filled and that must be reset before the next.
    dirty: usize,
}

// SAFETY: the ring owns its memory alone, and nothing in it depends on the thread.
unsafe impl Send for ReceiveRing {}

impl ReceiveRing {
    /// Allocates the buffers (about 94 KiB).
    pub(super) fn new() -> Self {
        let layout = Layout::new::<RingMemory>();
        // SAFETY: the layout is not empty.
        let Some(memory) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<RingMemory>()) else {
            handle_alloc_error(layout);
        };
        for index in 0..BATCH_DATAGRAMS {
            // SAFETY: `index` is in range, the memory is live and zeroed, which is a valid value of every
            // field, and no reference into it exists.
            unsafe {
                let slot = &raw mut (*memory.as_ptr()).slots[index];
                (*slot).vector.iov_base = (&raw mut (*slot).bytes).cast();
                (*slot).vector.iov_len = DATAGRAM_BUFFER_BYTES;
                let header = &raw mut (*memory.as_ptr()).headers[index].msg_hdr;
                (*header).msg_name = (&raw mut (*slot).name).cast();
                (*header).msg_iov = &raw mut (*slot).vector;
                (*header).msg_iovlen = 1;
                (*header).msg_control = (&raw mut (*slot).arrival).cast();
            }
        }
        Self {
            memory,
            dirty: BATCH_DATAGRAMS,
        }
    }

    /// Receives the waiting datagrams, up to one batch, without blocking. Returns their number.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for index in 0..self.dirty {
            // SAFETY: in range, and no reference into the memory exists.
            unsafe {
                let header = &raw mut (*self.memory.as_ptr()).headers[index].msg_hdr;
                (*header).msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                (*header).msg_controllen = size_of::<ArrivalNote>();
            }
        }
        self.dirty = 0;
        // SAFETY: every header describes a live buffer, name and vector of this ring.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                (&raw mut (*self.memory.as_ptr()).headers).cast(),
                BATCH_DATAGRAMS as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        self.dirty = received;
        Ok(received)
    }

    /// Returns the sender of datagram `index` of the last receive, or `None` for an unknown address family.
    pub(super) fn sender(&self, index: usize) -> Option<SocketAddr> {
        // SAFETY: in range; the kernel is done, and no mutable reference into the memory exists.
        let name = (index < self.dirty).then(|| unsafe { &(*self.memory.as_ptr()).slots[index].name });
        read_address(name?)
    }

    /// Returns the arrival and bytes of datagram `index` of the last receive, or `None` when the datagram was truncated
    /// or the sender's address family is unknown.
    pub(super) fn datagram(&mut self, index: usize) -> Option<(Arrival, &mut [u8])> {
        if index >= self.dirty {
            return None;
        }
        // SAFETY: in range; the kernel is done; the references live as long as the borrow of `self`.
        let (header, slot) = unsafe {
            (
                &(*self.memory.as_ptr()).headers[index],
                &mut (*self.memory.as_ptr()).slots[index],
            )
        };
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let arrival = Arrival {
            from: read_address(&slot.name)?,
            unix: read_arrival(&slot.arrival, header.msg_hdr.msg_controllen),
        };
        slot.bytes
            .get_mut(..header.msg_len as usize)
            .map(|bytes| (arrival, bytes))
    }
}

impl Drop for ReceiveRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { dealloc(self.memory.as_ptr().cast(), Layout::new::<RingMemory>()) };
    }
}

/// Reads a datagram's arrival time from a control message of `bytes` bytes, or returns `None` without one.
fn read_arrival(note: &ArrivalNote, bytes: usize) -> Option<Duration> {
    let is_arrival = bytes >= size_of::<ArrivalNote>()
        && note.header.cmsg_level == libc::SOL_SOCKET
        && note.header.cmsg_type == libc::SCM_TIMESTAMPNS;
    let seconds = u64::try_from(note.at.tv_sec).ok().filter(|_| is_arrival)?;
    Some(Duration::new(seconds, u32::try_from(note.at.tv_nsec).ok()?))
}

/// Reads a socket address from the kernel's form; `None` for another address family. The storage has the size of
/// the larger address family.
fn read_address(name: &libc::sockaddr_in6) -> Option<SocketAddr> {
    match libc::c_int::from(name.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the family is `AF_INET`, and a `sockaddr_in` is smaller and less aligned.
            let v4: libc::sockaddr_in = unsafe { ptr::read(ptr::from_ref(name).cast()) };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            // The flow label may differ between datagrams of one client and does not identify it, so it is 0.
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id)))
        }
        _ => None,
    }
}

/// Writes a socket address in the kernel's form. Returns its length in bytes.
fn write_address(to: SocketAddr, name: &mut MaybeUninit<libc::sockaddr_in6>) -> libc::socklen_t {
    match to {
        SocketAddr::V4(to) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*to.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: a `sockaddr_in` fits into the larger `sockaddr_in6` and is less aligned.
            unsafe { ptr::write(name.as_mut_ptr().cast(), v4) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(to) => {
            name.write(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: to.ip().octets(),
                },
                sin6_scope_id: to.scope_id(),
            });
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// A datagram to send with [`send_batch`].
#[derive(Clone, Copy)]
pub(super) struct OutgoingDatagram<'a> {
    /// Address to which it is sent.
    pub to: SocketAddr,
    /// Bytes of the complete datagram.
    pub bytes: &'a [u8],
}

/// Sends up to [`BATCH_DATAGRAMS`] datagrams in one call without blocking. Returns how many the kernel took.
///
/// With `segment`, consecutive datagrams of equal size to one address (the last may be shorter) pass through the
/// kernel as one message, which the lowest layer splits (UDP GSO). That halves the cost of each.
pub(super) fn send_batch(
    socket: BorrowedFd<'_>,
    datagrams: &[OutgoingDatagram<'_>],
    segment: bool,
) -> io::Result<usize> {
    let datagrams = &datagrams[..datagrams.len().min(BATCH_DATAGRAMS)];
    let mut vectors: [MaybeUninit<libc::iovec>; BATCH_DATAGRAMS] = [const { MaybeUninit::uninit() }; _];
    let mut names: [MaybeUninit<libc::sockaddr_in6>; BATCH_DATAGRAMS] = [const { MaybeUninit::uninit() }; _];
    let mut headers: [MaybeUninit<libc::mmsghdr>; BATCH_DATAGRAMS] = [const { MaybeUninit::uninit() }; _];
    let mut controls: [MaybeUninit<Control>; BATCH_DATAGRAMS] = [const { MaybeUninit::uninit() }; _];
    let mut ends = [0u8; BATCH_DATAGRAMS];
    for (vector, datagram) in vectors.iter_mut().zip(datagrams) {
        vector.write(libc::iovec {
            iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
            iov_len: datagram.bytes.len(),
        });
    }
    let (mut messages, mut first) = (0, 0);
    while first < datagrams.len() {
        let count = if segment {
            run_length(&datagrams[first..])
        } else {
            1
        };
        let name_bytes = write_address(datagrams[first].to, &mut names[messages]);
        // SAFETY: all zeros is a valid header.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_name = names[messages].as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = name_bytes;
        header.msg_hdr.msg_iov = vectors[first].as_mut_ptr();
        header.msg_hdr.msg_iovlen = count;
        if count > 1 {
            let control = controls[messages].write(Control::segment(datagrams[first].bytes.len()));
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES;
        }
        headers[messages].write(header);
        first += count;
        ends[messages] = first as u8;
        messages += 1;
    }
    if messages == 0 {
        return Ok(0);
    }
    // SAFETY: the first `messages` headers are written and point to live names, vectors and controls, and
    // the vectors to the datagrams' bytes, which the kernel only reads.
    let result = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            messages as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    let sent = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    Ok(sent.checked_sub(1).map_or(0, |last| usize::from(ends[last])))
}

/// A control message with the segment size, in the layout that `CMSG_DATA` expects.
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    segment_bytes: u16,
    padding: [u8; 6],
}

const _: () = assert!(size_of::<Control>() == CONTROL_BYTES);

impl Control {
    fn segment(bytes: usize) -> Self {
        let header = libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<u16>(),
            cmsg_level: libc::IPPROTO_UDP,
            cmsg_type: UDP_SEGMENT,
        };
        Self {
            header,
            segment_bytes: bytes as u16,
            padding: [0; 6],
        }
    }
}

/// Returns how many of the leading datagrams can be sent as one segmented message.
fn run_length(datagrams: &[OutgoingDatagram<'_>]) -> usize {
    let Some((head, rest)) = datagrams.split_first() else {
        return 0;
    };
    let mut count = 1;
    for next in rest.iter().take(SEGMENTS_MAX - 1) {
        if next.to != head.to || next.bytes.len() > head.bytes.len() || next.bytes.is_empty() {
            break;
        }
        count += 1;
        if next.bytes.len() < head.bytes.len() {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(to: &[u16], sizes: &[usize]) -> usize {
        let bytes = [0; 2_000];
        let datagrams: Vec<_> = to
            .iter()
            .zip(sizes)
            .map(|(&port, &size)| OutgoingDatagram {
                to: (Ipv4Addr::LOCALHOST, port).into(),
                bytes: &bytes[..size],
            })
            .collect();
        run_length(&datagrams)
    }

    #[test]
    fn only_consecutive_datagrams_of_equal_size_and_a_shorter_last_one_are_segmented_together() {
        assert_eq!(run(&[1, 1, 1, 1], &[9, 9, 5, 5]), 3);
        assert_eq!(run(&[1, 1, 2], &[9, 9, 9]), 2);
        assert_eq!(run(&[1, 1], &[5, 9]), 1);
        assert_eq!(run(&[1; 64], &[1_200; 64]), SEGMENTS_MAX);
        assert_eq!(run(&[], &[]), 0);
    }

    #[test]
    fn addresses_of_both_families_survive_the_round_trip() {
        for text in ["10.1.2.3:65535", "[fe80::1%3]:5000", "[::ffff:1.2.3.4]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = MaybeUninit::zeroed();
            write_address(address, &mut name);
            // SAFETY: zeroed before it was written, and valid for every bit pattern.
            assert_eq!(read_address(unsafe { name.assume_init_ref() }), Some(address));
        }
    }

    #[test]
    fn a_thread_is_pinned_and_a_cpu_out_of_range_is_refused() {
        assert!(pin_thread(usize::MAX).is_err());
        std::thread::spawn(|| pin_thread(0).unwrap()).join().unwrap();
    }
}
