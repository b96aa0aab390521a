//! The HTTP server: one thread, one tokio runtime, bounded connections, optional TLS.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, RefusedAs};
use super::shared::{BODY_BYTES_MAX, Shared};
use super::start_error::HttpError;
use super::{figures, guest};
use crate::observe::ServerStatus;

/// Connections that the system queues before they are accepted.
const BACKLOG: i32 = 1_024;
/// Limit on the time from an accepted connection to the end of a request's head; also the limit on idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on the seconds from the end of the head to the response, reading the body included.
const REQUEST_TIMEOUT_S: u64 = 10;
/// Limit on the time of running requests when the server stops.
const DRAIN: Duration = Duration::from_millis(500);
/// Interval of collecting frames for the audit and of observing the tick. Each run costs some 60 us, most of it for
/// cold memory. The audit's queue is long enough for twice this interval at 128 ticks a second, the fastest rate.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Binds the listener, so that a port in use is reported before anything runs.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, HttpError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // The unspecified IPv6 address also covers IPv4, whatever the system's default.
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        // Allows a restart to take over the port from closing connections, but not from a running server.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => HttpError::PortInUse { address },
        _ => HttpError::Listen { address, error },
    })
}

/// Serves until the status is [`ServerStatus::Stopped`]. Blocks the calling thread.
pub(super) fn run(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    connections_max: usize,
    shared: Shared,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let handle = Handle::new();
        tokio::spawn(stop_when_stopped(shared.clone(), handle.clone()));
        tokio::spawn(watch_ticks(shared.clone()));
        let app = router(shared).into_make_service_with_connect_info::<SocketAddr>();
        let acceptor = LimitedAcceptor(Arc::new(Semaphore::new(connections_max)));
        let mut server = axum_server::from_tcp(listener)?
            .acceptor(acceptor.clone())
            .handle(handle);
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        match tls {
            None => server.serve(app).await,
            Some(tls) => {
                server
                    .map(|inner| RustlsAcceptor::new(tls).acceptor(inner))
                    .serve(app)
                    .await
            }
        }
    })
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/guest", post(guest::join))
        .route("/v1/stats", get(figures::stats))
        .route("/v1/health", get(figures::health))
        .route("/v1/audit", get(figures::audit))
        .fallback(|| async { ApiError::NotFound("there is nothing at this path".to_owned()) })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(bounded))
        .layer(middleware::from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

/// Refuses a body that is announced as too long without reading it, and limits the time of a request.
async fn bounded(request: Request, next: Next) -> Response {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if announced.is_some_and(|length| {
        length
            .parse()
            .is_ok_and(|bytes: u64| bytes > BODY_BYTES_MAX as u64)
    }) {
        return ApiError::TooLarge(BODY_BYTES_MAX).into_response();
    }
    match tokio::time::timeout(Duration::from_secs(REQUEST_TIMEOUT_S), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut(REQUEST_TIMEOUT_S).into_response(),
    }
}

/// Counts refusals of all handlers and layers by their code.
async fn counted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(&RefusedAs(code)) = response.extensions().get() {
        let mut response_counts = shared
            .response_counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        response_counts.count(code);
    }
    response
}

async fn stop_when_stopped(shared: Shared, handle: Handle<SocketAddr>) {
    let mut status = shared.status.clone();
    // An error means that the sender of the status is gone: the process is ending.
    let _ = status.wait_for(|status| *status == ServerStatus::Stopped).await;
    handle.graceful_shutdown(Some(DRAIN));
}

/// Collects frames before their queue is full, and observes whether ticks run.
async fn watch_ticks(shared: Shared) {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    loop {
        interval.tick().await;
        shared
            .stall_detector
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(shared.stats.ticks(), shared.origin.elapsed());
        if let Some(frames) = &shared.audit {
            frames.lock().unwrap_or_else(PoisonError::into_inner).collect();
        }
    }
}

/// Accepts connections while there are permits; a connection above the limit is closed at once.
#[derive(Clone)]
struct LimitedAcceptor(Arc<Semaphore>);

impl<S> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = LimitedStream;
    type Service = S;
    type Future = std::future::Ready<io::Result<(LimitedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = Arc::clone(&self.0)
            .try_acquire_owned()
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))
            .and_then(|permit| {
                // A response is one small segment, so it is sent without delay.
                stream.set_nodelay(true)?;
                Ok((
                    LimitedStream {
                        stream,
                        _permit: permit,
                    },
                    service,
                ))
            });
        std::future::ready(accepted)
    }
}

/// A connection that returns its permit when it is dropped.
struct LimitedStream {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
