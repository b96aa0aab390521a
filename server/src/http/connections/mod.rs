//! The connections of the HTTP API: accepts them, with or without TLS, and serves HTTP/1.1 on each.
//!
//! Guarantees that there are never more connections than allowed, that each is closed in time when no request comes, and
//! that running requests have a moment to end when the server stops.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Limit on the time in which the head of a request must arrive, and on the time that a connection may be idle. The TLS
/// handshake before has a limit of its own, which is the same.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on the time for which a peer may not take what it was sent. hyper limits only the time of reading.
#[cfg(target_os = "linux")]
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Limit on the time of running requests when the server stops.
const DRAIN: Duration = Duration::from_millis(500);
/// Pause after a connection that cannot be accepted, such as while the process has as many files open as it may.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves connections until `stopped` is ready. A connection above the limit is closed at once.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    connections_max: usize,
    router: Router,
    stopped: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let permits = Arc::new(Semaphore::new(connections_max));
    let running = GracefulShutdown::new();
    let mut stopped = pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A response is one small segment, so it is sent without delay.
        let (Ok(permit), Ok(())) = (Arc::clone(&permits).try_acquire_owned(), stream.set_nodelay(true))
        else {
            continue;
        };
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
        let (tls, router, watcher) = (tls.clone(), router.clone(), running.watcher());
        tokio::spawn(async move {
            match tls {
                None => serve_requests(stream, peer, router, watcher).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        serve_requests(stream, peer, router, watcher).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = timeout(DRAIN, running.shutdown()).await;
}

async fn serve_requests<S>(stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // An error is the peer's: a broken connection, or bytes that are no request.
    let _ = watcher.watch(connection).await;
}
