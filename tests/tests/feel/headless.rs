//! A script controls the real client on a real server.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use throng_tests::process::{ServerProcess, client_binary};

const FLIGHT: &str = "\
wait flying
thrust 100
turn 30
fire on
wait 2s
expect moved > 5
expect error < 0.5
say hello out there
line latency 75ms jitter 10ms loss 5%
wait 3s
expect ping > 100
expect error < 2
expect chat > 0
quit
";

/// A client process that runs a script. It ends by itself, at the latest when its script times out.
struct Pilot {
    child: Child,
    _folder: TempDir,
}

impl Pilot {
    fn start(server: &ServerProcess, name: &str, script: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flight.txt");
        fs::write(&file, script).unwrap();
        let mut command = Command::new(client_binary().unwrap());
        command
            .args(["--server", &server.http().to_string(), "--name", name])
            .args(["--headless", "--script"])
            .arg(&file)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            child: command.spawn().unwrap(),
            _folder: folder,
        }
    }

    fn end(self) -> Output {
        self.child.wait_with_output().unwrap()
    }
}

fn fly(server: &ServerProcess, script: &str, more: &[&str]) -> Output {
    Pilot::start(server, "Ada", script, more).end()
}

/// Returns the report at the end of a client's output.
fn report(printed: &str) -> serde_json::Value {
    let json = printed
        .find('{')
        .unwrap_or_else(|| panic!("no report: {printed}"));
    serde_json::from_str(&printed[json..]).unwrap()
}

#[test]
fn a_script_flies_and_reports() {
    let flags = ["--scene", "skirmish", "--entities", "7"];
    let server = ServerProcess::start(&flags).unwrap();
    let output = fly(&server, FLIGHT, &["--json", "-"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let report = report(&printed);
    let (joined, flying) = (report["joined_ms"].as_f64(), report["flying_ms"].as_f64());
    assert!(joined.is_some() && joined <= flying, "{printed}");
    assert_eq!(report["met"], 6, "{printed}");
    let compared = report["predictions"][0].as_u64().unwrap();
    assert!(compared > 40, "{printed}");

    let output = fly(&server, "wait flying\nexpect moved > 1000\n", &[]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("flight.txt:2: expected moved > 1000: it is "),
        "{printed}"
    );
    server.stop().unwrap();
}

/// Waits for a message and replies to Bob.
const LISTENER: &str = "\
wait flying 60s
wait chat 1 60s
say /tell Bob I hear you
wait chat 2 60s
expect chat > 1
";

/// Sends direct messages and a message to the team.
const SPEAKER: &str = "\
wait flying 60s
say /tell Nobody are you there?
say /tell ada are you there?
wait chat 2 60s
say /team on me
wait chat 3 60s
expect chat > 2
expect chat < 4
";

#[test]
fn scripts_send_direct_messages_by_name() {
    let server = ServerProcess::start(&["--scene", "skirmish", "--entities", "7"]).unwrap();
    let ada = Pilot::start(&server, "Ada", LISTENER, &["--json", "-"]);
    let mut polls = 0;
    while server.stats().unwrap().clients == 0 {
        polls += 1;
        assert!(polls < 600, "Ada does not join:\n{}", server.output().unwrap());
        thread::sleep(Duration::from_millis(50));
    }
    let bob = Pilot::start(&server, "Bob", SPEAKER, &["--json", "-"]).end();
    let ada = ada.end();
    for (name, output) in [("Ada", ada), ("Bob", bob)] {
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {printed}");
        let report = report(&printed);
        let chat: Vec<&str> = report["chat"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        assert!(chat[0].starts_with(&format!("You fly as {name}")), "{chat:?}");
        let messages: Vec<&str> = chat
            .iter()
            .copied()
            .filter(|line| line.starts_with('['))
            .collect();
        assert_eq!(
            messages[..2],
            ["[Bob to Ada] are you there?", "[Ada to Bob] I hear you"],
            "{name}: {chat:?}"
        );
        if name == "Bob" {
            assert_eq!(messages[2..], ["[team] Bob: on me"], "{chat:?}");
            assert!(chat.contains(&"Nobody is not online."), "{chat:?}");
        }
    }
    server.stop().unwrap();
}

#[test]
fn invalid_scripts_and_other_protocols_are_reported_in_words() {
    // Another scene has another protocol.
    let server = ServerProcess::start(&["--scene", "static", "--entities", "10"]).unwrap();
    let output = fly(&server, "wait 1s\nleap\n", &[]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains("flight.txt:2: `leap` is no command"),
        "{printed}"
    );

    let output = fly(&server, "wait flying\n", &[]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(
        printed.contains("this client speaks") && printed.contains("has to be updated"),
        "{printed}"
    );
    server.stop().unwrap();
}
