//! `throng-server replay FILE`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use super::banner::Thousands;
use super::origin;
use crate::record::{End, ReadError, Reader, RecordingError, ReplayError, app_of, replay};

/// Replays a recording of the server at full speed and says in one line what was compared.
///
/// # Errors
/// When the file is damaged or cut off, is of another protocol, or the world goes another way: the first
/// tick, entity and component that differ.
pub fn replay_file(path: &Path) -> Result<String, ReplayError> {
    let unreadable = |error| ReplayError::Recording { error, ticks: 0 };
    let file = File::open(path).map_err(|error| {
        unreadable(RecordingError {
            offset: 0,
            error: ReadError::Io(error),
        })
    })?;
    let reader = Reader::open(BufReader::new(file)).map_err(unreadable)?;
    let tick_rate = reader.header().tick_rate.max(1);
    let app = app_of(reader.header());
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
