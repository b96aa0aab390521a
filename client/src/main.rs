//! The game client: Skirmish in a window.

use throng_client::game::{GameOptions, run};

fn main() -> std::process::ExitCode {
    let mut options = GameOptions::default();
    let mut words = std::env::args().skip(1);
    while let (Some(flag), value) = (words.next(), words.next()) {
        match flag.as_str() {
            "--server" => options.server = value,
            "--name" => options.name = value,
            "--settings" => options.settings = value.map(Into::into),
            "--screenshots" => options.screenshots = value.map(Into::into),
            _ => {}
        }
    }
    match run(options) {
        bevy::app::AppExit::Success => std::process::ExitCode::SUCCESS,
        bevy::app::AppExit::Error(code) => std::process::ExitCode::from(code.get()),
    }
}
