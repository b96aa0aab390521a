//! What happens when a system, a command or an observer of a client fails: the log gets a line, and the client goes on.

use bevy_ecs::error::{BevyError, ErrorContext};
use throng_shared::failures::failure_to_log;

/// Logs a failure. Failures in every frame do not fill the log.
pub(super) fn log_error(error: BevyError, context: ErrorContext) {
    if let Some(line) = failure_to_log(&error, &context) {
        tracing::error!("{line}");
    }
}
