//! Takes screenshots when a key is pressed.

use std::path::PathBuf;

use bevy::prelude::*;
use bevy::render::view::screenshot::{Screenshot, save_to_disk};

use super::keys::{Action, ActionInput};

pub(crate) struct ScreenshotPlugin {
    /// The folder for screenshots; their file names count from 1.
    pub(crate) folder: PathBuf,
}

#[derive(Resource)]
struct Folder(PathBuf);

impl Plugin for ScreenshotPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Folder(self.folder.clone()))
            .add_systems(Update, take_screenshot);
    }
}

fn take_screenshot(
    controls: ActionInput,
    folder: Res<Folder>,
    mut number: Local<u32>,
    mut commands: Commands,
) {
    if !controls.just_pressed_anywhere(Action::Screenshot) {
        return;
    }
    if let Err(error) = std::fs::create_dir_all(&folder.0) {
        warn!("no screenshot: {}: {error}", folder.0.display());
        return;
    }
    // An older screenshot is never overwritten.
    let path = loop {
        *number += 1;
        let path = folder.0.join(format!("skirmish-{:03}.png", *number));
        if !path.exists() {
            break path;
        }
    };
    commands
        .spawn(Screenshot::primary_window())
        .observe(save_to_disk(path));
}
