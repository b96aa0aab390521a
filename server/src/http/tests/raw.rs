//! Connections whose every byte a test chooses.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use super::*;

/// The head of a request for the server's health, which every server handles.
pub(super) const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A connection to a server.
pub(super) struct RawConnection(pub(super) TcpStream);

impl RawConnection {
    pub(super) fn open(server: &Running) -> Self {
        Self::open_from(server, "127.0.0.1")
    }

    /// Opens a connection from one of the addresses of loopback, with a small receive buffer.
    pub(super) fn open_from(server: &Running, own: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let own: SocketAddr = format!("{own}:0").parse().unwrap();
        socket.bind(&own.into()).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&server.address().into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub(super) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the server closes the connection. Returns what it sent.
    pub(super) fn rest(&mut self) -> String {
        let mut received = Vec::new();
        let mut bytes = [0; 4_096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => received.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the connection is still open: {error}"),
            }
        }
        String::from_utf8(received).unwrap()
    }

    /// Reads the next response, which has a `content-length`. Returns its head and its body.
    pub(super) fn response(&mut self) -> (String, String) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Returns whether the server has not closed the connection.
    pub(super) fn is_open(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let read = self.0.peek(&mut [0; 1]);
        self.0.set_nonblocking(false).unwrap();
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends a byte now and then until the server closes the connection. Returns what the server sent.
    pub(super) fn drip(&mut self, text: &str, pause: Duration) -> String {
        let begun = now();
        for byte in text.as_bytes().iter().cycle() {
            if self.0.write_all(&[*byte]).is_err() || !self.is_open() {
                return self.rest();
            }
            assert!(begun.elapsed() < PATIENCE, "the connection is still open");
            std::thread::sleep(pause);
        }
        unreachable!("the text is not empty")
    }
}

/// Sends one request. Returns everything that the server sends until it closes the connection.
pub(super) fn exchange(server: &Running, request: &str) -> String {
    let mut connection = RawConnection::open(server);
    connection.send(request);
    connection.rest()
}
