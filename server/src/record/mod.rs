//! Recordings of what a server received, tick by tick, with digests of the resulting frames; and their
//! replay.
//!
//! Owns the format and the thread that writes it. Guarantees that a tick never waits for the disk: inputs and
//! frames go to the writer through a bounded queue. If the queue is full, the recording ends, with a line in
//! the log and a reason in the file, and is complete up to there. A replay runs the same ticks with the same
//! inputs, headless and at full speed, and names the first tick, entity and component that differ. Refuses to
//! hold the state of a world, which checkpoints do.

mod digest;
mod events;
mod format;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;

pub use digest::{DifferenceKind, Divergence};
pub use format::{End, FORMAT_VERSION, ReadError, RecordingError, RecordingHeader, RecordingReader};
pub use recorder::RecordPlugin;
pub use replay::{ReplayError, Replayed, app_of, replay};
