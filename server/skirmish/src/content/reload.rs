//! Content that is reloaded while the game runs.
//!
//! A separate thread watches, reads and checks the files. The simulation takes finished rules from a mailbox between
//! two ticks, and never waits for it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_server::prelude::{ContentFile, ContentFiles, ContentPlayback, Tell};

use super::load::{ContentError, Sources};
use super::rules::Rules;

/// Time between two checks of the files.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Mailbox of finished rules that wait for the end of the tick. All clones share the mailbox.
#[derive(Resource, Clone, Debug, Default)]
pub struct ReloadedRules(Arc<Mutex<Option<Rules>>>);

impl ReloadedRules {
    /// Leaves rules for the next tick, and replaces any that still wait.
    pub fn leave(&self, rules: Rules) {
        if let Ok(mut waiting) = self.0.lock() {
            *waiting = Some(rules);
        }
    }

    /// Takes the waiting rules; `None` if there are none or the mailbox is locked right now.
    fn take(&self) -> Option<Rules> {
        self.0.try_lock().ok()?.take()
    }
}

/// Watches a folder of content files. Its thread ends when the simulation drops its mailbox.
#[derive(Debug)]
pub struct ContentWatch {
    folder: PathBuf,
    known: Option<Sources>,
    logged: Option<String>,
}

impl ContentWatch {
    /// Reads the content in `folder` and prepares to watch it.
    ///
    /// # Errors
    /// Returns the first error in the files. The watch then waits until they become valid.
    pub fn open(folder: PathBuf) -> (Result<Rules, ContentError>, Self) {
        let sources = Sources::read(&folder);
        let known = sources.as_ref().ok().cloned();
        let watch = Self {
            folder,
            known,
            logged: None,
        };
        (sources.and_then(|sources| sources.rules()), watch)
    }

    /// Reads the files of the folder once. Returns the new rules if the files changed and are valid.
    ///
    /// # Errors
    /// Returns the first error in the files, once for each change of the files.
    pub fn look(&mut self) -> Result<Option<Rules>, ContentError> {
        let sources = Sources::read(&self.folder)?;
        if self.known.as_ref() == Some(&sources) {
            return Ok(None);
        }
        let rules = sources.rules();
        self.known = Some(sources);
        rules.map(Some)
    }

    /// Checks the files repeatedly on a thread of its own.
    ///
    /// # Errors
    /// Returns the system's error if the thread cannot be started.
    pub fn start(mut self, delivery: &ReloadedRules) -> io::Result<()> {
        let mailbox = Arc::downgrade(&delivery.0);
        let work = move || {
            while let Some(delivery) = Weak::upgrade(&mailbox).map(ReloadedRules) {
                match self.look() {
                    Ok(None) => {}
                    Ok(Some(rules)) => {
                        self.logged = None;
                        delivery.leave(rules);
                    }
                    Err(error) => self.log_once(&error),
                }
                drop(delivery);
                thread::sleep(LOOK_EVERY);
            }
        };
        thread::Builder::new().name("content".to_owned()).spawn(work)?;
        Ok(())
    }

    /// Logs an error unless it is the one that was logged last.
    fn log_once(&mut self, error: &ContentError) {
        let text = error.to_string();
        if self.logged.as_ref() != Some(&text) {
            tracing::error!("{text}; the content is unchanged");
            self.logged = Some(text);
        }
    }
}

/// Replaces the rules if new ones wait and suit the existing entities, and sends the new content to all players.
pub(crate) fn adopt_content(
    delivery: Res<ReloadedRules>,
    playback: Option<ResMut<ContentPlayback>>,
    (mut rules, mut files): (ResMut<Rules>, ResMut<ContentFiles>),
    mut tell: Tell,
) {
    let waiting = match playback {
        None => delivery.take(),
        Some(mut playback) => playback.0.take().and_then(|files| recorded(&files)),
    };
    let Some(new) = waiting else {
        return;
    };
    if let Some(reason) = rules.cannot_become(&new) {
        tracing::error!("{reason}; the content is unchanged");
        return;
    }
    tracing::info!(old = %rules.hash, new = %new.hash, "content exchanged");
    *files = new.files.clone();
    *rules = new;
    rules.announce_to_all(&mut tell);
}

/// Parses the rules in a recording.
fn recorded(files: &[ContentFile]) -> Option<Rules> {
    let rules = Sources::from_files(files).and_then(|sources| sources.rules());
    rules
        .inspect_err(|error| tracing::error!("{error}; the content is unchanged"))
        .ok()
}

impl Rules {
    /// Returns why these rules cannot be replaced by `new` while entities exist; `None` if they can.
    #[must_use]
    pub fn cannot_become(&self, new: &Self) -> Option<String> {
        let (old, new) = (&self.content, &new.content);
        for (file, before, after) in [
            ("ships.ron", old.ships.len(), new.ships.len()),
            ("weapons.ron", old.missiles.len(), new.missiles.len()),
            ("drones.ron", old.drones.len(), new.drones.len()),
            ("space.ron", old.space.regions.len(), new.space.regions.len()),
        ] {
            if after < before {
                return Some(format!("{file}:1: {after} rows where {before} are in use"));
            }
        }
        (old.space.half != new.space.half).then(|| "space.ron:1: `half` changes only at the start".to_owned())
    }
}
