//! The HTTP server: its listener, one thread with one tokio runtime, and the routes with their limits.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use socket2::{Domain, Socket, Type};

use super::connections::{self, ConnectionConfig};
use super::error::{ApiError, RefusedAs};
use super::guard::guarded;
use super::shared::{BODY_BYTES_MAX, Shared, lock};
use super::start_error::HttpError;
use super::{figures, guest};
use crate::observe::{ServerStatus, StatusReceiver};

/// Connections that the system queues before they are accepted.
const BACKLOG: i32 = 1_024;
/// Bytes that the system keeps for a connection in each direction, before it doubles them. Without a limit, a client that
/// does not read holds some megabytes.
const SOCKET_BUFFER_BYTES: usize = 64 * 1_024;
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
        // Accepted connections inherit both.
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
        socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
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
pub(super) fn run(listener: TcpListener, config: ConnectionConfig, shared: Shared) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::spawn(watch_ticks(shared.clone()));
        let stopped = wait_until_stopped(shared.status.clone());
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = router(shared.clone());
        connections::serve(listener, config, router, shared, stopped).await;
        Ok(())
    })
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/guest", post(guest::join))
        .route("/v1/stats", get(figures::stats))
        .route(figures::HEALTH_PATH, get(figures::health))
        .route("/v1/audit", get(figures::audit))
        .fallback(|| async { ApiError::NotFound("there is nothing at this path".to_owned()) })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), bounded))
        .layer(middleware::from_fn_with_state(shared.clone(), guarded))
        .layer(middleware::from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

/// Refuses a body that is announced as too long without reading it, and limits the time of a request.
async fn bounded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
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
    let limit = shared.request_time;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut(limit).into_response(),
    }
}

/// Counts refusals of all handlers and layers by their code.
async fn counted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(&RefusedAs(code)) = response.extensions().get() {
        shared.count(code);
    }
    response
}

async fn wait_until_stopped(mut status: StatusReceiver) {
    // An error means that the sender of the status is gone: the process is ending.
    let _ = status.wait_for(|status| *status == ServerStatus::Stopped).await;
}

/// Collects frames before their queue is full, and observes whether ticks run.
async fn watch_ticks(shared: Shared) {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    loop {
        interval.tick().await;
        lock(&shared.stall_detector).observe(shared.stats.ticks(), shared.origin.elapsed());
        if let Some(frames) = &shared.audit {
            lock(frames).collect();
        }
    }
}
