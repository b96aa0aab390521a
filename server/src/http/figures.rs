//! Handlers of `GET /v1/stats`, `GET /v1/health` and `GET /v1/audit`.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::audit;
use super::error::ApiError;
use super::shared::Shared;
use crate::observe::{ServerStatus, StatsReport};

/// The body of `GET /v1/health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Current status of the server.
    status: ServerStatus,
    /// Whether the server is running and ticks are not stalled.
    alive: bool,
    tick: u32,
}

pub(super) async fn stats(State(shared): State<Shared>) -> Json<StatsReport> {
    let mut report = shared.stats.report(shared.origin.elapsed());
    let response_counts = shared
        .response_counts
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    report.http = response_counts.figures();
    Json(report)
}

pub(super) async fn health(State(shared): State<Shared>) -> (StatusCode, Json<Health>) {
    let now = shared.origin.elapsed();
    let mut stall_detector = shared
        .stall_detector
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    stall_detector.observe(shared.stats.ticks(), now);
    let status = *shared.status.borrow();
    let alive = status == ServerStatus::Running && !stall_detector.is_stalled(shared.stats.tick_rate(), now);
    let code = if alive {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        code,
        Json(Health {
            status,
            alive,
            tick: shared.stats.tick(),
        }),
    )
}

pub(super) async fn audit(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, ApiError> {
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
        let mut frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
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
