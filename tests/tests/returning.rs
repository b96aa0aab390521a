//! Real processes that are killed and come back: the client with its credential file.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use throng_tests::process::{ServerProcess, client_binary};

const FLIES_LONG: &str = "wait flying 30s\nwait 60s\n";
const FLIES_SHORTLY: &str = "wait flying 30s\nwait 1s\nquit\n";

fn pilot(server: &ServerProcess, folder: &Path, script: &str, credential: &str) -> Child {
    let file = folder.join(format!("{credential}-{}.txt", script.len()));
    fs::write(&file, script).unwrap();
    let credential = match credential {
        "none" => "none".into(),
        name => folder.join(name).into_os_string(),
    };
    Command::new(client_binary().unwrap())
        .args(["--server", &server.http().to_string(), "--name", "Ada"])
        .args(["--headless", "--json", "-", "--script"])
        .arg(&file)
        .arg("--credential")
        .arg(credential)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until a script has ended. Returns the lines that its pilot was sent.
fn chat_of(pilot: Child) -> Vec<String> {
    let output = pilot.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let json = printed
        .find('{')
        .unwrap_or_else(|| panic!("no report: {printed}"));
    let report: serde_json::Value = serde_json::from_str(&printed[json..]).unwrap();
    let chat = report["chat"].as_array().unwrap().iter();
    chat.map(|line| line.as_str().unwrap().to_owned()).collect()
}

fn wait_until(server: &ServerProcess, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("never {what}:\n{}", server.output().unwrap());
}

#[test]
fn a_pilot_that_is_killed_returns_to_its_ship_with_its_credential() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(&["--scene", "skirmish", "--entities", "7"]).unwrap();
    let players = || server.stats().unwrap().simulation["players"];
    let mut first = pilot(&server, folder.path(), FLIES_LONG, "kept");
    wait_until(&server, "flying", || {
        players() == 1 && folder.path().join("kept").exists()
    });
    // SIGKILL: the server is told nothing.
    first.kill().unwrap();
    first.wait().unwrap();
    let chat = chat_of(pilot(&server, folder.path(), FLIES_SHORTLY, "kept"));
    assert!(chat[0].starts_with("You fly as Ada, "), "{chat:?}");

    // Without the credential another pilot joins, under another name, because the first one's ship is still there.
    let mut second = pilot(&server, folder.path(), FLIES_LONG, "kept");
    wait_until(&server, "flying again", || {
        players() == 1 && server.stats().unwrap().clients == 1
    });
    second.kill().unwrap();
    second.wait().unwrap();
    let chat = chat_of(pilot(&server, folder.path(), FLIES_SHORTLY, "none"));
    assert!(chat[0].starts_with("You fly as Ada-2, "), "{chat:?}");

    // A file that is no credential: said, and left as it is.
    fs::write(folder.path().join("foreign"), "my diary\n").unwrap();
    let chat = chat_of(pilot(&server, folder.path(), FLIES_SHORTLY, "foreign"));
    assert!(chat[0].contains("is not a credential file"), "{chat:?}");
    assert_eq!(
        fs::read_to_string(folder.path().join("foreign")).unwrap(),
        "my diary\n"
    );
    server.stop().unwrap();
}
