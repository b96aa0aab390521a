//! Tests of the rules between a session and the attempt to open another.

use throng_shared::netcode::DisconnectReason;
use throng_shared::protocol::kick_text::KickText;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const REPLACED: Option<EndReason> = Some(EndReason::Goodbye(Goodbye::Replaced));
const TIMED_OUT: Option<EndReason> = Some(EndReason::Transport(DisconnectReason::TimedOut));

/// Returns the rules of a client that plays, at 1 s.
fn playing() -> Succession {
    let mut succession = Succession::new(ReconnectConfig::default(), 1);
    assert!(succession.wants_token());
    succession.handshake_begun();
    succession.welcomed(SECOND);
    succession
}

/// Returns when the next attempt begins.
fn next_attempt(succession: &mut Succession, from: Duration) -> Duration {
    let mut now = from;
    while !succession.poll(now) {
        now += 10 * MS;
        assert!(now < from + 20 * SECOND, "{:?}", succession.state());
    }
    now
}

/// Returns the rules of a client whose server is silent, with a handshake under way, and the time.
fn in_handshake(may_be_open: bool) -> (Succession, Duration) {
    let mut succession = playing();
    succession.silent(20 * SECOND);
    let now = next_attempt(&mut succession, 20 * SECOND);
    assert!(now < 20 * SECOND + 510 * MS, "{now:?}");
    assert!(succession.wants_token());
    succession.handshake_begun();
    succession.handshake_may_be_open(may_be_open);
    succession.handshake_may_be_open(false);
    assert!(!succession.wants_token(), "one attempt at a time");
    (succession, now)
}

#[test]
fn new_session_takes_over_after_a_silence() {
    let (mut succession, now) = in_handshake(true);
    succession.welcomed(now);
    assert_eq!(succession.state(), ReconnectState::Connected { since: now });
    assert_eq!(succession.failures(), 0);
}

#[test]
fn session_that_recovers_before_the_attempt_begins_goes_on() {
    let mut succession = playing();
    succession.silent(20 * SECOND);
    assert!(!succession.recovered(20 * SECOND), "there is no handshake yet");
    assert!(!succession.poll(30 * SECOND));
    // While a token is requested: its outcome, good or bad, is of no use.
    succession.silent(40 * SECOND);
    let now = next_attempt(&mut succession, 40 * SECOND);
    succession.recovered(now);
    assert!(!succession.wants_token());
    assert_eq!(succession.attempt_failed(now, Retry::Pointless), NextStep::GoOn);
    assert!(!succession.poll(now + 10 * SECOND));
}

#[test]
fn session_that_recovers_ends_a_handshake_that_the_server_has_not_seen() {
    let (mut succession, now) = in_handshake(false);
    assert!(succession.recovered(now));
    assert!(!succession.poll(now + 10 * SECOND));
}

#[test]
fn handshake_that_the_server_may_have_finished_goes_on_beside_a_recovered_session() {
    let (mut succession, now) = in_handshake(true);
    assert!(!succession.recovered(now));
    assert_eq!(
        succession.ended(now, REPLACED),
        NextStep::GoOn,
        "replaced by itself"
    );
    succession.welcomed(now);

    let (mut succession, now) = in_handshake(true);
    succession.recovered(now);
    assert_eq!(succession.attempt_failed(now, Retry::Worthwhile), NextStep::GoOn);
    assert_eq!(succession.state(), ReconnectState::Connected { since: now });
    // The server had finished it after all, and replaced the session by it.
    let next = succession.ended(now + SECOND, REPLACED);
    assert!(matches!(next, NextStep::Wait(_)), "{next:?}");
}

#[test]
fn session_that_another_client_replaced_is_given_up() {
    assert_eq!(playing().ended(20 * SECOND, REPLACED), NextStep::Stop);
    // Silent, and a token was requested or a handshake begun that the server has not seen.
    let mut succession = playing();
    succession.silent(20 * SECOND);
    assert_eq!(succession.ended(20 * SECOND, REPLACED), NextStep::Stop);
    assert!(!succession.poll(60 * SECOND));
    let (mut succession, now) = in_handshake(false);
    assert_eq!(succession.ended(now, REPLACED), NextStep::Stop);
    // Long after an attempt of its own.
    let (mut succession, now) = in_handshake(true);
    succession.recovered(now);
    succession.attempt_failed(now, Retry::Worthwhile);
    assert_eq!(succession.ended(now + 31 * SECOND, REPLACED), NextStep::Stop);
}

#[test]
fn attempts_go_on_until_the_server_returns_and_never_two_at_a_time() {
    let mut succession = playing();
    let mut now = 20 * SECOND;
    succession.silent(now);
    let mut longest = Duration::ZERO;
    for attempt in 0..30 {
        let due = next_attempt(&mut succession, now);
        longest = longest.max(due - now);
        now = due;
        assert!(!succession.poll(now + SECOND), "one at a time");
        // Halfway the silent session times out.
        let is_silent = attempt < 15;
        if attempt == 15 {
            assert_eq!(
                succession.ended(now, TIMED_OUT),
                NextStep::GoOn,
                "an attempt is under way"
            );
        }
        let next = succession.attempt_failed(now, Retry::Worthwhile);
        assert_eq!(next == NextStep::GoOn, is_silent, "{next:?}");
    }
    assert!(
        longest <= 2 * SECOND + 10 * MS,
        "{longest:?} between two attempts"
    );
    let now = next_attempt(&mut succession, now);
    succession.handshake_begun();
    succession.welcomed(now);
    assert_eq!(succession.state(), ReconnectState::Connected { since: now });
}

#[test]
fn refusal_for_good_ends_a_silent_session_too() {
    let (mut succession, now) = in_handshake(false);
    assert_eq!(succession.attempt_failed(now, Retry::Pointless), NextStep::Stop);
    assert_eq!(succession.state(), ReconnectState::GivenUp);
    let mut succession = playing();
    succession.silent(SECOND);
    let kicked = Some(EndReason::Goodbye(Goodbye::Kicked(KickText::new("no shouting"))));
    assert_eq!(
        succession.ended(SECOND, kicked),
        NextStep::Stop,
        "also while an attempt is due"
    );
    assert!(!succession.poll(60 * SECOND));
}

#[test]
fn handshakes_get_more_time_with_every_failure_and_none_from_a_closed_port() {
    let mut succession = Succession::new(ReconnectConfig::default(), 1);
    for patience in [1_500, 3_000, 6_000, 12_000, 12_000] {
        succession.handshake_begun();
        assert!(succession.awaits_handshake((patience - 1) * MS, false));
        assert!(!succession.awaits_handshake(patience * MS, false));
        assert!(!succession.awaits_handshake(300 * MS, true));
        succession.attempt_failed(SECOND, Retry::Worthwhile);
    }
    succession.welcomed(SECOND);
    assert!(!succession.awaits_handshake(ALARM_AFTER, false));
}
