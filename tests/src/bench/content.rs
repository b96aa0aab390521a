//! Content of Skirmish that changes during the game, to measure the cost of a reload.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use skirmish_server::content::Sources;
use tempfile::TempDir;

/// Time between two changes of the content.
const EVERY: Duration = Duration::from_secs(1);
/// The text that changes to [`AFTER`] and back.
const BEFORE: &str = "thrust: 34.0";
/// The text that replaces [`BEFORE`].
const AFTER: &str = "thrust: 34.5";

/// A folder with the built-in content, in which one number changes every second. Dropping it ends the changes and
/// removes the folder.
pub struct ChangingContent {
    folder: TempDir,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ChangingContent {
    /// Writes the files and starts to change them.
    ///
    /// # Errors
    /// If the folder, a file or the thread cannot be created.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let files = Sources::built_in().files();
        for file in &files {
            fs::write(folder.path().join(&file.name), &file.text).context("cannot write content")?;
        }
        let ships = files.into_iter().find(|file| file.name == "ships.ron");
        let ships = ships.context("no ships.ron")?.text;
        let texts = [ships.replacen(BEFORE, AFTER, 1), ships];
        let (stop, stopped) = channel();
        let path = folder.path().to_owned();
        let change = move || {
            for text in texts.iter().cycle() {
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout)
                    || exchange(&path, text).is_err()
                {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("content".to_owned()).spawn(change)?;
        Ok(Self {
            folder,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Replaces the file by renaming, so that no reader sees a part of it.
fn exchange(folder: &Path, ships: &str) -> std::io::Result<()> {
    let next = folder.join("next");
    fs::write(&next, ships)?;
    fs::rename(next, folder.join("ships.ron"))
}

impl Drop for ChangingContent {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // The thread can fail only because the folder is gone.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_give_valid_content_with_different_hashes() {
        let mut sources = Sources::built_in();
        let before = sources.rules().unwrap().hash;
        sources.0[1] = sources.0[1].replacen(BEFORE, AFTER, 1);
        assert_ne!(sources.rules().unwrap().hash, before);
    }

    #[test]
    fn the_folder_has_valid_content_and_is_removed_on_drop() {
        let content = ChangingContent::start().unwrap();
        let folder = content.folder().to_owned();
        Sources::read(&folder).unwrap().rules().unwrap();
        drop(content);
        assert!(!folder.exists());
    }
}
