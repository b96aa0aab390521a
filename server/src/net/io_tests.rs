//! Tests of both kinds of socket I/O on real loopback sockets.

#![expect(clippy::disallowed_methods, reason = "real sockets take real time")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;

use super::portable::{PortableReceiver, PortableSender};
use super::socket;
use super::transmit::{Arrival, BATCH_DATAGRAMS, Flush, Receive, SocketCounters};

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

/// A socket with its receiving half, its sending half and their counters.
struct Port<R, T> {
    receiver: R,
    sender: T,
    counters: Arc<SocketCounters>,
    address: SocketAddr,
}

type Halves<R, T> = fn(Arc<UdpSocket>, Arc<SocketCounters>) -> (R, T);

impl<R: Receive, T: Flush> Port<R, T> {
    fn open(halves: Halves<R, T>, address: &str) -> Self {
        let socket = Arc::new(socket::open(address.parse().unwrap(), false).unwrap());
        let counters = Arc::new(SocketCounters::default());
        let address = socket.local_addr().unwrap();
        let (receiver, sender) = halves(socket, Arc::clone(&counters));
        Self {
            receiver,
            sender,
            counters,
            address,
        }
    }

    fn write(&mut self, to: SocketAddr, bytes: &[u8]) {
        // Bytes written without a commit are discarded.
        self.sender.begin().fill(0xFF);
        // Leaves a gap before the payload, as sealing does for its header.
        self.sender.begin()[9..9 + bytes.len()].copy_from_slice(bytes);
        self.sender.commit(to, 9..9 + bytes.len());
    }

    /// Receives until `count` datagrams arrived or two seconds have passed.
    fn read(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(2);
        while seen.len() < count && Instant::now() < deadline {
            let each = &mut |arrival: Arrival, bytes: &mut [u8]| {
                seen.push((arrival.from, bytes.to_vec()));
            };
            if self.receiver.receive(each).unwrap() == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        seen
    }
}

fn both(test: impl Fn(&dyn Fn(&str) -> Box<dyn AnyPort>)) {
    test(&|address| {
        Box::new(Port::open(
            |socket, counters| {
                (
                    PortableReceiver::new(Arc::clone(&socket), Arc::clone(&counters)),
                    PortableSender::new(socket, counters),
                )
            },
            address,
        ))
    });
    #[cfg(target_os = "linux")]
    test(&|address| {
        use super::batched::{BatchedReceiver, BatchedSender};
        Box::new(Port::open(
            |socket, counters| {
                (
                    BatchedReceiver::new(Arc::clone(&socket), Arc::clone(&counters)),
                    BatchedSender::new(socket, counters),
                )
            },
            address,
        ))
    });
}

/// The interface of a [`Port`] of any kind of I/O.
trait AnyPort {
    fn address(&self) -> SocketAddr;
    fn counters(&self) -> &SocketCounters;
    fn write(&mut self, to: SocketAddr, bytes: &[u8]);
    fn flush(&mut self);
    fn read(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)>;
}

impl<R: Receive, T: Flush> AnyPort for Port<R, T> {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn counters(&self) -> &SocketCounters {
        &self.counters
    }

    fn write(&mut self, to: SocketAddr, bytes: &[u8]) {
        Self::write(self, to, bytes);
    }

    fn flush(&mut self) {
        self.sender.flush();
    }

    fn read(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        Self::read(self, count)
    }
}

#[test]
fn three_batches_to_many_clients_arrive_complete_and_in_order() {
    for address in [V4, V6] {
        both(|open| {
            let mut port = open(address);
            let clients: Vec<StdSocket> = (0..5)
                .map(|_| {
                    let client = StdSocket::bind(address).unwrap();
                    client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    client
                })
                .collect();
            let total = 3 * BATCH_DATAGRAMS;
            for number in 0..total {
                let to = clients[number % clients.len()].local_addr().unwrap();
                port.write(to, &[number as u8; 300][..100 + number]);
            }
            port.flush();
            let mut buffer = [0; 2_000];
            for number in 0..total {
                let bytes = clients[number % clients.len()].recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..bytes], &[number as u8; 300][..100 + number]);
            }
            assert_eq!(port.counters().datagrams_out.load(Relaxed), total as u64);
            assert_eq!(port.counters().send_failures.load(Relaxed), 0);
        });
    }
}

#[test]
fn consecutive_datagrams_of_equal_size_to_one_client_stay_separate() {
    both(|open| {
        let mut port = open(V4);
        let client = StdSocket::bind(V4).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let sizes = [1_200, 1_200, 1_200, 700, 1_200, 1_200, 30, 30, 31];
        for (number, &size) in sizes.iter().enumerate() {
            port.write(client.local_addr().unwrap(), &vec![number as u8; size]);
        }
        port.flush();
        let mut buffer = [0; 2_000];
        for (number, &size) in sizes.iter().enumerate() {
            assert_eq!(client.recv(&mut buffer).unwrap(), size);
            assert!(buffer[..size].iter().all(|&byte| byte == number as u8));
        }
    });
}

#[test]
fn datagrams_are_received_with_their_senders_address() {
    for address in [V4, V6] {
        both(|open| {
            let mut port = open(address);
            let clients = [
                StdSocket::bind(address).unwrap(),
                StdSocket::bind(address).unwrap(),
            ];
            for number in 0..100u8 {
                let client = &clients[usize::from(number) % 2];
                client
                    .send_to(&vec![number; 20 + usize::from(number)], port.address())
                    .unwrap();
            }
            let seen = port.read(100);
            let mut senders = BTreeMap::new();
            for (number, (from, bytes)) in seen.iter().enumerate() {
                assert_eq!(*bytes, vec![number as u8; 20 + number]);
                *senders.entry(*from).or_insert(0) += 1;
            }
            let expected = clients
                .iter()
                .map(|client| (client.local_addr().unwrap(), 50))
                .collect();
            assert_eq!(senders, expected);
            assert_eq!(port.counters().datagrams_in.load(Relaxed), 100);
        });
    }
}

#[test]
fn oversized_datagrams_are_dropped_and_counted() {
    both(|open| {
        let mut port = open(V4);
        let client = StdSocket::bind(V4).unwrap();
        for size in [1_400, 1_401, 9_000, 0, 17] {
            client.send_to(&vec![7; size], port.address()).unwrap();
        }
        let sizes: Vec<usize> = port.read(3).iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(sizes, [1_400, 0, 17]);
        assert_eq!(port.counters().oversized.load(Relaxed), 2);
    });
}

#[test]
fn a_datagram_that_cannot_be_sent_does_not_affect_others() {
    both(|open| {
        let mut port = open(V4);
        let client = StdSocket::bind(V4).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let to = client.local_addr().unwrap();
        port.write(to, b"before");
        // Port 0 cannot receive.
        port.write("127.0.0.1:0".parse().unwrap(), b"refused");
        port.write(to, b"after");
        port.flush();
        let mut buffer = [0; 64];
        for expected in ["before", "after"] {
            let bytes = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..bytes], expected.as_bytes());
        }
        assert_eq!(port.counters().send_failures.load(Relaxed), 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_arrival_time_is_that_of_the_kernel_not_of_the_read() {
    use super::batched::BatchedReceiver;
    let socket = socket::open(V4.parse().unwrap(), false).unwrap();
    let address = socket.local_addr().unwrap();
    let mut receiver = BatchedReceiver::new(Arc::new(socket), Arc::default());
    receiver.measure();
    let client = StdSocket::bind(V4).unwrap();
    let unix_now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut arrival_between = |length: usize| {
        let sent = unix_now();
        client.send_to(&vec![7; length], address).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let read = unix_now();
        let mut arrived = None;
        let each = &mut |arrival: Arrival, _: &mut [u8]| arrived = arrival.unix;
        assert_eq!(receiver.receive(each).unwrap(), 1);
        (sent..read).contains(&arrived.unwrap())
    };
    // The kernel begins to record arrivals some time after the request. Until then it records the time of the read.
    assert!((0..200).any(|_| arrival_between(1)));
    assert!([1, 1_300].into_iter().all(arrival_between));
}

#[cfg(target_os = "linux")]
#[test]
fn datagrams_lost_in_the_kernel_are_counted() {
    use super::batched::BatchedReceiver;
    let socket = socket::open(V4.parse().unwrap(), false).unwrap();
    let address = socket.local_addr().unwrap();
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(2_048)
        .unwrap();
    let counters = Arc::new(SocketCounters::default());
    let mut receiver = BatchedReceiver::new(Arc::new(socket), Arc::clone(&counters));
    let client = StdSocket::bind(V4).unwrap();
    for _ in 0..200 {
        client.send_to(&[0; 1_000], address).unwrap();
    }
    while receiver.receive(&mut |_: Arrival, _: &mut [u8]| {}).unwrap() > 0 {}
    let read = counters.datagrams_in.load(Relaxed);
    receiver.measure();
    assert_eq!(read + counters.overflowed.load(Relaxed), 200);
    assert!(read < 200);
}
