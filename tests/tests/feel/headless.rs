//! A script flies the real client on a real server.

use std::{
    fs,
    process::{Command, Output},
};

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
expect heard > 0
quit
";

fn fly(server: &ServerProcess, script: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flight.txt");
    fs::write(&file, script).unwrap();
    let mut command = Command::new(client_binary().unwrap());
    command
        .args([
            "--server",
            &server.http().to_string(),
            "--name",
            "Ada",
            "--headless",
            "--script",
        ])
        .arg(&file)
        .args(more);
    command.output().unwrap()
}

#[test]
fn a_script_flies_and_reports() {
    let flags = ["--scene", "skirmish", "--entities", "7"];
    let server = ServerProcess::start(&flags).unwrap();
    let output = fly(&server, FLIGHT, &["--json", "-"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let report = &printed[printed.find('{').unwrap()..];
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
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

#[test]
fn what_cannot_be_flown_is_said_in_words() {
    // Another scene speaks another protocol.
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
