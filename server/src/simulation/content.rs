//! A game's content as texts: what a recording holds of it, and what a replay gives back.
//!
//! Owns no content and reads no file: the game does, and says here which texts its rules came from. Guarantees
//! nothing about the texts; a recording may be anybody's, so the game checks them as it checks its files.

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
    /// What it says.
    pub text: String,
}

/// Where a game's content comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContentSource {
    /// What the binary carries.
    #[default]
    BuiltIn,
    /// The files of a folder, at the start and whenever they change.
    Folder(PathBuf),
    /// These texts: a recording's.
    Texts(Vec<ContentFile>),
}

impl ContentSource {
    /// Returns where the content comes from with which a game is built into `app`: in a replay from the recording,
    /// else from `folder`, else from the binary.
    #[must_use]
    pub fn choose(app: &App, folder: Option<PathBuf>) -> Self {
        match app.world().get_resource::<ContentPlayback>() {
            Some(ContentPlayback(recorded)) => recorded.clone().map_or(Self::BuiltIn, Self::Texts),
            None => folder.map_or(Self::BuiltIn, Self::Folder),
        }
    }
}

/// The content that holds. A game with content inserts this when it is built and replaces it whenever it
/// exchanges the content, so that a recording has it.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentFiles(pub Arc<Vec<ContentFile>>);

/// In a replay: the content that the game is built with, and then what it exchanges in the next tick, if any. Where
/// the resource is, the game takes nothing from elsewhere.
#[derive(Resource, Clone, Debug, Default)]
pub struct ContentPlayback(pub Option<Vec<ContentFile>>);
