//! Counts the failures of systems, commands and observers, so that the log has a line for each and none for every tick.
//!
//! The server and the client library each set an error handler that logs what [`count_failure`] returns. Without one,
//! Bevy panics at the first failure.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bevy_app::App;
use bevy_ecs::error::{ErrorContext, ErrorHandler, FallbackErrorHandler};

/// Of the failures of one system, the first, second, fourth, eighth and so on are logged, and also every
/// multiple of this number.
const FAILURES_BETWEEN_LINES: u64 = 1_024;

/// The number of failures by kind and name. It has at most as many entries as there are systems, commands and
/// observers.
static FAILURES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts a failure in this process. Returns the number of earlier ones of the same system, command or observer if this
/// one is to be logged, and `None` if the log had enough of them.
pub fn count_failure(context: &ErrorContext) -> Option<u64> {
    let key = format!("{} {}", context.kind(), context.name());
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    let times = failures.entry(key).or_default();
    *times += 1;
    is_logged(*times).then(|| *times - 1)
}

/// Sets the app's error handler, unless the app or its world has one. For [`Plugin::finish`](bevy_app::Plugin::finish),
/// so that a handler that the program sets while it builds the app counts, whatever the order of its plugins.
pub fn set_missing_error_handler(app: &mut App, handler: ErrorHandler) {
    let has_handler =
        app.get_error_handler().is_some() || app.world().contains_resource::<FallbackErrorHandler>();
    if !has_handler {
        app.set_error_handler(handler);
    }
}

fn is_logged(times: u64) -> bool {
    times.is_power_of_two() || times.is_multiple_of(FAILURES_BETWEEN_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_fails_in_every_tick_is_logged_less_and_less_often() {
        let logged = |until| (1..=until).filter(|&times| is_logged(times)).count();
        assert_eq!((logged(1), logged(20), logged(1_200)), (1, 5, 11));
        assert_eq!(logged(72_000), 70 + 10, "an hour at 20 Hz");
    }

    #[test]
    fn an_error_handler_of_the_program_is_kept() {
        let (mut handled, mut plain) = (App::new(), App::new());
        handled.set_error_handler(bevy_ecs::error::warn);
        for app in [&mut handled, &mut plain] {
            set_missing_error_handler(app, bevy_ecs::error::ignore);
        }
        let has = |app: &App, expected: ErrorHandler| {
            let handler = app.get_error_handler();
            handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, expected))
        };
        assert!(has(&handled, bevy_ecs::error::warn) && has(&plain, bevy_ecs::error::ignore));
        let mut by_resource = App::new();
        by_resource.insert_resource(FallbackErrorHandler(bevy_ecs::error::warn));
        set_missing_error_handler(&mut by_resource, bevy_ecs::error::ignore);
        assert!(by_resource.get_error_handler().is_none());
    }
}
