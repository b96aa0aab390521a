//! Recordings: what a server was told, tick by tick, and digests of what became of it; and their replay.
//!
//! Owns the format and the thread that writes it. Guarantees that a tick never waits for the disk:
//! inputs and frames go to the writer through a bounded queue, and when it is full the recording ends, says
//! so in the log and in the file, and lacks nothing up to there. A replay runs the same ticks with the same
//! inputs, headless and at full speed, and names the first tick, entity and component that differ. Refuses to
//! hold the state of a world: that is what checkpoints are for.

mod digest;
mod events;
mod format;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;

pub use digest::{Divergence, Doubt};
pub use format::{End, FORMAT_VERSION, ReadError, RecordingError, RecordingHeader, RecordingReader};
pub use recorder::{QUEUE_TICKS, RecordPlugin};
pub use replay::{ReplayError, Replayed, app_of, replay};
