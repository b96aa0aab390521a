//! The HTTP server: one thread, one tokio runtime, bounded connections, TLS.

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

/// Connections that the system queues before we accept them.
const BACKLOG: i32 = 1_024;
/// From an accepted connection to the last byte of a request's head; also how long one may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// From the head to the end of the body.
const REQUEST_TIMEOUT_S: u64 = 10;
/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_millis(500);
/// How often frames are taken over for the audit and the tick is looked at. A look costs some 60 us, most of it for
/// memory that has gone cold; the audit's queue holds twice as long at 128 ticks a second, the fastest.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Binds the listener, so that a taken port is known before anything runs.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, HttpError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // All addresses means IPv4 too, whatever the system's default.
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        // A restart may take the port over from connections that are closing; a running server's it may not.
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

/// Serves until the status is [`ServerStatus::Stopped`]. Blocks its thread.
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

/// A body that is announced as too long is not read, and one that comes a byte a second not waited for.
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

/// Counts refusals by their code, wherever they came from.
async fn counted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(&RefusedAs(code)) = response.extensions().get() {
        let mut answers = shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.count(code);
    }
    response
}

async fn stop_when_stopped(shared: Shared, handle: Handle<SocketAddr>) {
    let mut status = shared.status.clone();
    // An error means that whoever could set the status is gone: the process is ending.
    let _ = status.wait_for(|status| *status == ServerStatus::Stopped).await;
    handle.graceful_shutdown(Some(DRAIN));
}

/// Takes over frames before their queue is full, and notices when ticks go on.
async fn watch_ticks(shared: Shared) {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    loop {
        interval.tick().await;
        shared
            .pulse
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(shared.stats.ticks(), shared.origin.elapsed());
        if let Some(frames) = &shared.audit {
            frames.lock().unwrap_or_else(PoisonError::into_inner).collect();
        }
    }
}

/// Accepts while there is a permit; a connection above the bound is closed at once.
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
                // Answers are one small segment each.
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

/// A connection that gives its permit back when it is dropped.
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
