//! The server's status, from start to stop, as a watch channel with the latest value.
//!
//! The parts that may stop the server hold the sender. The simulation checks for a change once per tick with
//! [`StatusReceiver::has_changed`](tokio::sync::watch::Receiver::has_changed), which is one atomic load.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How far the server has started or stopped. It only advances, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServerStatus {
    /// The server builds its simulations and opens its sockets.
    #[default]
    Starting,
    /// The server ticks and accepts players.
    Running,
    /// The server was asked to stop: it accepts no more players and sends goodbyes to its clients.
    Stopping,
    /// All goodbyes are sent; the last threads end.
    Stopped,
}

/// The sending half, which sets the status.
pub(crate) type StatusSender = watch::Sender<ServerStatus>;

/// The receiving half, which watches the status.
pub(crate) type StatusReceiver = watch::Receiver<ServerStatus>;

/// Creates a status channel with the status [`ServerStatus::Starting`].
#[must_use]
pub(crate) fn status_channel() -> (StatusSender, StatusReceiver) {
    watch::channel(ServerStatus::default())
}

/// Advances the status to `status`. Does nothing when it is already that or a later one.
pub(crate) fn advance_status(sender: &StatusSender, status: ServerStatus) {
    sender.send_if_modified(|current| {
        let advances = *current < status;
        *current = status.max(*current);
        advances
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_only_moves_forward() {
        let (sender, mut receiver) = status_channel();
        advance_status(&sender, ServerStatus::Stopping);
        assert_eq!(*receiver.borrow_and_update(), ServerStatus::Stopping);
        advance_status(&sender, ServerStatus::Running);
        advance_status(&sender, ServerStatus::Stopping);
        assert!(!receiver.has_changed().unwrap());
        assert_eq!(*receiver.borrow(), ServerStatus::Stopping);
    }
}
