//! The server's state of life, as a latest value that anybody may watch.
//!
//! The sender is held by whoever may stop the server. The simulation looks at it once per tick by
//! [`StatusReceiver::has_changed`](tokio::sync::watch::Receiver::has_changed), which is one atomic load.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What the server is doing. It only moves forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerStatus {
    /// Building the world and opening sockets.
    #[default]
    Starting,
    /// Ticking and accepting players.
    Running,
    /// Was asked to stop: nobody joins any more, clients are being told.
    Stopping,
    /// Everybody was told; the last threads end.
    Stopped,
}

/// Sets the status.
pub type StatusSender = watch::Sender<ServerStatus>;

/// Watches the status.
pub type StatusReceiver = watch::Receiver<ServerStatus>;

/// A status, [`ServerStatus::Starting`].
#[must_use]
pub fn status_channel() -> (StatusSender, StatusReceiver) {
    watch::channel(ServerStatus::default())
}

/// Moves the status forward to `status`; does nothing when it is already there or further.
pub fn advance_status(sender: &StatusSender, status: ServerStatus) {
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
