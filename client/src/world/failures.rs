//! What happens when a system, a command or an observer of a client fails: the log gets a line, and the client goes on.

use bevy_ecs::error::{BevyError, ErrorContext};
use throng_shared::failures::count_failure;

/// Logs a failure. Failures in every frame do not fill the log.
pub(super) fn log_error(error: BevyError, context: ErrorContext) {
    if let Some(before) = count_failure(&context) {
        let (kind, name) = (context.kind(), context.name());
        tracing::error!(before, "the {kind} {name} failed: {error}");
    }
}
