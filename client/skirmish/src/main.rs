//! The game client: Skirmish in a window, or controlled by a script without one.

fn main() -> std::process::ExitCode {
    skirmish_client::program::main()
}
