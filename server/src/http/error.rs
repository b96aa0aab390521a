//! Errors of the HTTP API: a status, a code for programs and a message for people.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use throng_shared::protocol::guest::{BothVersions, DifferentPart, ErrorBody, ErrorDetail};

use crate::boundary::claims::NameError;

/// The reason why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// The body is not JSON, or not of the documented shape; the text names the field.
    #[error("the body is invalid: {0}")]
    BadBody(String),
    /// The name is empty, too long, or has characters that a name must not have.
    #[error("`name` {0}")]
    BadName(NameError),
    /// A field or parameter is missing or not of the documented form.
    #[error("`{field}` must be {expected}")]
    BadField {
        /// Name of the field or parameter.
        field: &'static str,
        /// The form that it must have.
        expected: &'static str,
    },
    /// The body is longer than this number of bytes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// The client's protocol differs from the server's.
    #[error(
        "the client speaks {client}, the server {server}: one of them has to be updated, or \
             registers other types, or in another order{}", at_server(difference.as_ref())
    )]
    ProtocolMismatch {
        /// Version and hash of the client.
        client: String,
        /// Version and hash of the server.
        server: String,
        /// The first part that differs, if it is known.
        difference: Option<DifferentPart>,
    },
    /// The client's address sends too many requests of this kind.
    #[error("too many {0} from this address; try again in a second")]
    RateLimited(&'static str),
    /// The client's address has as many sessions and unused tokens as it may.
    #[error("this address has as many players as it may; see --sessions-per-address of the server")]
    AddressFull,
    /// The proxy in front did not say whose request it is.
    #[error("the header `X-Forwarded-For` {0}")]
    BadForwardedFor(&'static str),
    /// The server is behind a proxy, and the connection is from elsewhere.
    #[error("this server is behind a proxy, and this connection is not from one (setting `proxies`)")]
    NotThroughProxy,
    /// The header `Host` is missing or not well-formed.
    #[error("the header `Host` {0}")]
    BadHost(&'static str),
    /// The request is for a host that is not this server.
    #[error(
        "`Host` is not a name of this server: on this machine it is localhost, 127.0.0.1 or [::1] with the port; \
             other names are in the setting `http_names`"
    )]
    WrongHost,
    /// A page of another origin sent the request.
    #[error("pages of other origins may not use this server")]
    CrossOrigin,
    /// The body is not declared as JSON.
    #[error("a request with a body needs the header `Content-Type: application/json`")]
    NotJson,
    /// The request needs the operator's token.
    #[error("this needs `Authorization: Bearer` with the operator's token (setting `operator_token`)")]
    TokenRequired,
    /// All workers are at their limit of sessions.
    #[error("the server is full")]
    Full,
    /// The server is starting or stopping.
    #[error("the server is {0}")]
    NotRunning(&'static str),
    /// The request did not arrive within this time.
    #[error("the request took longer than {0:?} to arrive")]
    TimedOut(Duration),
    /// The path does not exist, or nothing is kept at it.
    #[error("{0}")]
    NotFound(String),
    /// The path exists, but not for this method.
    #[error("this path does not support that method")]
    MethodNotAllowed,
    /// An error of the server itself.
    #[error("the server failed to handle the request")]
    Internal,
}

/// The response to a client that begins with HTTP/2.
pub(super) const HTTP_2_REFUSAL: &str = concat!(
    "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: application/json\r\ncontent-length: 78\r\n",
    "connection: close\r\n\r\n",
    r#"{"error":{"code":"http_version","message":"this server speaks HTTP/1.1 only"}}"#,
);

/// Marks a response as a refusal with this code, so that it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusedAs(pub(super) &'static str);

impl ApiError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadBody(_) => (StatusCode::BAD_REQUEST, "bad_body"),
            Self::BadName(_) => (StatusCode::BAD_REQUEST, "bad_name"),
            Self::BadField { .. } => (StatusCode::BAD_REQUEST, "bad_field"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::ProtocolMismatch { .. } => (StatusCode::CONFLICT, "protocol_mismatch"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::AddressFull => (StatusCode::TOO_MANY_REQUESTS, "address_full"),
            Self::BadForwardedFor(_) => (StatusCode::BAD_REQUEST, "bad_forwarded_for"),
            Self::NotThroughProxy => (StatusCode::FORBIDDEN, "not_through_proxy"),
            Self::BadHost(_) => (StatusCode::BAD_REQUEST, "bad_host"),
            Self::WrongHost => (StatusCode::MISDIRECTED_REQUEST, "wrong_host"),
            Self::CrossOrigin => (StatusCode::FORBIDDEN, "cross_origin"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Self::TokenRequired => (StatusCode::UNAUTHORIZED, "token_required"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "server_full"),
            Self::NotRunning(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_running"),
            Self::TimedOut(_) => (StatusCode::REQUEST_TIMEOUT, "timed_out"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl ApiError {
    fn versions(&self) -> Option<BothVersions> {
        match self {
            Self::ProtocolMismatch {
                client,
                server,
                difference,
            } => Some(BothVersions {
                client: client.clone(),
                server: server.clone(),
                first_difference: difference.clone(),
            }),
            _ => None,
        }
    }
}

/// Returns words for the part of the server's protocol that differs.
fn at_server(difference: Option<&DifferentPart>) -> String {
    difference.map_or_else(String::new, |part| {
        let name = part.name.as_deref().unwrap_or("nothing more");
        format!(
            "; the first difference is at part {} of the protocol, at the server {name}",
            part.index
        )
    })
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let detail = ErrorDetail {
            code: code.to_owned(),
            message: self.to_string(),
            versions: self.versions(),
        };
        let mut response = (status, Json(ErrorBody { error: detail })).into_response();
        response.extensions_mut().insert(RefusedAs(code));
        if self == Self::TokenRequired {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        if matches!(
            self,
            Self::RateLimited(_) | Self::AddressFull | Self::Full | Self::NotRunning(_)
        ) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
