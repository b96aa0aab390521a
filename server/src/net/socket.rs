//! Opening of a worker's UDP socket: binding and kernel buffers.
//!
//! Guarantees that an address in use, or not of this machine, is an error that names the address and the remedy, and
//! that kernel buffers smaller than requested are logged with the settings that limit them. Does not read
//! or write datagrams: `batched.rs` and `portable.rs` do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
use super::syscalls;

/// Kernel buffer requested in each direction, in bytes. The kernel's default holds 256 small datagrams, which is
/// 2.6 ms of inputs at 5,000 clients.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// The kind of system calls by which datagrams are sent and received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoKind {
    /// Many datagrams per call. Only on Linux; elsewhere this means portable I/O.
    Batched,
    /// One datagram per call, on every system.
    Portable,
}

impl IoKind {
    /// Returns the fastest kind that this system supports.
    #[must_use]
    pub fn native() -> Self {
        if cfg!(target_os = "linux") {
            Self::Batched
        } else {
            Self::Portable
        }
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The address is in use by another process or another worker.
    #[error(
        "UDP address {address} is in use: stop the other process, or choose another with --udp ADDR:PORT \
         (worker n listens on PORT + n)"
    )]
    InUse {
        /// Address that was to be opened.
        address: SocketAddr,
    },
    /// The address belongs to no interface of this machine.
    #[error(
        "UDP address {address} does not belong to this machine: bind to 0.0.0.0 or [::] with --udp, and set \
         the outside address with --advertise"
    )]
    NotOurs {
        /// Address that was to be opened.
        address: SocketAddr,
    },
    /// The address stands for all hosts of a network.
    #[error(
        "UDP address {address} is the broadcast address of a network, and must be that of one host: choose another \
         with --udp, or with --advertise"
    )]
    Broadcast {
        /// Address that was to be opened, or that clients were to be given.
        address: SocketAddr,
    },
    /// Ports below 1,024 need a privilege.
    #[error(
        "no permission to open UDP address {address}: use a port above 1023, or grant CAP_NET_BIND_SERVICE"
    )]
    Forbidden {
        /// Address that was to be opened.
        address: SocketAddr,
    },
    /// The worker's port would be above 65,535.
    #[error("--udp {base} leaves no port for worker {worker}: the last port is 65535")]
    PortRange {
        /// Address of the first worker.
        base: SocketAddr,
        /// The worker without a port.
        worker: u8,
    },
    /// Any other error of the system.
    #[error("cannot open UDP address {address}: {error}")]
    Other {
        /// Address that was to be opened.
        address: SocketAddr,
        /// Error of the operating system.
        error: io::Error,
    },
}

/// Returns the address of worker number `worker` when the first worker listens on `base`. All workers get `base`
/// itself when they share one port or when its port is 0.
///
/// # Errors
/// [`SocketError::PortRange`] when the port would be above 65,535.
pub(crate) fn worker_address(base: SocketAddr, worker: u8, shared: bool) -> Result<SocketAddr, SocketError> {
    if shared || base.port() == 0 {
        return Ok(base);
    }
    let port = base
        .port()
        .checked_add(u16::from(worker))
        .ok_or(SocketError::PortRange { base, worker })?;
    Ok(SocketAddr::new(base.ip(), port))
}

/// Refuses an address that is the broadcast address of one of this machine's networks. Sends nothing.
///
/// # Errors
/// [`SocketError::Broadcast`].
pub(crate) fn refuse_broadcast(address: SocketAddr) -> Result<(), SocketError> {
    let SocketAddr::V4(v4) = address else {
        return Ok(());
    };
    // Linux refuses to connect a socket to such an address unless the socket says that it means to. Another port than 0
    // is needed to ask.
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into());
    let refusal = probe.and_then(|probe| probe.connect((*v4.ip(), 9).into())).err();
    match refusal.and_then(|error| error.raw_os_error()) {
        #[cfg(target_os = "linux")]
        Some(libc::EACCES) => Err(SocketError::Broadcast { address }),
        _ => Ok(()),
    }
}

/// Opens a non-blocking UDP socket on `address`. With `joins`, the socket shares the address with the sockets that are
/// bound to it, if those admit others (`admit_others`). Without, the address must be free.
///
/// # Errors
/// [`SocketError`], which names the address and the remedy.
pub fn open(address: SocketAddr, joins: bool) -> Result<UdpSocket, SocketError> {
    open_socket(address, joins).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => SocketError::InUse { address },
        io::ErrorKind::AddrNotAvailable => SocketError::NotOurs { address },
        io::ErrorKind::PermissionDenied => SocketError::Forbidden { address },
        _ => SocketError::Other { address, error },
    })
}

/// Lets other sockets of this user join the address of a bound `socket`. Since the first socket of a server is bound
/// without them, the kernel refuses the first socket of a second server on the same address, also when both start at the
/// same moment, and frees the address when the process ends in any way.
///
/// # Errors
/// [`SocketError::Other`] where the system has no `SO_REUSEPORT`.
pub(crate) fn admit_others(socket: &UdpSocket, address: SocketAddr) -> Result<(), SocketError> {
    #[cfg(unix)]
    let admitted = socket2::SockRef::from(socket).set_reuse_port(true);
    #[cfg(not(unix))]
    let admitted = Err(no_reuse_port(socket));
    admitted.map_err(|error| SocketError::Other { address, error })
}

#[cfg(not(unix))]
fn no_reuse_port<T>(_: T) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "--udp-shared needs SO_REUSEPORT")
}

fn open_socket(address: SocketAddr, joins: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // [::] serves IPv4 clients too, under mapped addresses.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    #[cfg(unix)]
    if joins {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    if joins {
        return Err(no_reuse_port(socket));
    }
    enlarge_buffers(&socket, address);
    #[cfg(target_os = "linux")]
    syscalls::forbid_fragments(&socket, address.is_ipv6())?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Requests large kernel buffers for both directions. Logs a warning when the kernel grants less.
fn enlarge_buffers(socket: &Socket, address: SocketAddr) {
    // When the kernel refuses, the earlier size remains. The granted sizes are read below.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    #[cfg(target_os = "linux")]
    syscalls::force_buffer_sizes(socket, SOCKET_BUFFER_BYTES);
    // Linux doubles the requested size to cover its own overhead and reports the doubled size.
    let reported = if cfg!(target_os = "linux") { 2 } else { 1 };
    let receive = socket.recv_buffer_size().unwrap_or_default() / reported;
    let send = socket.send_buffer_size().unwrap_or_default() / reported;
    if receive < SOCKET_BUFFER_BYTES || send < SOCKET_BUFFER_BYTES {
        tracing::warn!(
            %address,
            receive,
            send,
            wanted = SOCKET_BUFFER_BYTES,
            "small UDP buffers, bursts may be lost: raise net.core.rmem_max and net.core.wmem_max, or grant CAP_NET_ADMIN"
        );
    } else {
        tracing::debug!(%address, receive, send, "UDP buffers granted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_port_in_use_names_the_address_and_the_remedy() {
        let first = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = first.local_addr().unwrap();
        let message = open(address, false).unwrap_err().to_string();
        assert!(
            message.contains(&address.to_string()) && message.contains("--udp"),
            "{message}"
        );
    }

    #[test]
    fn the_error_for_a_foreign_address_names_the_address_and_the_remedy() {
        let message = open("192.0.2.1:0".parse().unwrap(), false)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("192.0.2.1") && message.contains("--advertise"),
            "{message}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_broadcast_address_of_a_network_is_refused() {
        // Every Linux has this network.
        let message = refuse_broadcast("127.255.255.255:5000".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("127.255.255.255:5000")
                && message.contains("--udp")
                && message.contains("--advertise"),
            "{message}"
        );
        for address in [
            "127.0.0.1:5000",
            "0.0.0.0:5000",
            "[::1]:5000",
            "203.0.113.255:5000",
        ] {
            assert!(refuse_broadcast(address.parse().unwrap()).is_ok(), "{address}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn sockets_of_one_server_share_a_port_and_another_server_gets_none() {
        for base in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let base: SocketAddr = base.parse().unwrap();
            let first = open(base, false).unwrap();
            let address = first.local_addr().unwrap();
            assert!(
                open(address, true).is_err(),
                "{base}: the first admits no others yet"
            );
            admit_others(&first, address).unwrap();
            let workers = [(); 3].map(|()| open(address, true).unwrap());
            for other in [address, SocketAddr::new(base.ip(), address.port())] {
                assert!(
                    matches!(open(other, false), Err(SocketError::InUse { .. })),
                    "{base}: {other}"
                );
            }
            // Also where only one of the two listens on all addresses.
            if base.ip().is_unspecified() {
                let local = SocketAddr::from(([127, 0, 0, 1], address.port()));
                assert!(
                    matches!(open(local, false), Err(SocketError::InUse { .. })),
                    "{base}"
                );
            }
            drop((first, workers));
            assert!(open(address, false).is_ok(), "{base}: the port is free again");
        }
    }

    #[cfg(unix)]
    #[test]
    fn of_servers_that_start_at_the_same_moment_one_gets_the_port() {
        for _ in 0..20 {
            let probe = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
            let address = probe.local_addr().unwrap();
            drop(probe);
            let start = std::sync::Barrier::new(4);
            let servers: Vec<_> = std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        start.wait();
                        let first = open(address, false).ok()?;
                        admit_others(&first, address).unwrap();
                        Some((first, open(address, true).unwrap()))
                    })
                });
                threads
                    .into_iter()
                    .filter_map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(servers.len(), 1);
        }
    }

    #[test]
    fn workers_take_consecutive_ports() {
        let base: SocketAddr = "[::1]:5000".parse().unwrap();
        assert_eq!(worker_address(base, 3, false).unwrap().port(), 5003);
        assert_eq!(worker_address(base, 3, true).unwrap(), base);
        let last: SocketAddr = "127.0.0.1:65535".parse().unwrap();
        assert!(matches!(
            worker_address(last, 1, false),
            Err(SocketError::PortRange { worker: 1, .. })
        ));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn buffers_above_the_default_are_granted() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let default = socket.recv_buffer_size().unwrap();
        enlarge_buffers(&socket, "127.0.0.1:0".parse().unwrap());
        assert!(socket.recv_buffer_size().unwrap() >= default);
    }
}
