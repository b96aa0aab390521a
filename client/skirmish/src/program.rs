//! The program `skirmish`: parses its flags and starts a headless run or the window.
//!
//! Exit codes: 0 on success, 1 when an expectation of the script was not met, 2 for invalid flags or an invalid
//! script, 3 when the server could not be reached or the connection was lost for good.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, Parser};

use crate::credential::CredentialChoice;
use crate::detail_choice::DetailChoice;
use crate::headless::{self, HeadlessOptions};

/// Flies Skirmish on a Throng server.
#[derive(Parser, Debug, Clone)]
#[command(name = "skirmish", version, after_help = VARIABLES)]
struct ClientFlags {
    /// Address of the server: HOST:PORT, or a URL (default: 127.0.0.1:8080, in the window the one of the last time)
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Name of the player (default: pilot, in the window the one of the last time)
    #[arg(long)]
    name: Option<String>,
    /// File of the credential by which a client that was killed comes back to its ship, or `none`. Of two clients with
    /// one file, the second replaces the first (default: one for each server and name in the user's state folder, none
    /// for a script)
    #[arg(long, value_name = "FILE")]
    credential: Option<CredentialChoice>,
    /// Opens no window; needs a script
    #[arg(long, requires = "script")]
    headless: bool,
    /// Script of commands, one a line; docs/client.md lists them
    #[arg(long, value_name = "FILE", requires = "headless")]
    script: Option<PathBuf>,
    /// Writes the report as JSON; `-` is the standard output
    #[arg(long, value_name = "FILE", requires = "headless")]
    json: Option<PathBuf>,
    #[command(flatten)]
    window: WindowFlags,
}

/// The flags of the window. A program without a window knows them too, and says that it has none.
#[derive(Args, Debug, Clone)]
#[group(skip)]
struct WindowFlags {
    /// Level of graphics detail (default: the one in the settings)
    #[arg(long, value_enum, conflicts_with = "headless")]
    detail: Option<DetailChoice>,
    /// File of the settings (default: client.ron in the user's configuration folder)
    #[arg(long, value_name = "FILE", conflicts_with = "headless")]
    settings: Option<PathBuf>,
    /// Folder of the content, whose colors.ron is watched (default: assets/skirmish in the current folder)
    #[arg(long, value_name = "FOLDER", conflicts_with = "headless")]
    content: Option<PathBuf>,
    /// Folder for screenshots (default: screenshots in the current folder)
    #[arg(long, value_name = "FOLDER", conflicts_with = "headless")]
    screenshots: Option<PathBuf>,
}

/// The environment variables that the program reads.
const VARIABLES: &str = "Environment variables: XDG_STATE_HOME is the folder of the credentials (default: .local/state in \
                         HOME), XDG_CONFIG_HOME that of the settings (default: .config in HOME); on macOS both are in \
                         HOME, on Windows in LOCALAPPDATA and APPDATA. RUST_LOG is what the window logs to standard \
                         error (RUST_LOG=warn,skirmish_client=debug).";

/// The server's address when the flags have none.
const DEFAULT_SERVER: &str = "127.0.0.1:8080";

/// Returns the command line of the program, for its documentation.
#[must_use]
pub fn command() -> Command {
    ClientFlags::command()
}

/// Parses the flags and runs the client.
pub fn main() -> ExitCode {
    let flags = match ClientFlags::try_parse() {
        Ok(flags) => flags,
        Err(usage) => return print_usage(&usage),
    };
    let Some(script) = flags.script.clone() else {
        return windowed(flags);
    };
    let server = flags.server.unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let name = flags.name.unwrap_or_else(|| "pilot".to_owned());
    let credential = flags.credential.unwrap_or(CredentialChoice::None);
    let options = HeadlessOptions {
        credential_file: credential.file(&server, &name),
        server,
        name,
        script,
        json: flags.json,
    };
    match headless::run(&options, &mut io::stdout().lock()) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            // A closed error output cannot report its own failure.
            let _ = writeln!(io::stderr(), "skirmish: {error}");
            error.exit_code()
        }
    }
}

/// Prints the help, the version, or the reason why the flags are refused.
fn print_usage(usage: &clap::Error) -> ExitCode {
    let printed = usage.print().and_then(|()| io::stdout().flush());
    match printed {
        // The reader of a closed pipe has seen enough.
        Err(error) if !usage.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "skirmish: cannot write to standard output: {error}");
            ExitCode::from(2)
        }
        _ => ExitCode::from(u8::from(usage.use_stderr()) * 2),
    }
}

#[cfg(feature = "window")]
fn windowed(flags: ClientFlags) -> ExitCode {
    let exit = crate::window::run(crate::window::WindowOptions {
        server: flags.server,
        name: flags.name,
        credential: flags.credential.unwrap_or(CredentialChoice::Usual),
        detail: flags.window.detail,
        settings: flags.window.settings,
        content: flags.window.content,
        screenshots: flags.window.screenshots,
    });
    match exit {
        bevy::app::AppExit::Success => ExitCode::SUCCESS,
        bevy::app::AppExit::Error(code) => ExitCode::from(code.get()),
    }
}

#[cfg(not(feature = "window"))]
fn windowed(_: ClientFlags) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "skirmish: built without a window; fly by a script with --headless --script FILE"
    );
    ExitCode::from(2)
}
