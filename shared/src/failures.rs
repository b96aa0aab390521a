//! Counts the failures of systems, commands and observers, so that the log has a line for each and none for every tick.
//!
//! The server and the client library each set an error handler that logs what [`failure_to_log`] returns. Without one,
//! Bevy panics at the first failure. A system that cannot run because a type is not registered fails with the line to
//! write.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bevy_app::App;
use bevy_ecs::error::{BevyError, ErrorContext, ErrorHandler, FallbackErrorHandler};
use bevy_ecs::system::SystemParamValidationError;

/// Of the failures of one system, the first, second, fourth, eighth and so on are logged, and also every
/// multiple of this number.
const FAILURES_BETWEEN_LINES: u64 = 1_024;

/// The number of failures by kind and name. It has at most as many entries as there are systems, commands and
/// observers.
static FAILURES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts a failure in this process. Returns the line for the log if this one is to be logged, and `None` if the log had
/// enough of the same system, command or observer.
pub fn failure_to_log(error: &BevyError, context: &ErrorContext) -> Option<String> {
    let times = count_failure(context)?;
    let invalid = error.downcast_ref::<SystemParamValidationError>();
    let advice = invalid.and_then(|invalid| advice(&invalid.param.to_string()));
    let reason = advice.unwrap_or_else(|| error.to_string().replace('\n', " "));
    let (kind, name) = (context.kind(), context.name());
    Some(match times {
        1 => format!("the {kind} {name} failed: {reason}"),
        _ => format!("the {kind} {name} failed, {times} times by now: {reason}"),
    })
}

/// Counts a failure. Returns which of its system, command or observer it is, if it is to be logged.
fn count_failure(context: &ErrorContext) -> Option<u64> {
    let key = format!("{} {}", context.kind(), context.name());
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    let times = failures.entry(key).or_default();
    *times += 1;
    is_logged(*times).then_some(*times)
}

/// Returns what to write for a parameter of a system that needs a type which is not registered, by the parameter's name.
fn advice(parameter: &str) -> Option<String> {
    let of = |wrapper| type_in(parameter, wrapper);
    Some(if let Some(message) = of("FromServer") {
        format!(
            "the protocol has no message {message} to clients: write `app.message_to_clients::<{message}>(..)` in the \
             plugin that both ends add"
        )
    } else if let Some(message) = of("FromPlayer") {
        format!(
            "the protocol has no message {message} to the server: write `app.message_to_server::<{message}>(..)` in the \
             plugin that both ends add"
        )
    } else if let Some(input) = of("PredictedInput") {
        format!(
            "no prediction is driven by {input}: write `app.predict_by::<{input}>()` in the client's plugin"
        )
    } else {
        let effect = of("EffectReceived")?;
        format!("{effect} is no effect: write `app.effect::<{effect}>()` in the server's plugin")
    })
}

/// Returns the type in `wrapper<..>`, within the name of a type.
fn type_in<'a>(name: &'a str, wrapper: &str) -> Option<&'a str> {
    let (_, rest) = name.split_once(&format!("::{wrapper}<"))?;
    let mut depth = 1;
    let end = rest.char_indices().find(|&(index, character)| {
        match character {
            '<' => depth += 1,
            // Not the arrow in the type of a function.
            '>' if !rest[..index].ends_with('-') => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.map(|(index, _)| &rest[..index])
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
    fn a_parameter_of_an_unregistered_type_is_advised_by_the_type() {
        let reader =
            "bevy_ecs::message::message_reader::MessageReader<throng_shared::a::FromServer<game::Say<u8>>>";
        let advised = advice(reader).unwrap();
        assert!(
            advised.contains("`app.message_to_clients::<game::Say<u8>>(..)`"),
            "{advised}"
        );
        let input =
            "bevy_ecs::change_detection::Res<throng_client::predict::predicted::PredictedInput<game::Stick>>";
        let advised = advice(input).unwrap();
        assert!(advised.contains("`app.predict_by::<game::Stick>()`"), "{advised}");
        assert_eq!(advice("bevy_ecs::change_detection::Res<game::Score>"), None);
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
