//! Records a running simulation: a system passes each tick to a thread, which writes it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::digest::TickDigest;
use super::events::Event;
use super::format::{End, RecordingBlock, RecordingHeader, RecordingWriter, TickBlock};
use crate::boundary::frame::Frame;
use crate::boundary::link::ToSimulation;
use crate::input::{Inbox, empty_inbox};
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{ContentFiles, Frames};

/// The most ticks that wait for the writer. One more ends the recording.
pub(super) const QUEUE_TICKS: usize = 64;

/// The time for which the writer buffers data before it flushes the file.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Records every tick of the app's simulation. Dropping the app ends the recording and waits until its last
/// byte is written.
pub struct RecordPlugin {
    target: Mutex<Option<(Box<dyn Write + Send>, RecordingHeader)>>,
    queue_ticks: usize,
}

impl RecordPlugin {
    /// Creates a plugin that records to `out`, which needs no buffer of its own.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, header: RecordingHeader) -> Self {
        Self {
            target: Mutex::new(Some((Box::new(out), header))),
            queue_ticks: QUEUE_TICKS,
        }
    }

    /// Makes the queue to the writer `ticks` long, for ticks that are not paced by a clock and would overtake
    /// the writer.
    #[cfg(test)]
    #[must_use]
    pub(super) fn with_queue(self, ticks: usize) -> Self {
        Self {
            queue_ticks: ticks,
            ..self
        }
    }
}

impl Plugin for RecordPlugin {
    fn build(&self, app: &mut App) {
        let record = record_tick.run_if(resource_exists::<Recorder>);
        app.add_systems(
            FixedUpdate,
            record.before(empty_inbox).in_set(ServerSystems::Record),
        );
    }

    /// This is not in `build`, because the protocol is complete only when all plugins are built.
    fn finish(&self, app: &mut App) {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((out, mut header)) = target else { return };
        let protocol = app.world().resource::<Protocol>().clone();
        let content = app.world().get_resource::<ContentFiles>().cloned();
        header.content = content.as_ref().map(|files| files.0.to_vec());
        match Recorder::start(out, header, protocol, content, self.queue_ticks) {
            Ok(recorder) => drop(app.insert_resource(recorder)),
            Err(error) => {
                tracing::error!(%error, "nothing is recorded, because the recorder's thread cannot be started");
            }
        }
    }
}

/// A tick as it is sent to the writer.
struct RecordedTick {
    time: TickTime,
    values: Vec<ToSimulation>,
    content: Option<ContentFiles>,
    frame: Arc<Frame>,
}

#[derive(Resource)]
struct Recorder {
    /// `None` after the recording has ended.
    queue: Option<SyncSender<RecordedTick>>,
    lagged: Arc<OnceLock<Tick>>,
    /// The content that was sent to the writer last.
    content: Option<ContentFiles>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    fn start(
        out: Box<dyn Write + Send>,
        header: RecordingHeader,
        protocol: Protocol,
        content: Option<ContentFiles>,
        queue_ticks: usize,
    ) -> io::Result<Self> {
        let (queue, taken) = sync_channel(queue_ticks);
        let lagged = Arc::new(OnceLock::new());
        let reason = Arc::clone(&lagged);
        let write = move || {
            if let Err(error) = write_all(out, &header, &protocol, &taken, &reason) {
                tracing::error!(%error, "the recording ends, because it cannot be written");
            }
        };
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(write)?;
        Ok(Self {
            queue: Some(queue),
            lagged,
            content,
            thread: Some(thread),
        })
    }

    /// Returns the content if it differs from the last one sent, and stores it.
    fn exchanged(&mut self, content: &ContentFiles) -> Option<ContentFiles> {
        if self.content.as_ref() == Some(content) {
            return None;
        }
        self.content = Some(content.clone());
        self.content.clone()
    }

    /// Sends a tick to the writer, or ends the recording if the queue is full.
    fn take(&mut self, taken: RecordedTick) {
        let Some(queue) = &self.queue else { return };
        let tick = taken.time.tick;
        let Err(refused) = queue.try_send(taken) else {
            return;
        };
        // If the writer has ended, it has logged the reason.
        let is_full = matches!(refused, TrySendError::Full(_));
        if is_full {
            let _ = self.lagged.set(tick);
        }
        self.queue = None;
        if is_full {
            tracing::error!(%tick, "the recording ends before this tick, because the disk was too slow");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the recorder panicked");
        }
    }
}

fn record_tick(
    mut recorder: ResMut<Recorder>,
    mut inbox: ResMut<Inbox>,
    (frames, time): (Res<Frames>, Res<TickTime>),
    content: Option<Res<ContentFiles>>,
) {
    let Some(frame) = frames.0.newest().filter(|_| recorder.queue.is_some()) else {
        return;
    };
    let changed = content.filter(|content| content.is_changed());
    let content = changed.and_then(|content| recorder.exchanged(&content));
    recorder.take(RecordedTick {
        time: *time,
        values: inbox.take(),
        content,
        frame: Arc::clone(frame),
    });
}

/// Runs on the writer's thread: writes ticks until the queue is closed, and then the end.
fn write_all(
    out: Box<dyn Write + Send>,
    header: &RecordingHeader,
    protocol: &Protocol,
    queue: &Receiver<RecordedTick>,
    lagged: &OnceLock<Tick>,
) -> io::Result<()> {
    let mut writer = RecordingWriter::begin(io::BufWriter::with_capacity(1 << 18, out), header)?;
    let mut before: Option<Arc<Frame>> = None;
    loop {
        let taken = match queue.recv_timeout(FLUSH_AFTER) {
            Ok(taken) => taken,
            Err(RecvTimeoutError::Timeout) => {
                writer.flush()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let block = RecordingBlock::Tick(TickBlock {
            tick: taken.time.tick,
            skipped: taken.time.skipped,
            started_at_ns: taken.time.started_at.as_nanos() as u64,
            late_ns: taken.time.started_at.saturating_sub(taken.time.due_at).as_nanos() as u64,
            content: taken.content.map(|files| files.0.to_vec()),
            events: taken
                .values
                .iter()
                .map(|value| Event::of(value, &taken.time))
                .collect(),
            digest: TickDigest::of(&taken.frame, before.as_deref(), protocol),
        });
        match writer.write(&block) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                writer.write(&RecordingBlock::End(End::TooLarge(taken.time.tick)))?;
                writer.flush()?;
                return Err(error);
            }
            written => written?,
        }
        before = Some(taken.frame);
    }
    let end = lagged.get().map_or(End::Stopped, |&tick| End::Lagged(tick));
    writer.write(&RecordingBlock::End(end))?;
    writer.flush()
}
