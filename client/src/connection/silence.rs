//! Notices that nothing comes back from the server, and asks it for a reply before it says so.
//!
//! Owns when the last *sign of life* arrived, when the next probe is due, and the alarm. A sign of life shows that the
//! server has received something of this client lately: a step of the handshake, the welcome, the reply to a probe, or a
//! snapshot whose newest applied input has changed. Other datagrams do not count: they arrive also while the server
//! receives nothing, for example after a router has moved the client's own datagrams to another port.
//!
//! Guarantees that the alarm is raised after [`ALARM_AFTER`] without a sign of life, and never before several probes had
//! time for a reply: time in which the client did not run, as in a window that is dragged, is not the server's silence.
//! Does not end the session. Has no clock: time is a parameter.

use std::time::Duration;

/// Time without a sign of life after which the client sends probes.
const ASK_AFTER: Duration = Duration::from_millis(700);
/// Time from the first probe to the alarm.
const REPLY_WITHIN: Duration = Duration::from_millis(800);
/// Time without a sign of life after which the alarm is raised.
pub(crate) const ALARM_AFTER: Duration = ASK_AFTER.saturating_add(REPLY_WITHIN);
/// Time between two probes before the alarm. Of the eight, six have time for a reply on a line with a round trip of
/// 300 ms. At a loss of 5 % each way, all six fail once in a million times.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Time between two probes while the alarm is raised.
const PROBE_EVERY_IN_ALARM: Duration = Duration::from_millis(500);
/// The fewest probes before the alarm.
const PROBES_MIN: u32 = 3;
/// Time from a refusal to the alarm, if no sign of life comes. The system reports a refusal when no program listens at
/// the server's address, and anyone on the network can forge one.
const REFUSED_FOR: Duration = Duration::from_millis(300);

/// The questions to a server from which no sign of life comes.
#[derive(Debug, Clone, Copy)]
struct Questions {
    /// When the first probe was due.
    since: Duration,
    /// When the last probe was sent.
    probed_at: Option<Duration>,
    probes: u32,
    /// When the first refusal was reported.
    refused_at: Option<Duration>,
}

/// What is due after the time has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SilenceStep {
    /// A probe has to be sent.
    pub(super) probe: bool,
    /// The alarm was raised (`Some(true)`) or has ended (`Some(false)`) since the last step.
    pub(super) alarm: Option<bool>,
}

/// The watch over the server's signs of life. Times are `Duration`s since any fixed origin.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    heard_at: Duration,
    questions: Option<Questions>,
    is_alarmed: bool,
    /// Whether the last reported step was an alarm.
    was_alarmed: bool,
}

impl Silence {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            heard_at: now,
            questions: None,
            is_alarmed: false,
            was_alarmed: false,
        }
    }

    /// Records a sign of life, which ends the alarm.
    #[inline]
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.questions = None;
        self.is_alarmed = false;
    }

    /// Records that the system found no program at the server's address.
    pub(super) fn refused(&mut self, now: Duration) {
        let questions = self.ask(now);
        questions.refused_at.get_or_insert(now);
    }

    /// Returns whether the alarm is raised.
    #[inline]
    pub(super) fn is_alarmed(&self) -> bool {
        self.is_alarmed
    }

    /// Returns whether a refusal was reported since the last sign of life.
    pub(super) fn is_refused(&self) -> bool {
        self.questions
            .is_some_and(|questions| questions.refused_at.is_some())
    }

    /// Returns when the last sign of life arrived.
    pub(super) fn heard_at(&self) -> Duration {
        self.heard_at
    }

    /// Returns what is due. `can_probe` says whether the session is so far that the server replies to a probe. In the
    /// handshake the transport repeats its own packets, which are questions, too.
    #[inline]
    pub(super) fn poll(&mut self, now: Duration, can_probe: bool) -> SilenceStep {
        if self.questions.is_none() && now < self.heard_at + ASK_AFTER {
            return self.step(false);
        }
        let every = self.probe_every();
        let questions = self.ask(now);
        let probe = can_probe && questions.probed_at.is_none_or(|last| now >= last + every);
        if probe {
            questions.probed_at = Some(now);
            questions.probes += 1;
        }
        let is_asked = !can_probe || questions.probes >= PROBES_MIN;
        let is_over = now >= questions.since + REPLY_WITHIN && is_asked;
        let is_refused = questions.refused_at.is_some_and(|at| now >= at + REFUSED_FOR);
        self.is_alarmed |= is_over || is_refused;
        self.step(probe)
    }

    /// Returns how long after `now` a probe or the alarm is due, at most.
    #[inline]
    pub(super) fn until_due(&self, now: Duration) -> Duration {
        let due = match &self.questions {
            None => self.heard_at + ASK_AFTER,
            Some(questions) => questions.probed_at.unwrap_or(questions.since) + self.probe_every(),
        };
        due.saturating_sub(now)
    }

    #[inline]
    fn probe_every(&self) -> Duration {
        if self.is_alarmed {
            PROBE_EVERY_IN_ALARM
        } else {
            PROBE_EVERY
        }
    }

    fn ask(&mut self, now: Duration) -> &mut Questions {
        self.questions.get_or_insert(Questions {
            since: now,
            probed_at: None,
            probes: 0,
            refused_at: None,
        })
    }

    #[inline]
    fn step(&mut self, probe: bool) -> SilenceStep {
        let has_changed = std::mem::replace(&mut self.was_alarmed, self.is_alarmed) != self.is_alarmed;
        SilenceStep {
            probe,
            alarm: has_changed.then_some(self.is_alarmed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Polls every `step` ms from `from` to `to`. Returns the times of the probes and of the alarm.
    fn poll(silence: &mut Silence, from: u32, to: u32, step: u32) -> (Vec<u32>, Option<u32>) {
        let (mut probes, mut alarm) = (Vec::new(), None);
        for time in (from..=to).step_by(step as usize) {
            let due = silence.poll(time * MS, true);
            probes.extend(due.probe.then_some(time));
            if due.alarm == Some(true) {
                alarm = Some(time);
            }
        }
        (probes, alarm)
    }

    #[test]
    fn a_silent_server_is_asked_after_700_ms_and_reported_after_1500_ms() {
        let mut silence = Silence::new(Duration::ZERO);
        let (probes, alarm) = poll(&mut silence, 0, 3_000, 5);
        assert_eq!(probes[..8], [700, 800, 900, 1_000, 1_100, 1_200, 1_300, 1_400]);
        assert_eq!(alarm, Some(1_500));
        assert_eq!(
            probes[8..],
            [1_500, 2_000, 2_500, 3_000],
            "seldom, once it is reported"
        );
        silence.heard(3_001 * MS);
        assert_eq!(
            silence.poll(3_002 * MS, true),
            SilenceStep {
                probe: false,
                alarm: Some(false)
            }
        );
        assert_eq!(poll(&mut silence, 3_005, 3_700, 5), (vec![], None));
    }

    #[test]
    fn a_reply_to_the_last_probe_prevents_the_alarm() {
        let mut silence = Silence::new(Duration::ZERO);
        assert_eq!(poll(&mut silence, 0, 1_495, 5).1, None);
        silence.heard(1_499 * MS);
        assert_eq!(poll(&mut silence, 1_500, 2_195, 5), (vec![], None));
    }

    #[test]
    fn a_client_that_did_not_run_asks_before_it_reports_a_silence() {
        for pause in [2_000, 60_000] {
            let mut silence = Silence::new(Duration::ZERO);
            let (probes, alarm) = poll(&mut silence, pause, pause + 1_000, 5);
            assert_eq!((probes[0], alarm), (pause, Some(pause + 800)));
        }
        // Two frames a second: three of them ask.
        let mut silence = Silence::new(Duration::ZERO);
        assert_eq!(
            poll(&mut silence, 0, 3_000, 500),
            (vec![1_000, 1_500, 2_000, 2_500, 3_000], Some(2_000))
        );
    }

    #[test]
    fn a_refusal_is_reported_sooner_unless_a_reply_shows_that_it_was_forged() {
        let mut silence = Silence::new(Duration::ZERO);
        silence.refused(50 * MS);
        assert!(silence.is_refused());
        let (probes, alarm) = poll(&mut silence, 55, 500, 5);
        assert_eq!((probes[0], alarm), (55, Some(350)), "the server is asked at once");

        let mut silence = Silence::new(Duration::ZERO);
        silence.refused(50 * MS);
        assert_eq!(poll(&mut silence, 55, 150, 5).1, None);
        silence.heard(155 * MS);
        assert!(!silence.is_refused());
        assert_eq!(poll(&mut silence, 160, 850, 5), (vec![], None));
    }

    #[test]
    fn a_step_is_due_when_it_is_announced() {
        let mut silence = Silence::new(Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut alarm = None;
        for _ in 0..100 {
            now += silence.until_due(now);
            if silence.poll(now, true).alarm == Some(true) {
                alarm.get_or_insert(now);
            }
        }
        assert_eq!(alarm, Some(ALARM_AFTER));
        assert!(now > 40 * 1_000 * MS, "no step without work: {now:?}");
    }
}
