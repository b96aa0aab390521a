//! A game's content as texts: what a recording stores of it, and what a replay restores.
//!
//! Owns no content and reads no file: the game does, and publishes here the texts that its rules came from.
//! Guarantees nothing about the texts. A recording may come from any source, so the game validates its texts
//! as it validates its files.

use std::path::PathBuf;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

/// One file of a game's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFile {
    /// The file's name, without a folder.
    pub name: String,
    /// The text of the file.
    pub text: String,
}

/// The source of a game's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContentSource {
    /// The content that is compiled into the binary.
    #[default]
    BuiltIn,
    /// The files of a folder, read at the start and whenever they change.
    Folder(PathBuf),
    /// These texts, from a recording.
    Texts(Vec<ContentFile>),
}

impl ContentSource {
    /// Returns the source of the content for a game that is built into `app`: in a replay the recording, else
    /// `folder`, else the binary.
    #[must_use]
    pub fn choose(app: &App, folder: Option<PathBuf>) -> Self {
        match app.world().get_resource::<ContentPlayback>() {
            Some(ContentPlayback(recorded)) => recorded.clone().map_or(Self::BuiltIn, Self::Texts),
            None => folder.map_or(Self::BuiltIn, Self::Folder),
        }
    }
}

/// The files of the content that the game uses now. A game with content inserts this when it is built, and
/// replaces it whenever it exchanges the content, so that a recording can store it.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentFiles(pub Arc<Vec<ContentFile>>);

/// In a replay: the content that the game is built with, and then the content that it exchanges in the next
/// tick, if any. While the resource exists, the game uses no other source.
#[derive(Resource, Clone, Debug, Default)]
pub struct ContentPlayback(pub Option<Vec<ContentFile>>);
