//! What a worker keeps of one session.

use std::time::Duration;

use throng_shared::netcode::SessionId;
use throng_shared::reliable::Reliable;
use throng_shared::tick::Tick;

use crate::boundary::claims::SessionClaims;
use crate::boundary::link::PeerKind;
use crate::net::pace::Pace;
use crate::replication::ClientReplication;

/// Ticks around the newest forwarded input in which repeats are recognized.
const REPEATS_KNOWN: i32 = 32;
/// How far from the newest frame an input may be for its repeats to be recognized.
const INPUT_TICKS_NEAR: i32 = 64;

/// One session, from netcode's `Connected` to its end.
pub(super) struct WorkerSession {
    pub(super) id: SessionId,
    pub(super) client_id: u64,
    pub(super) claims: SessionClaims,
    /// What it speaks; `None` before that is known. Announced to the simulation when it is.
    pub(super) kind: Option<PeerKind>,
    /// It said hello since the last welcome.
    pub(super) welcome_due: bool,
    /// When its first reliable packet came, if that was before a hello.
    pub(super) reliable_since: Option<Duration>,
    /// From its hello on.
    pub(super) replication: Option<ClientReplication>,
    pub(super) reliable: Reliable,
    pub(super) inputs: ForwardedInputs,
    pub(super) input_pace: Pace,
    pub(super) other_pace: Pace,
}

impl WorkerSession {
    pub(super) fn new(id: SessionId, client_id: u64, claims: SessionClaims) -> Self {
        Self {
            id,
            client_id,
            claims,
            kind: None,
            welcome_due: false,
            reliable_since: None,
            replication: None,
            reliable: Reliable::new(),
            inputs: ForwardedInputs::default(),
            input_pace: Pace::default(),
            other_pace: Pace::default(),
        }
    }

    /// Whether it may be sent our payload kinds: it sent one itself.
    pub(super) fn speaks_ours(&self) -> bool {
        self.kind == Some(PeerKind::Throng)
    }
}

/// Which ticks' inputs were handed on, so that each of a packet's repeats is handed on once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ForwardedInputs {
    newest: Tick,
    /// Bit `i`: the input of `newest - i` was handed on.
    seen: u32,
}

impl ForwardedInputs {
    /// Whether the input of `tick` is to be handed on; marks it. Ticks far from `reference`, the newest
    /// frame's, are always handed on, to be refused and counted where the window is known, and never move
    /// what is remembered: a client whose clock was wrong for a while is heard again.
    pub(super) fn admit(&mut self, tick: Tick, reference: Tick) -> bool {
        if tick.since(reference).abs() > INPUT_TICKS_NEAR {
            return true;
        }
        let ahead = tick.since(self.newest);
        if ahead > 0 || self.seen == 0 || ahead < -(INPUT_TICKS_NEAR * 2) {
            self.seen = if (0..REPEATS_KNOWN).contains(&ahead) {
                self.seen << ahead | 1
            } else {
                1
            };
            self.newest = tick;
            return true;
        }
        if ahead <= -REPEATS_KNOWN {
            return true;
        }
        let bit = 1 << -ahead;
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(inputs: &mut ForwardedInputs, ticks: &[u32], reference: u32) -> Vec<u32> {
        let near = |tick: &&u32| inputs.admit(Tick(**tick), Tick(reference));
        ticks.iter().filter(near).copied().collect()
    }

    #[test]
    fn each_input_is_handed_on_once_in_any_order() {
        for start in [100, u32::MAX - 3] {
            let mut inputs = ForwardedInputs::default();
            let tick = |n: u32| start.wrapping_add(n);
            let sent = [0, 1, 0, 2, 1, 0, 5, 4, 3, 2, 3, 5, 6].map(tick);
            assert_eq!(
                admitted(&mut inputs, &sent, start),
                [0, 1, 2, 5, 4, 3, 6].map(tick)
            );
        }
    }

    #[test]
    fn a_first_input_at_tick_zero_is_handed_on() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(admitted(&mut inputs, &[0, 0, 1], 0), [0, 1]);
    }

    #[test]
    fn an_input_from_afar_does_not_silence_the_client() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(
            admitted(&mut inputs, &[10, 11, 30_000, 30_000, 12, 12], 10),
            [10, 11, 30_000, 30_000, 12]
        );
        assert_eq!(admitted(&mut inputs, &[70, 13, 14], 12), [70, 13, 14]);
    }

    #[test]
    fn a_gap_longer_than_what_is_remembered_begins_anew() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(admitted(&mut inputs, &[10, 42, 41, 42, 10], 20), [10, 42, 41, 10]);
    }
}
