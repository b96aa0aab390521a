//! `throng-server`: serves Skirmish or a benchmark scene; `throng-server replay FILE` runs a recording instead.

mod scene;
#[cfg(test)]
mod tests;

use bevy_app::AppExit;
use throng_server::process::serve_game;

fn main() -> AppExit {
    serve_game::<scene::SceneSettings>()
}
