//! Handlers of `GET /v1/stats`, `GET /v1/health` and `GET /v1/audit`.
//!
//! Full statistics and audits are for the machine's own user, where it is trusted, and for requests with the operator's
//! token. Statistics and audits of one address are limited in rate.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use throng_shared::protocol::version::Release;

use super::audit;
use super::caller::HttpCaller;
use super::error::ApiError;
use super::shared::{Shared, SharedParts, lock};
use crate::observe::{ServerStatus, StatsReport};

/// Path of the request for the server's health.
pub(super) const HEALTH_PATH: &str = "/v1/health";

/// The body of `GET /v1/health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Current status of the server.
    status: ServerStatus,
    /// Whether the server is running and ticks are not stalled.
    alive: bool,
    tick: u32,
}

/// The body of `GET /v1/stats` for callers that are not trusted: what a list of servers shows. Its fields are fields of
/// [`StatsReport`], but for the limit on sessions and the state of the ticks.
#[derive(Debug, Serialize)]
struct PublicStats {
    server_version: String,
    /// Number of the newest published tick.
    tick: u32,
    tick_rate: u16,
    /// Whether the server is running and ticks are not stalled.
    alive: bool,
    /// Connected sessions.
    clients: u64,
    /// Limit on sessions.
    clients_max: u32,
}

/// Takes one from the caller's rate of statistics and audits. Returns whether the caller may see all of them.
///
/// # Errors
/// Refuses a caller above its rate, and a token that is not the operator's.
fn access(shared: &SharedParts, caller: HttpCaller, headers: &HeaderMap) -> Result<bool, ApiError> {
    let is_trusted = caller.is_local || shared.shows_token(headers);
    let limited = HttpCaller {
        is_local: is_trusted,
        ..caller
    };
    if !lock(&shared.figures).take(shared.origin.elapsed(), limited) {
        return Err(ApiError::RateLimited("requests for statistics"));
    }
    if !is_trusted && headers.contains_key(header::AUTHORIZATION) {
        return Err(ApiError::TokenRequired);
    }
    Ok(is_trusted)
}

/// Returns whether the server is running and ticks are not stalled.
fn is_alive(shared: &SharedParts) -> bool {
    let now = shared.origin.elapsed();
    let mut stall_detector = lock(&shared.stall_detector);
    stall_detector.observe(shared.stats.ticks(), now);
    *shared.status.borrow() == ServerStatus::Running
        && !stall_detector.is_stalled(shared.stats.tick_rate(), now)
}

pub(super) async fn stats(
    State(shared): State<Shared>,
    caller: HttpCaller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if access(&shared, caller, &headers)? {
        let mut report: StatsReport = shared.stats.report(shared.origin.elapsed());
        report.http = lock(&shared.response_counts).figures();
        return Ok(Json(report).into_response());
    }
    Ok(Json(PublicStats {
        server_version: Release::CURRENT.to_string(),
        tick: shared.stats.tick(),
        tick_rate: shared.stats.tick_rate(),
        alive: is_alive(&shared),
        clients: shared.stats.clients_per_worker().sum(),
        clients_max: shared.clients_max,
    })
    .into_response())
}

pub(super) async fn health(State(shared): State<Shared>) -> (StatusCode, Json<Health>) {
    let alive = is_alive(&shared);
    let code = if alive {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        status: *shared.status.borrow(),
        alive,
        tick: shared.stats.tick(),
    };
    (code, Json(health))
}

pub(super) async fn audit(
    State(shared): State<Shared>,
    caller: HttpCaller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, ApiError> {
    if !access(&shared, caller, &headers)? {
        return Err(ApiError::TokenRequired);
    }
    let tick = query
        .as_deref()
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("tick="));
    let tick: u32 = tick
        .and_then(|tick| tick.parse().ok())
        .ok_or(ApiError::BadField {
            field: "tick",
            expected: "a tick's number, as in /v1/audit?tick=1200",
        })?;
    let Some(frames) = &shared.audit else {
        return Err(ApiError::NotFound(
            "this server was started without --audit".to_owned(),
        ));
    };
    let frames = {
        let mut frames = lock(frames);
        frames.collect();
        frames.at(tick).map_err(|kept| {
            ApiError::NotFound(match kept {
                Some((oldest, newest)) => format!("tick {tick} is not kept: {oldest} to {newest} are"),
                None => format!("tick {tick} is not kept: no ticks are kept yet"),
            })
        })?
    };
    Ok((
        [(header::CONTENT_TYPE, "application/octet-stream")],
        audit::encode(tick, &frames),
    ))
}
