//! What is counted of each bot.

/// Counts of a bot, or of all, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BotFigures {
    pub(super) down_bytes: u64,
    pub(super) down_datagrams: u64,
    pub(super) up_bytes: u64,
    pub(super) up_datagrams: u64,
    pub(super) snapshots: u64,
    /// Snapshot packets that the server sent.
    pub(super) expected: u64,
    pub(super) updates: u64,
    pub(super) decode_errors: u64,
    pub(super) silences: u64,
    /// Predictions compared with the server's states, and those that differed.
    pub(super) compared: u64,
    pub(super) corrected: u64,
    /// Updates of the app, and the entities in its world summed over them.
    pub(super) frames: u64,
    pub(super) visible: u64,
}

impl BotFigures {
    /// Returns the result of `combine` for each count of both.
    pub(super) fn zip(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            down_bytes: combine(self.down_bytes, other.down_bytes),
            down_datagrams: combine(self.down_datagrams, other.down_datagrams),
            up_bytes: combine(self.up_bytes, other.up_bytes),
            up_datagrams: combine(self.up_datagrams, other.up_datagrams),
            snapshots: combine(self.snapshots, other.snapshots),
            expected: combine(self.expected, other.expected),
            updates: combine(self.updates, other.updates),
            decode_errors: combine(self.decode_errors, other.decode_errors),
            silences: combine(self.silences, other.silences),
            compared: combine(self.compared, other.compared),
            corrected: combine(self.corrected, other.corrected),
            frames: combine(self.frames, other.frames),
            visible: combine(self.visible, other.visible),
        }
    }
}
