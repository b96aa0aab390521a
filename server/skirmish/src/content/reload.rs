//! Content that is exchanged while the world runs.
//!
//! A thread of its own watches the files, reads and checks them; the simulation finds the finished rules in
//! a mailbox between two ticks, and never waits for it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_server::prelude::{ContentFile, ContentFiles, ContentPlayback, Tell};

use super::{ContentError, Rules, Sources};

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Finished rules that wait for the end of the tick. Every clone is the same mailbox.
#[derive(Resource, Clone, Debug, Default)]
pub struct ReloadedRules(Arc<Mutex<Option<Rules>>>);

impl ReloadedRules {
    /// Leaves rules for the next tick, in place of any that wait there.
    pub fn leave(&self, rules: Rules) {
        if let Ok(mut waiting) = self.0.lock() {
            *waiting = Some(rules);
        }
    }

    /// Takes what waits; nothing, if somebody is leaving something right now.
    fn take(&self) -> Option<Rules> {
        self.0.try_lock().ok()?.take()
    }
}

/// A folder whose files are the content. Ends when the simulation drops its mailbox.
#[derive(Debug)]
pub struct ContentWatch {
    folder: PathBuf,
    known: Option<Sources>,
    complained: Option<String>,
}

impl ContentWatch {
    /// Reads `folder` and watches it from then on.
    ///
    /// # Errors
    /// What is wrong with its files; the watch waits for them to become good.
    pub fn open(folder: PathBuf) -> (Result<Rules, ContentError>, Self) {
        let sources = Sources::read(&folder);
        let known = sources.as_ref().ok().cloned();
        let watch = Self {
            folder,
            known,
            complained: None,
        };
        (sources.and_then(|sources| sources.rules()), watch)
    }

    /// Looks once: the new rules, if the files changed and are good.
    ///
    /// # Errors
    /// What is wrong with them; once for each state of the files.
    pub fn look(&mut self) -> Result<Option<Rules>, ContentError> {
        let sources = Sources::read(&self.folder)?;
        if self.known.as_ref() == Some(&sources) {
            return Ok(None);
        }
        let rules = sources.rules();
        self.known = Some(sources);
        rules.map(Some)
    }

    /// Looks again and again, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut self, delivery: &ReloadedRules) -> io::Result<()> {
        let mailbox = Arc::downgrade(&delivery.0);
        let work = move || {
            while let Some(delivery) = Weak::upgrade(&mailbox).map(ReloadedRules) {
                match self.look() {
                    Ok(None) => {}
                    Ok(Some(rules)) => {
                        self.complained = None;
                        delivery.leave(rules);
                    }
                    Err(error) => self.complain(&error),
                }
                drop(delivery);
                thread::sleep(LOOK_EVERY);
            }
        };
        thread::Builder::new().name("content".to_owned()).spawn(work)?;
        Ok(())
    }

    /// Says what is wrong, once.
    fn complain(&mut self, error: &ContentError) {
        let text = error.to_string();
        if self.complained.as_ref() != Some(&text) {
            tracing::error!("{text}; the content stays as it was");
            self.complained = Some(text);
        }
    }
}

/// Exchanges the rules, if new ones wait and entities can go on living under them, and tells everybody.
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
        tracing::error!("{reason}; the content stays as it was");
        return;
    }
    tracing::info!(old = %rules.hash, new = %new.hash, "content exchanged");
    *files = new.files.clone();
    *rules = new;
    rules.announce_to_all(&mut tell);
}

/// The rules of a recording.
fn recorded(files: &[ContentFile]) -> Option<Rules> {
    let rules = Sources::from_files(files).and_then(|sources| sources.rules());
    rules
        .inspect_err(|error| tracing::error!("{error}; the content stays as it was"))
        .ok()
}

impl Rules {
    /// Why these rules cannot be exchanged for `new` while entities live by them.
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
