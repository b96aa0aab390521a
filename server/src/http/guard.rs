//! What every request must be before it is handled: sent to a name of this server, by a program or a page of this
//! server, within the rate of its address, and with a body of JSON.
//!
//! `GET /v1/health` is exempt from the checks of names and pages, so that any monitor can send it.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::{HttpCaller, PeerStanding};
use super::error::ApiError;
use super::figures::HEALTH_PATH;
use super::host_names::{check_content_type, check_origin};
use super::shared::{Shared, SharedParts};
use crate::boundary::address_group::AddressGroup;

/// Refuses requests that are not to be handled.
pub(super) async fn guarded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match check(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let is_limited = matches!(error, ApiError::RateLimited(_));
            let mut response = error.into_response();
            if is_limited {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            response
        }
    }
}

impl FromRequestParts<Shared> for HttpCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let peer = peer_of(&parts.extensions)?;
        caller_of(shared, peer, &parts.method, &parts.headers)
    }
}

/// Returns the sender of a request. The operator may read past the proxy.
fn caller_of(
    shared: &SharedParts,
    peer: SocketAddr,
    method: &Method,
    headers: &HeaderMap,
) -> Result<HttpCaller, ApiError> {
    let caller = shared.callers.caller(peer.ip(), headers);
    if caller.is_err() && method == Method::GET && shared.shows_token(headers) {
        return Ok(HttpCaller {
            address: AddressGroup::of(peer.ip()),
            is_local: false,
        });
    }
    caller
}

/// Returns the other end of the connection on which a request arrived.
fn peer_of(extensions: &Extensions) -> Result<SocketAddr, ApiError> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map(|&ConnectInfo(peer)| peer).ok_or(ApiError::Internal)
}

fn check(shared: &SharedParts, request: &Request) -> Result<(), ApiError> {
    let peer = peer_of(request.extensions())?;
    let headers = request.headers();
    let caller = if request.uri().path() == HEALTH_PATH {
        // A proxy checks the health of the server for itself.
        HttpCaller {
            address: AddressGroup::of(peer.ip()),
            is_local: shared.callers.standing(peer.ip()) != PeerStanding::Remote,
        }
    } else {
        shared.hosts.check(request.version(), request.uri(), headers)?;
        check_origin(request.method(), headers)?;
        caller_of(shared, peer, request.method(), headers)?
    };
    if !caller.is_local && !shared.takes_request(caller) {
        return Err(ApiError::RateLimited("requests"));
    }
    if request.method() == Method::POST {
        check_content_type(headers)?;
    }
    Ok(())
}
