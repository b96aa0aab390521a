//! Replays a recording and compares every tick.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::{App, Plugins};
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::ProtocolHash;
use throng_shared::tick::Tick;

use super::digest::{Divergence, TickDigest};
use super::events::NANOS_MAX;
use super::format::{End, RecordingError, RecordingHeader, RecordingReader};
use crate::boundary::frame::Frame;
use crate::input::Inbox;
use crate::observe::ServerStats;
use crate::plugins::ServerPlugins;
use crate::runner::{Clock, Shutdown, TickTime, finish_plugins, tick_late};
use crate::simulation::{ContentFile, ContentFiles, ContentPlayback, Frames, JoinRule, Linger};

/// Why a recording was not replayed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The recording cannot be read further.
    #[error("{error} ({ticks} ticks before it were equal)")]
    Recording {
        /// The offset and the reason.
        error: RecordingError,
        /// Number of ticks that were replayed before, all of them as recorded.
        ticks: u32,
    },
    /// The recording is of another game.
    #[error("the recording is of the game {recorded}, this program serves {ours}")]
    Game {
        /// The game of the recording.
        recorded: String,
        /// The game of this program.
        ours: &'static str,
    },
    /// The game of this program does not accept the recorded settings.
    #[error("the game does not accept the recorded settings: {0}")]
    Settings(String),
    /// The recording is of another protocol: this server replicates other types.
    #[error("the recording is of protocol {recorded} (server {release}), this server has {ours}")]
    Protocol {
        /// The protocol of the recording.
        recorded: ProtocolHash,
        /// The release of the server that wrote the recording.
        release: String,
        /// The protocol of this server.
        ours: ProtocolHash,
    },
    /// The game did not accept the recorded content: it is damaged, or the game has no content. The log says
    /// more.
    #[error("the game does not accept the content recorded for tick {0}")]
    Content(Tick),
    /// A tick differs from the recorded one.
    #[error("{0}")]
    Diverged(Divergence),
}

/// The result of replaying a whole recording whose ticks were all as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Number of ticks that were replayed.
    pub ticks: u32,
    /// Number of recorded events: joins, departures, inputs, messages.
    pub events: u64,
    /// Number of times that content was exchanged.
    pub exchanges: u32,
    /// The reason why the recording ended.
    pub end: End,
}

/// Returns the app that a recording is of, without sockets. `game` is built with the content of the
/// recording.
pub fn app_of<M>(header: &RecordingHeader, game: impl Plugins<M>) -> App {
    let mut app = App::new();
    app.add_plugins(ServerPlugins {
        tick_rate_hz: NonZeroU32::new(header.tick_rate.into()).unwrap_or(NonZeroU32::MIN),
        clock: Clock::default(),
        shutdown: Shutdown::default(),
        seed: header.seed,
        threads: 1,
        simulation: SimulationId(0),
        stats: Arc::new(ServerStats::new(0, header.tick_rate)),
    })
    .insert_resource(Linger(header.linger))
    .insert_resource(ContentPlayback(header.content.clone()))
    .add_plugins(game);
    app
}

/// Replays a recording on `app`, whose plugins are built but not finished, comparing every tick.
///
/// # Errors
/// [`ReplayError`] at the first tick that differs or cannot be read.
pub fn replay<R: Read>(mut reader: RecordingReader<R>, mut app: App) -> Result<Replayed, ReplayError> {
    finish_plugins(&mut app);
    // The recording holds what the game's rule decided.
    app.world_mut().remove_resource::<JoinRule>();
    let protocol = app.world().resource::<Protocol>().clone();
    let header = reader.header();
    if protocol.hash() != header.protocol {
        return Err(ReplayError::Protocol {
            recorded: header.protocol,
            release: header.release.clone(),
            ours: protocol.hash(),
        });
    }
    require_content(&app, header.content.as_deref(), Tick(0))?;
    let (mut ticks, mut events, mut exchanges) = (0, 0, 0);
    let mut names = BTreeMap::new();
    let mut before: Option<Arc<Frame>> = None;
    loop {
        let damaged = |error| ReplayError::Recording { error, ticks };
        let block = match reader.next_tick().map_err(damaged)? {
            Ok(block) => block,
            Err(end) => {
                return Ok(Replayed {
                    ticks,
                    events,
                    exchanges,
                    end,
                });
            }
        };
        let started_at = Duration::from_nanos(block.started_at_ns.min(NANOS_MAX));
        let time = TickTime {
            tick: block.tick,
            skipped: block.skipped,
            started_at,
            due_at: started_at.saturating_sub(Duration::from_nanos(block.late_ns)),
            ..TickTime::default()
        };
        let values: Option<Vec<_>> = block.events.iter().map(|event| event.value(&time)).collect();
        let values = values
            .ok_or_else(|| reader.error_in_last_block("an event that no client can cause"))
            .map_err(damaged)?;
        events += values.len() as u64;
        app.world_mut().get_resource_or_init::<Inbox>().extend(values);
        app.insert_resource(ContentPlayback(block.content.clone()));
        tick_late(&mut app, time.due_at, started_at, time.skipped);
        if block.content.is_some() {
            require_content(&app, block.content.as_deref(), block.tick)?;
            exchanges += 1;
        }
        let frame = newest(&app, block.tick)
            .ok_or_else(|| reader.error_in_last_block("this server starts at another tick"))
            .map_err(damaged)?;
        let found = TickDigest::of(&frame, before.as_deref(), &protocol);
        block.digest.follow(&mut names);
        if let Some(divergence) = block.digest.first_difference(&found, &frame, &names, &protocol) {
            return Err(ReplayError::Diverged(divergence));
        }
        before = Some(frame);
        ticks += 1;
    }
}

/// Returns an error if the game has other content than was recorded.
fn require_content(app: &App, recorded: Option<&[ContentFile]>, tick: Tick) -> Result<(), ReplayError> {
    let held = app.world().get_resource::<ContentFiles>();
    let held = held.map(|files| files.0.as_slice());
    if held == recorded {
        Ok(())
    } else {
        Err(ReplayError::Content(tick))
    }
}

fn newest(app: &App, tick: Tick) -> Option<Arc<Frame>> {
    let frame = app.world().resource::<Frames>().0.newest()?;
    (frame.tick == tick).then(|| Arc::clone(frame))
}
