//! `throng-server`: serves Skirmish or a benchmark scene; `throng-server replay FILE` runs a recording instead.

#[cfg(test)]
mod tests;
mod world;

use bevy_app::AppExit;
use throng_server::process::serve_game;

fn main() -> AppExit {
    serve_game::<world::World>()
}
