//! What a worker keeps of one session.

use throng_shared::netcode::SessionId;
use throng_shared::reliable::Reliable;
use throng_shared::tick::Tick;

use crate::net::claims::SessionClaims;
use crate::net::link::PeerKind;
use crate::replication::{ClientReplication, ReplicationConfig};

/// Input packets that a session may send at once, after a stalled link.
const INPUT_BURST: u16 = 40;
/// Input packets that a session may send per tick in the long run.
const INPUTS_PER_TICK: u16 = 2;

/// One session, from netcode's `Connected` to its end.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) client_id: u64,
    pub(super) claims: SessionClaims,
    /// What it speaks; `None` before its first payload. Announced to the simulation when it is known.
    pub(super) kind: Option<PeerKind>,
    pub(super) replication: ClientReplication,
    pub(super) reliable: Reliable,
    /// The newest input handed to the simulation; older ones are repeats.
    pub(super) newest_input: Option<Tick>,
    /// Bytes sent outside snapshots since the last snapshot; they come out of the same budget.
    pub(super) used_bytes: usize,
    allowance: u16,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        client_id: u64,
        claims: SessionClaims,
        config: &ReplicationConfig,
    ) -> Self {
        Self {
            id,
            client_id,
            claims,
            kind: None,
            replication: ClientReplication::new(config),
            reliable: Reliable::new(),
            newest_input: None,
            used_bytes: 0,
            allowance: INPUT_BURST,
        }
    }

    /// Takes the right to one input packet; `false` when the session sends more than it may.
    pub(super) fn admit_input(&mut self) -> bool {
        let admitted = self.allowance > 0;
        self.allowance -= u16::from(admitted);
        admitted
    }

    /// One tick has passed.
    pub(super) fn renew_allowance(&mut self) {
        self.allowance = (self.allowance + INPUTS_PER_TICK).min(INPUT_BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::claims::PlayerName;

    #[test]
    fn input_is_limited_to_a_burst_and_a_rate() {
        let id = SessionId {
            index: 0,
            generation: 1,
        };
        let claims = SessionClaims {
            session_number: 1,
            name: PlayerName::default(),
        };
        let mut session = Session::new(id, 1, claims, &ReplicationConfig::default());
        let admitted = (0..1_000).filter(|_| session.admit_input()).count();
        assert_eq!(admitted, usize::from(INPUT_BURST));
        for _ in 0..100 {
            session.renew_allowance();
            assert!(session.admit_input() && session.admit_input());
            assert!(!session.admit_input());
        }
    }
}
