//! `POST /v1/guest`: issues a connect token for a name and a protocol hash.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use throng_shared::protocol::guest::{DifferentPart, GuestRequest, GuestResponse};
use throng_shared::protocol::version::{ProtocolHash, Release};

use super::caller::HttpCaller;
use super::error::ApiError;
use super::response_counts::TOKENS_ISSUED;
use super::shared::{BODY_BYTES_MAX, Shared, lock};
use super::tokens::IssueError;
use crate::boundary::claims::PlayerName;
use crate::net::places::PlaceError;
use crate::observe::ServerStatus;

pub(super) async fn join(
    State(shared): State<Shared>,
    caller: HttpCaller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<GuestResponse>, ApiError> {
    let now = shared.origin.elapsed();
    // The limit is checked first, because a refusal has to be cheap.
    if !lock(&shared.joins).take(now, caller) {
        return Err(ApiError::RateLimited("joins"));
    }
    match *shared.status.borrow() {
        ServerStatus::Running => {}
        ServerStatus::Starting => return Err(ApiError::NotRunning("starting")),
        ServerStatus::Stopping | ServerStatus::Stopped => return Err(ApiError::NotRunning("shutting down")),
    }
    let body = body.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            ApiError::TooLarge(BODY_BYTES_MAX)
        }
        other => ApiError::BadBody(other.body_text()),
    })?;
    let Json(request): Json<GuestRequest> =
        Json::from_bytes(&body).map_err(|rejection| ApiError::BadBody(rejection.body_text()))?;
    let name = PlayerName::chosen(&request.name).map_err(ApiError::BadName)?;
    check_protocol(&shared, &request)?;

    let mut issuer = lock(&shared.issuer);
    // A proof of an earlier process is not an error: the player joins as a new client.
    let resumed = request
        .resume
        .as_deref()
        .and_then(|resume| issuer.resumed(resume));
    let issued = issuer
        .issue(name, resumed, caller.address, now, shared.unix_origin + now)
        .map_err(|error| match error {
            IssueError::Place(PlaceError::AddressFull) => ApiError::AddressFull,
            IssueError::Place(_) => ApiError::Full,
            IssueError::Token(error) => {
                tracing::error!(%error, "cannot make a connect token");
                ApiError::Internal
            }
        })?;
    drop(issuer);
    shared.count(TOKENS_ISSUED);
    tracing::debug!(client = issued.client_id, %name, worker = %issued.address, resumed = resumed.is_some(), "token issued");
    Ok(Json(GuestResponse {
        token: issued.token,
        address: issued.address,
        tick: shared.stats.tick(),
        tick_rate: shared.stats.tick_rate(),
        client_id: issued.client_id,
        server_version: Release::CURRENT.to_string(),
        resume: issued.resume,
    }))
}

fn check_protocol(shared: &Shared, request: &GuestRequest) -> Result<(), ApiError> {
    let expected = "16 hexadecimal digits";
    let hash: ProtocolHash = request.protocol_hash.parse().map_err(|_| ApiError::BadField {
        field: "protocol_hash",
        expected,
    })?;
    if hash == shared.protocol.hash {
        return Ok(());
    }
    // Text from the client is repeated in the response only if it is a valid release.
    let release = request
        .version
        .as_deref()
        .and_then(|version| Release::new(version.as_bytes()));
    let release = release.map_or_else(|| "an unnamed version".to_owned(), |release| release.to_string());
    let client = format!("{release} (hash {hash})");
    let difference = first_difference(shared, request.parts.as_deref());
    if lock(&shared.refused_versions).is_new(&client) {
        let first = difference.as_ref().and_then(|part| part.name.as_deref());
        let first_difference = first.unwrap_or("unknown");
        tracing::warn!(client, server = %shared.protocol, first_difference, "refused a client that speaks another protocol");
    }
    Err(ApiError::ProtocolMismatch {
        client,
        server: shared.protocol.to_string(),
        difference,
    })
}

/// Returns the first part of the protocol that differs from the client's, whose hashes the client has sent.
fn first_difference(shared: &Shared, parts: Option<&str>) -> Option<DifferentPart> {
    let hashes = BASE64.decode(parts?).ok()?;
    let index = shared.protocol_parts.first_difference(&hashes)?;
    Some(DifferentPart {
        index: index as u32,
        name: shared.protocol_parts.name(index).map(str::to_owned),
    })
}
