//! Counts of a connection's packets and problems, for programs that report on many clients.

use bevy_ecs::prelude::Resource;
use throng_shared::netcode::DisconnectReason;
use throng_shared::protocol::hello::Goodbye;

use crate::connection::{ClientEvent, EndReason};
use crate::join::{JoinError, Retry};
use crate::mirror::Applied;
use crate::player::PlayerEvent;

/// Counts of a connection since its start. Kept up to date while the resource exists.
#[derive(Resource, Debug, Clone, Default)]
pub(crate) struct ConnectionTally {
    /// Snapshot packets applied.
    pub(crate) snapshots: u64,
    /// Entities in them whose state was replaced by a newer one.
    pub(crate) updates: u64,
    /// Snapshot packets that the server sent, by their numbers: those applied and those that are missing.
    pub(crate) expected: u64,
    /// Packets of the server that could not be decoded.
    pub(crate) decode_errors: u64,
    /// How often the server did not reply for 1.5 s.
    pub(crate) silences: u64,
    /// The reasons of all failures and ends since the owner of the tally took them.
    pub(crate) problems: Vec<String>,
    /// Whether the server refused this client, and another attempt would have the same result for now.
    pub(crate) is_refused: bool,
    /// Whether it would refuse every other client of this program, too.
    pub(crate) refuses_all: bool,
    /// The highest packet number of the session.
    highest: Option<u64>,
}

impl ConnectionTally {
    /// Counts the events of one poll.
    pub(super) fn note(&mut self, events: &[PlayerEvent]) {
        for event in events {
            match event {
                PlayerEvent::Joined { .. } => self.is_refused = false,
                PlayerEvent::Session(event) => self.note_session(event),
                PlayerEvent::JoinFailed(error) => {
                    self.is_refused |= matches!(error, JoinError::Full { .. });
                    self.refuses_all |=
                        error.retry() == Retry::Pointless && !matches!(error, JoinError::Refused { .. });
                    self.problems.push(error.to_string());
                }
                PlayerEvent::SocketFailed(error) => {
                    self.problems.push(format!("the network failed: {error}"));
                }
                PlayerEvent::GivenUp => self.is_refused = true,
                PlayerEvent::CredentialFailed(_) | PlayerEvent::Retrying { .. } => {}
            }
        }
    }

    fn note_session(&mut self, event: &ClientEvent) {
        match event {
            // The numbers of another session begin anew.
            ClientEvent::Welcomed(_) => self.highest = None,
            ClientEvent::Snapshot(applied) => self.note_snapshot(applied),
            ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_) => self.decode_errors += 1,
            ClientEvent::Silent => self.silences += 1,
            ClientEvent::Ended(reason) => {
                self.is_refused |= matches!(
                    reason,
                    EndReason::Goodbye(Goodbye::ServerFull) | EndReason::Transport(DisconnectReason::Denied)
                );
                self.refuses_all |= matches!(reason, EndReason::Goodbye(Goodbye::ProtocolMismatch { .. }));
                self.problems.push(reason.to_string());
            }
            ClientEvent::Connected | ClientEvent::Messages | ClientEvent::Recovered => {}
        }
    }

    fn note_snapshot(&mut self, applied: &Applied) {
        self.snapshots += 1;
        self.updates += u64::from(applied.updated);
        match self.highest {
            None => self.expected += 1,
            Some(highest) => self.expected += applied.sequence.saturating_sub(highest),
        }
        self.highest = self.highest.max(Some(applied.sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots(sequences: &[u64]) -> Vec<PlayerEvent> {
        let event = |&sequence| {
            PlayerEvent::Session(ClientEvent::Snapshot(Applied {
                sequence,
                updated: 2,
                ..Applied::default()
            }))
        };
        sequences.iter().map(event).collect()
    }

    #[test]
    fn missing_snapshots_are_counted_by_their_numbers_and_late_ones_are_not_missing() {
        let mut tally = ConnectionTally::default();
        tally.note(&snapshots(&[7, 8, 11, 10]));
        assert_eq!(
            (tally.snapshots, tally.expected, tally.updates),
            (4, 5, 8),
            "9 is missing"
        );
        tally.note(&snapshots(&[9]));
        assert_eq!((tally.snapshots, tally.expected), (5, 5), "it was only late");
    }

    #[test]
    fn a_full_server_refuses_one_client_and_another_protocol_refuses_all() {
        let mut tally = ConnectionTally::default();
        let server = "play.example.org".to_owned();
        tally.note(&[PlayerEvent::JoinFailed(JoinError::Full { server })]);
        assert_eq!((tally.is_refused, tally.refuses_all), (true, false));
        let server = "example.org".to_owned();
        tally.note(&[PlayerEvent::JoinFailed(JoinError::BadAddress { server })]);
        assert!(tally.refuses_all);
        assert_eq!(tally.problems.len(), 2);
    }
}
