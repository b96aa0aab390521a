//! One connection: requests of HTTP/1.1, one after the other, each within its time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::phases::{ConnectionPhases, TimeLimits};
use super::shared_table::TableEntry;
use super::stream::ObservedStream;
use crate::http::error::HTTP_2_REFUSAL;

/// Limit on the bytes of a request's head. A longer one is refused with 431.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Limit on the time for which a closing connection reads what its peer still sends. Without that, the peer would lose
/// the response to a request that was refused before it had arrived.
const LINGER: Duration = Duration::from_secs(1);
/// Limit on the bytes that are read in that time.
const LINGER_BYTES: usize = 256 * 1_024;

/// What one connection needs to be served.
pub(super) struct OneConnection {
    pub(super) peer: SocketAddr,
    pub(super) entry: TableEntry,
    pub(super) times: TimeLimits,
    pub(super) router: Router,
    pub(super) stopping: watch::Receiver<()>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// Its peer closed it, or its last response was sent.
    Over,
    /// It took longer than it may.
    TimedOut,
    /// It made room for another one.
    Displaced,
    /// Its peer speaks HTTP/2.
    Http2,
}

impl ConnectionEnd {
    /// Returns the name under which the end is counted.
    pub(super) fn counted(self) -> Option<&'static str> {
        match self {
            Self::Over => None,
            Self::TimedOut => Some("connections_timed_out"),
            Self::Displaced => Some("connections_displaced"),
            Self::Http2 => Some("http_version"),
        }
    }
}

/// Serves requests on `stream` until the connection ends.
pub(super) async fn serve_requests<S>(stream: S, one: OneConnection) -> ConnectionEnd
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let phases = Arc::new(ConnectionPhases::new(one.times, Instant::now()));
    let mut stopping = one.stopping;
    let service = RequestService {
        router: TowerToHyperService::new(one.router),
        peer: one.peer,
        entry: one.entry,
        phases: Arc::clone(&phases),
    };
    let stream = TokioIo::new(ObservedStream::new(stream, Arc::clone(&phases)));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        // A client that has sent its request may close its half, and still receives the response.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(stream, service);
    let mut is_stopping = false;
    let end = {
        let mut stop = pin!(stopping.changed());
        let mut sleep = pin!(sleep_until(phases.deadline()));
        poll_fn(|cx| {
            if !is_stopping && stop.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            // An error is the peer's: a broken connection, or bytes that are no request.
            if connection.poll_without_shutdown(cx).is_ready() {
                return Poll::Ready(ConnectionEnd::Over);
            }
            let deadline = phases.deadline();
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            sleep.as_mut().poll(cx).map(|()| ConnectionEnd::TimedOut)
        })
        .await
    };
    if end == ConnectionEnd::TimedOut {
        return end;
    }
    // The service keeps the connection's place in the table until it is closed.
    let http1::Parts {
        io,
        service: _service,
        ..
    } = connection.into_parts();
    let mut stream = io.into_inner();
    let speaks_http_2 = stream.speaks_http_2();
    let refusal = if speaks_http_2 { HTTP_2_REFUSAL } else { "" };
    // Whether the peer still takes or sends anything is its own affair.
    let _ = timeout(LINGER, close(&mut stream, refusal, is_stopping)).await;
    if speaks_http_2 { ConnectionEnd::Http2 } else { end }
}

/// Closes a connection after `last_words`, so that its peer receives all that was sent.
async fn close<S>(stream: &mut S, last_words: &str, is_stopping: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = Pin::new(stream);
    let mut unsent = last_words.as_bytes();
    while !unsent.is_empty() {
        match poll_fn(|cx| stream.as_mut().poll_write(cx, unsent)).await? {
            0 => break,
            sent => unsent = &unsent[sent..],
        }
    }
    poll_fn(|cx| stream.as_mut().poll_shutdown(cx)).await?;
    let mut bytes = [0; 1_024];
    let mut left = if is_stopping { 0 } else { LINGER_BYTES };
    while left > 0 {
        let mut unread = ReadBuf::new(&mut bytes);
        poll_fn(|cx| stream.as_mut().poll_read(cx, &mut unread)).await?;
        match unread.filled().len() {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

/// Handles the requests of one connection, and reports them to its phases and to the table of connections.
struct RequestService {
    router: TowerToHyperService<Router>,
    peer: SocketAddr,
    entry: TableEntry,
    phases: Arc<ConnectionPhases>,
}

impl Service<Request<Incoming>> for RequestService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.phases.requested(Instant::now());
        self.entry.used();
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.call(request);
        let phases = Arc::clone(&self.phases);
        Box::pin(async move {
            let response = response.await;
            phases.responded(Instant::now());
            response
        })
    }
}
