//! The connections of the HTTP API: accepts them, with or without TLS, and serves HTTP/1.1 on each.
//!
//! Guarantees that there are never more connections than allowed, of all addresses and of one ([`table`]); that each
//! is closed in time, whatever its peer sends or leaves out and however slowly it reads ([`phases`]); that nothing but
//! HTTP/1 is served; and that running requests have a moment to end when the server stops.

mod phases;
mod serve_one;
mod shared_table;
mod stream;
mod table;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::phases::TimeLimits;
pub(crate) use self::table::ConnectionLimits;

use self::serve_one::{ConnectionEnd, OneConnection, serve_requests};
use self::shared_table::{SharedTable, TableEntry};
use super::caller::{HttpCaller, PeerStanding};
use super::shared::Shared;
use crate::boundary::address_group::AddressGroup;

/// Limit on the time of running requests when the server stops.
const DRAIN: Duration = Duration::from_millis(500);
/// Pause after a connection that cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The settings of all connections.
#[derive(Clone)]
pub(super) struct ConnectionConfig {
    pub(super) limits: ConnectionLimits,
    pub(super) times: TimeLimits,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Accepts and serves connections until `stopped` is ready.
pub(super) async fn serve(
    listener: TcpListener,
    config: ConnectionConfig,
    router: Router,
    shared: Shared,
    stopped: impl Future<Output = ()>,
) {
    let tls = config.tls.map(TlsAcceptor::from);
    let table = SharedTable::new(config.limits);
    let (stopping, watched) = watch::channel(());
    let mut stopped = pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The process has as many files open as it may: another connection makes room.
            Err(error) if is_out_of_files(&error) && table.close_one() => {
                tokio::task::yield_now().await;
                continue;
            }
            Err(_) => {
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some((entry, closed)) = admit(&table, &shared, peer) else {
            continue;
        };
        let one = OneConnection {
            peer,
            entry,
            times: config.times,
            router: router.clone(),
            stopping: watched.clone(),
        };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                _ = closed => ConnectionEnd::Displaced,
                end = run(stream, tls, one) => end,
            };
            if let Some(name) = end.counted() {
                shared.count(name);
            }
        });
    }
    drop((listener, watched));
    // An error means that no connection is open.
    let _ = stopping.send(());
    let _ = timeout(DRAIN, stopping.closed()).await;
}

/// Gives a new connection its place in the table. Also returns what is ready when the connection has to close.
fn admit(
    table: &SharedTable,
    shared: &Shared,
    peer: SocketAddr,
) -> Option<(TableEntry, oneshot::Receiver<()>)> {
    let standing = shared.callers.standing(peer.ip());
    let caller = HttpCaller {
        address: AddressGroup::of(peer.ip()),
        is_local: false,
    };
    let has_rate = standing != PeerStanding::Remote || shared.takes_request(caller);
    let (handle, closed) = oneshot::channel();
    let entry = if has_rate {
        table.add(caller.address, standing, handle)
    } else {
        None
    };
    if entry.is_none() {
        shared.count("connections_refused");
    }
    Some((entry?, closed))
}

/// Serves one connection, after its TLS handshake if there is one.
async fn run(stream: TcpStream, tls: Option<TlsAcceptor>, one: OneConnection) -> ConnectionEnd {
    // A response is one small segment, so it is sent without delay.
    if stream.set_nodelay(true).is_err() {
        return ConnectionEnd::Over;
    }
    // For bytes that the system still holds after the connection is closed. Before that, the phases end it earlier.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(one.times.response * 2));
    let Some(tls) = tls else {
        return serve_requests(stream, one).await;
    };
    match timeout(one.times.request, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_requests(stream, one).await,
        Ok(Err(_)) => ConnectionEnd::Over,
        Err(_) => ConnectionEnd::TimedOut,
    }
}

/// Returns whether a connection could not be accepted because too many files are open.
fn is_out_of_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
