//! The state of one session on its worker.

use std::time::Duration;

use throng_shared::netcode::SessionId;
use throng_shared::protocol::input::Restarts;
use throng_shared::reliable::Reliable;
use throng_shared::tick::Tick;

use crate::boundary::claims::SessionClaims;
use crate::boundary::link::PeerKind;
use crate::net::pace::Pace;
use crate::replication::ClientReplication;

/// Number of ticks up to the newest forwarded input in which repeats are recognized.
const REPEATS_KNOWN: i32 = 32;
/// Largest distance of an input from the newest frame, in ticks, at which its repeats are recognized.
const INPUT_TICKS_NEAR: i32 = 64;

/// Bytes of reliable messages that wait to be sent to one client, of both channels together. Each message counts 32 bytes
/// more than it has. A message beyond it ends the session with `LeaveReason::Overflow`. The bytes of a message to many are
/// shared by their sessions, so this much memory is held for a session only if the game tells it messages of its own.
pub(super) const TOLD_BYTES_MAX: usize = 256 * 1024;

/// State of one session, from netcode's `Connected` event to its end.
pub(super) struct WorkerSession {
    pub(super) id: SessionId,
    pub(super) client_id: u64,
    pub(super) claims: SessionClaims,
    /// Kind of the client, or `None` before it is known. The session is announced to the simulation when it is.
    pub(super) kind: Option<PeerKind>,
    /// Whether a hello arrived since the last welcome was sent.
    pub(super) welcome_due: bool,
    /// Time of its first reliable packet, since the process's origin.
    pub(super) reliable_since: Option<Duration>,
    /// State of the snapshot stream; `None` before the hello.
    pub(super) replication: Option<ClientReplication>,
    pub(super) reliable: Reliable,
    /// Bytes of reliable messages that were sent beyond their part of the bandwidth until now.
    pub(super) overspent: usize,
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
            reliable: Reliable::with_send_bytes_max(TOLD_BYTES_MAX as u32),
            overspent: 0,
            inputs: ForwardedInputs::default(),
            input_pace: Pace::default(),
            other_pace: Pace::default(),
        }
    }

    /// Returns whether the client knows our payload kinds, because it has sent a hello.
    pub(super) fn is_throng(&self) -> bool {
        self.kind == Some(PeerKind::Throng)
    }
}

/// The ticks whose inputs were forwarded, so that a repeated input is forwarded only once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ForwardedInputs {
    restarts: Restarts,
    newest: Tick,
    /// Bit `i` is set when the input of tick `newest - i` was forwarded.
    seen: u32,
}

/// How a packet's inputs relate to those forwarded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputOrder {
    /// They continue those forwarded before.
    Continued,
    /// They replace those forwarded before: the client's clock has jumped backward.
    Restarted,
    /// The packet was overtaken by one from after such a jump.
    Outdated,
}

impl ForwardedInputs {
    /// Returns how a packet with this count of restarts relates to those before.
    pub(super) fn order(&self, restarts: Restarts) -> InputOrder {
        match restarts == self.restarts {
            true => InputOrder::Continued,
            false if restarts.is_after(self.restarts) => InputOrder::Restarted,
            false => InputOrder::Outdated,
        }
    }

    /// Discards the marks of the inputs that were forwarded before the restart.
    pub(super) fn restart(&mut self, restarts: Restarts) {
        *self = Self {
            restarts,
            ..Self::default()
        };
    }

    /// Returns whether the input of `tick` has to be forwarded, and marks it as forwarded. Inputs far from `reference`,
    /// the tick of the newest frame, are always forwarded: the simulation knows the window, and refuses and counts
    /// them. They never change the marks, so the inputs of a client whose clock was wrong for a while are accepted
    /// again afterwards.
    pub(super) fn admit(&mut self, tick: Tick, reference: Tick) -> bool {
        if tick.since(reference).abs() > INPUT_TICKS_NEAR {
            return true;
        }
        let ahead = tick.since(self.newest);
        // A newer tick, the first one, or a `newest` that is stale: `tick` becomes the newest. Shifting the bits by
        // `ahead` keeps the marks of the older ticks; `ahead` is below 32, the width of `seen`, where it shifts.
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
        // `ahead` is in -31..=0 here, so the shift is in range.
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
    fn each_input_is_forwarded_once_in_any_order() {
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
    fn a_first_input_at_tick_zero_is_forwarded() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(admitted(&mut inputs, &[0, 0, 1], 0), [0, 1]);
    }

    #[test]
    fn an_input_far_from_the_newest_frame_does_not_block_later_inputs() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(
            admitted(&mut inputs, &[10, 11, 30_000, 30_000, 12, 12], 10),
            [10, 11, 30_000, 30_000, 12]
        );
        assert_eq!(admitted(&mut inputs, &[70, 13, 14], 12), [70, 13, 14]);
    }

    #[test]
    fn a_gap_longer_than_the_remembered_ticks_resets_the_marks() {
        let mut inputs = ForwardedInputs::default();
        assert_eq!(admitted(&mut inputs, &[10, 42, 41, 42, 10], 20), [10, 42, 41, 10]);
    }
}
