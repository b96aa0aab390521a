//! A connection's stream, which notes when bytes arrive and when all bytes are written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::phases::ConnectionPhases;

/// What a client of HTTP/2 sends first.
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that reports its progress to the connection's phases, and recognizes the preface of HTTP/2.
#[derive(Debug)]
pub(super) struct ObservedStream<S> {
    stream: S,
    phases: Arc<ConnectionPhases>,
    /// Bytes of the preface of HTTP/2 with which the stream begins, as far as it has been read; `None` once a byte
    /// differs.
    preface: Option<usize>,
}

impl<S> ObservedStream<S> {
    pub(super) fn new(stream: S, phases: Arc<ConnectionPhases>) -> Self {
        Self {
            stream,
            phases,
            preface: Some(0),
        }
    }

    /// Returns whether the peer began with the preface of HTTP/2.
    pub(super) fn speaks_http_2(&self) -> bool {
        self.preface == Some(HTTP_2_PREFACE.len())
    }

    fn check_preface(&mut self, bytes: &[u8]) {
        let Some(seen) = self.preface else { return };
        let expected = &HTTP_2_PREFACE[seen..];
        let compared = bytes.len().min(expected.len());
        let is_equal = bytes[..compared] == expected[..compared];
        self.preface = is_equal.then_some(seen + compared);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            this.phases.received(Instant::now());
            this.check_preface(received);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.phases.writing(Instant::now());
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.phases.writing(Instant::now());
        Pin::new(&mut this.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.phases.written(Instant::now());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
