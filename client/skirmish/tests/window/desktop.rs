//! The test's environment: a screen, a server, a client, and simulated input. Dropping it ends all of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::picture::Picture;

/// Longest time that a program may take to start.
const START: Duration = Duration::from_secs(60);
/// Time between two checks of a condition.
const BEAT: Duration = Duration::from_millis(200);

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Desktop {
    // Dropped in this order: the client leaves before its screen and its server do.
    client: Running,
    _server: Running,
    _screen: Running,
    display: String,
    window: String,
    folder: TempDir,
    taken: usize,
}

impl Desktop {
    /// Starts a server, and a client that joins it.
    pub(crate) fn set_up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (screen, display) = open_screen();
        let client_program = Path::new(env!("CARGO_BIN_EXE_skirmish"));
        let server_program = client_program.with_file_name("throng-server");
        assert!(
            server_program.exists(),
            "{} is missing: cargo build -p throng-program",
            server_program.display()
        );
        let port = free_port();
        let (http, udp) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 1));
        let server = spawn(
            Command::new(server_program)
                .args(["--scene", "skirmish", "--http", &http, "--udp", &udp])
                .stdout(log(folder.path(), "server.log"))
                .stderr(log(folder.path(), "server.err")),
        );
        until("the server listens", START, || {
            TcpStream::connect(&http).is_ok().then_some(())
        });
        let client = spawn(
            Command::new(client_program)
                .args(["--server", &http, "--name", "Ada", "--credential", "none"])
                .arg("--settings")
                .arg(folder.path().join("client.ron"))
                .arg("--screenshots")
                .arg(folder.path().join("shots"))
                .env("DISPLAY", &display)
                .stdout(log(folder.path(), "client.log"))
                .stderr(log(folder.path(), "client.err")),
        );
        let mut desktop = Self {
            client,
            _server: server,
            _screen: screen,
            display,
            window: String::new(),
            folder,
            taken: 0,
        };
        desktop.window = until("the window opens", START, || {
            let found = desktop.xdotool(&["search", "--onlyvisible", "--name", "^Skirmish$"]);
            found.lines().next().map(str::to_owned)
        });
        // There is no window manager that would set the focus.
        desktop.xdotool(&["windowfocus", "--sync", &desktop.window]);
        desktop.xdotool(&["mousemove", "900", "240"]);
        desktop
    }

    fn xdotool(&self, words: &[&str]) -> String {
        let done = Command::new("xdotool")
            .args(words)
            .env("DISPLAY", &self.display)
            .output();
        String::from_utf8(done.expect("xdotool is installed").stdout).unwrap()
    }

    /// Presses and releases a key.
    pub(crate) fn press(&self, key: &str) {
        // Held long enough for a slow frame to see it.
        self.hold(&[key]);
        sleep(Duration::from_millis(150));
        self.release(&[key]);
    }

    /// Holds keys down together.
    pub(crate) fn hold(&self, keys: &[&str]) {
        keys.iter().for_each(|key| drop(self.xdotool(&["keydown", key])));
    }

    /// Releases keys that are held.
    pub(crate) fn release(&self, keys: &[&str]) {
        keys.iter().for_each(|key| drop(self.xdotool(&["keyup", key])));
    }

    /// Types a text with the keyboard.
    pub(crate) fn write(&self, words: &str) {
        self.xdotool(&["type", "--delay", "60", words]);
    }

    /// Clicks with the right button.
    pub(crate) fn click_right(&self) {
        self.xdotool(&["mousedown", "3"]);
        sleep(Duration::from_millis(300));
        self.xdotool(&["mouseup", "3"]);
    }

    /// Drags with the left button, at this position.
    pub(crate) fn drag(&self, [x, y]: [&str; 2]) {
        self.xdotool(&["mousemove", x, y]);
        sleep(Duration::from_millis(700));
        self.xdotool(&["mousedown", "1"]);
        sleep(Duration::from_millis(700));
        self.xdotool(&["mouseup", "1"]);
        self.xdotool(&["mousemove", "900", "600"]);
    }

    /// Returns the screenshots taken so far.
    pub(crate) fn pictures(&self) -> Vec<PathBuf> {
        let shots = fs::read_dir(self.folder.path().join("shots"))
            .into_iter()
            .flatten();
        shots.map(|shot| shot.unwrap().path()).collect()
    }

    /// Takes a screenshot with the client's own key. The game continues between two screenshots.
    fn take(&mut self) -> Option<Picture> {
        let path = self
            .folder
            .path()
            .join(format!("shots/skirmish-{:03}.png", self.taken + 1));
        self.press("F12");
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            // A file that is being written does not decode yet.
            if let Some(picture) = Picture::read(&path) {
                self.taken += 1;
                return Some(picture);
            }
            sleep(BEAT);
        }
        None
    }

    /// Returns the first picture that fulfils the condition; panics at the time limit, with the programs'
    /// output.
    pub(crate) fn picture_when(
        &mut self,
        what: &str,
        limit: Duration,
        shows: impl Fn(&Picture) -> bool,
    ) -> Picture {
        self.picture_while(what, limit, |_| (), shows)
    }

    /// Like `picture_when`, but repeats an action before each picture, because a busy server may miss a short action.
    pub(crate) fn picture_while(
        &mut self,
        what: &str,
        limit: Duration,
        tries: impl Fn(&Self),
        shows: impl Fn(&Picture) -> bool,
    ) -> Picture {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < limit {
            if let Some(ended) = self.client.0.try_wait().unwrap() {
                panic!("the client ended with {ended}, before {what}:\n{}", self.said());
            }
            tries(self);
            let Some(picture) = self.take() else { continue };
            if shows(&picture) {
                return picture;
            }
            last = Some(picture);
        }
        let kept = std::env::temp_dir().join("skirmish-failed.png");
        let copied = last.is_some()
            && fs::copy(
                self.folder
                    .path()
                    .join(format!("shots/skirmish-{:03}.png", self.taken)),
                &kept,
            )
            .is_ok();
        let shown = if copied {
            format!("; {} shows the last picture", kept.display())
        } else {
            String::new()
        };
        panic!("no picture shows {what} after {limit:?}{shown}\n{}", self.said());
    }

    fn said(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!(
                "-- {name}\n{}\n",
                lines[lines.len().saturating_sub(25)..].join("\n")
            )
        };
        ["client.log", "client.err", "server.log", "server.err"]
            .map(tail)
            .concat()
    }

    /// Quits by the settings' button at this position; the client must exit by itself with success.
    pub(crate) fn quit(&mut self, [x, y]: [&str; 2]) {
        self.press("Escape");
        sleep(Duration::from_millis(300));
        self.drag([x, y]);
        let ended = until("the client ends", START, || self.client.0.try_wait().unwrap());
        assert!(ended.success(), "the client ended with {ended}\n{}", self.said());
    }
}

fn spawn(command: &mut Command) -> Running {
    Running(
        command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}")),
    )
}

fn log(folder: &Path, name: &str) -> fs::File {
    fs::File::create(folder.join(name)).unwrap()
}

/// Starts a virtual screen and returns it with its name.
fn open_screen() -> (Running, String) {
    let mut screen = spawn(
        Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x720x24",
                "-nolisten",
                "tcp",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    );
    let mut number = String::new();
    let told = screen.0.stdout.take().unwrap();
    BufReader::new(told).read_line(&mut number).unwrap();
    (screen, format!(":{}", number.trim()))
}

/// Returns a free TCP port whose next UDP port is free too.
fn free_port() -> u16 {
    (0..50)
        .find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").ok()?;
            let port = listener.local_addr().ok()?.port();
            UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
            Some(port)
        })
        .expect("there are free ports")
}

fn until<T>(what: &str, limit: Duration, mut happened: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(BEAT);
    }
}
