//! The command `replay FILE`: replays a recording.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use bevy_app::{AppExit, Plugins};
use throng_shared::files;

use super::banner::Thousands;
use super::error::Causes;
use super::game::{Game, NoSettings};
use super::output::print;
use super::stderr_log::write_line;
use super::time_origin::origin;
use crate::config::recorded_game;
use crate::record::{End, ReadError, RecordingError, RecordingReader, ReplayError, app_of, replay};

/// Calls `replay` with the named file if the process's first argument is `replay`, and prints the result. Returns
/// `None` for any other first argument. The exit code is 0 if everything came out as recorded, 1 if not, 2 without
/// a file.
pub(super) fn replay_command(replay: impl FnOnce(&Path) -> Result<String, ReplayError>) -> Option<AppExit> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    arguments.next().filter(|first| first == "replay")?;
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        write_line(&format!("usage: {} replay FILE", program.display()));
        return Some(AppExit::from_code(2));
    };
    let file = Path::new(&file);
    Some(match replay(file) {
        Ok(summary) => print(AppExit::Success, |out| writeln!(out, "{summary}")),
        Err(error) => {
            write_line(&format!("error: {}: {}", file.display(), Causes(&error)));
            AppExit::error()
        }
    })
}

/// Replays a recording of a game with settings of its own at full speed, and returns a one-line summary.
///
/// # Errors
/// Fails if the file is damaged or truncated, is of another game or protocol, or if the replay differs from the
/// recording: the error names the first tick, entity and component that differ.
pub fn replay_file<G: Game>(path: &Path) -> Result<String, ReplayError> {
    replay_with(path, G::clone)
}

/// Replays a recording of a game without settings, with the plugins of the server that wrote it.
///
/// # Errors
/// Fails for the reasons of [`replay_file`].
pub fn replay_game<M>(path: &Path, game: impl Plugins<M>) -> Result<String, ReplayError> {
    replay_with(path, |_: &NoSettings| game)
}

pub(super) fn replay_with<G: Game, M, P: Plugins<M>>(
    path: &Path,
    plugins: impl FnOnce(&G) -> P,
) -> Result<String, ReplayError> {
    let unreadable = |error| ReplayError::Recording { error, ticks: 0 };
    let file = files::open(path).map_err(|error| {
        unreadable(RecordingError {
            offset: 0,
            error: ReadError::Io(error),
        })
    })?;
    let reader = RecordingReader::open(BufReader::new(file)).map_err(unreadable)?;
    let header = reader.header();
    if header.game != G::NAME {
        return Err(ReplayError::Game {
            recorded: header.game.clone(),
            ours: G::NAME,
        });
    }
    let game = recorded_game(G::NAME, &header.settings);
    let game = game.map_err(|error| ReplayError::Settings(error.to_string()))?;
    let app = app_of(header, plugins(&game));
    let tick_rate = reader.header().tick_rate.max(1);
    let (began, _) = origin();
    let replayed = replay(reader, app)?;
    let (took, ticks) = (began.elapsed(), Thousands(replayed.ticks.into()));
    let recorded = Duration::from_secs(replayed.ticks.into()) / u32::from(tick_rate);
    let speed = recorded.as_secs_f64() / took.as_secs_f64().max(1e-9);
    let events = Thousands(replayed.events);
    let exchanged = match replayed.exchanges {
        0 => String::new(),
        1 => " and an exchange of content".to_owned(),
        times => format!(" and {times} exchanges of content"),
    };
    let ended = match replayed.end {
        End::Stopped => String::new(),
        End::Lagged(tick) => {
            format!("; the recording ends before tick {tick}, when the disk did not keep up")
        }
        End::TooLarge(tick) => format!("; the recording ends before tick {tick}, which was too large"),
    };
    Ok(format!(
        "{ticks} ticks with {events} events{exchanged} came out as recorded, at {speed:.0} times the speed{ended}"
    ))
}
