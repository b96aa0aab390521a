//! The server as a process, on real sockets: it starts, serves with both kinds of I/O, reports errors, and stops on
//! SIGTERM.

use std::{
    fs::{self, File},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::sleep,
    time::Duration,
};

use skirmish_server::content::Sources;
use throng_tests::process::{ServerProcess, free_ports, server_binary};

/// The exit code for a configuration that cannot work.
const REFUSED: i32 = 2;
/// The most time that a running server may take to detect a changed file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two checks of the server's output.
const POLL: Duration = Duration::from_millis(50);

/// Waits for a server that must refuse its configuration. Returns its output.
fn refusal(mut server: ServerProcess) -> String {
    let status = server.wait().unwrap();
    let output = server.output().unwrap();
    assert_eq!(status.code(), Some(REFUSED), "{output}");
    assert!(!output.contains("panicked"), "{output}");
    output
}

fn refusal_of(flags: &[&str]) -> String {
    let (http, udp) = free_ports().unwrap();
    refusal(ServerProcess::spawn(http, udp, flags).unwrap())
}

#[test]
fn starts_and_stops_with_every_kind_of_io() {
    for flags in [
        &["--scene", "crowd", "--io", "batched", "--workers", "2"][..],
        &["--scene", "crowd", "--io", "portable", "--workers", "2"],
        &["--scene", "crowd", "--workers", "0"],
        &["--scene", "crowd", "--workers", "2", "--udp-shared"],
        &["--scene", "static", "--entities", "5000", "--tick-rate", "60"],
        &["--scene", "hotspot", "--entities", "300"],
        &["--scene", "crowd", "--simulations", "4"],
        &["--scene", "crowd", "--simulations", "2", "--workers", "0"],
        &["--simulations", "2", "--scene", "skirmish", "--entities", "700"],
        &["--simulations", "3", "--scene", "static", "--entities", "5000"],
        &["--simulations", "8", "--scene", "idle"],
    ] {
        let server = ServerProcess::start(flags).unwrap();
        let (status, output) = server.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{flags:?}:\n{output}");
        assert!(!output.contains("panicked"), "{flags:?}:\n{output}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let (http, udp) = free_ports().unwrap();
    let taken = TcpListener::bind(http).unwrap();
    let output = refusal(ServerProcess::spawn(http, udp, &[]).unwrap());
    assert!(
        output.contains(&http.port().to_string()) && output.contains("--http"),
        "{output}"
    );
    drop(taken);

    let (http, udp) = free_ports().unwrap();
    let taken = UdpSocket::bind(udp).unwrap();
    let output = refusal(ServerProcess::spawn(http, udp, &[]).unwrap());
    assert!(
        output.contains(&udp.port().to_string()) && output.contains("--udp"),
        "{output}"
    );
    drop(taken);
}

#[test]
fn a_second_server_on_a_shared_port_refuses_to_start() {
    let shared = ["--scene", "crowd", "--workers", "3", "--udp-shared"];
    let first = ServerProcess::start(&shared).unwrap();
    let udp = first.udp();
    for flags in [
        &shared[..],
        &["--scene", "crowd", "--workers", "1", "--udp-shared"],
        &["--scene", "crowd", "--workers", "1"],
    ] {
        let (http, _) = free_ports().unwrap();
        let output = refusal(ServerProcess::spawn(http, udp, flags).unwrap());
        assert!(
            output.contains(&udp.to_string()) && output.contains("is in use") && output.contains("--udp"),
            "{flags:?}: {output}"
        );
    }
    let everywhere = ([0, 0, 0, 0], udp.port()).into();
    let (http, _) = free_ports().unwrap();
    let flags = [&shared[..], &["--advertise", "127.0.0.1"]].concat();
    let output = refusal(ServerProcess::spawn(http, everywhere, &flags).unwrap());
    assert!(output.contains("is in use"), "{output}");
    // The port is free as soon as the first server is gone, however it ended.
    first.signal("KILL").unwrap();
    let mut first = first;
    first.wait().unwrap();
    let (http, _) = free_ports().unwrap();
    let next = ServerProcess::spawn(http, udp, &shared).unwrap();
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if ureq::get(format!("http://{http}/v1/health")).call().is_ok() {
            return;
        }
        sleep(POLL);
    }
    panic!("no server on the freed port:\n{}", next.output().unwrap());
}

#[test]
fn a_bad_value_is_named_with_its_range() {
    let cases = [
        (&["--tick-rate", "0"][..], &["--tick-rate", "1 to 128"][..]),
        (&["--simulations", "9"], &["--simulations", "9", "1 to 8"]),
        (
            &["--simulations", "2", "--record", "played.throng"],
            &["--simulations", "--record"],
        ),
        (&["--workers", "many"], &["--workers", "many", "0 to 64"]),
        (&["--scene", "nowhere"], &["--scene", "nowhere", "crowd"]),
        (&["--known-max", "5000"], &["--known-max", "5000", "1023"]),
        (&["--tick-rats", "20"], &["--tick-rats"]),
        (&["--config", "/nowhere/throng.toml"], &["/nowhere/throng.toml"]),
    ];
    for (flags, words) in cases {
        let output = refusal_of(flags);
        for word in words {
            assert!(
                output.contains(word),
                "{flags:?} does not mention {word}:\n{output}"
            );
        }
    }
}

#[test]
fn plain_http_off_loopback_is_refused() {
    let (http, udp) = free_ports().unwrap();
    let everywhere = format!("0.0.0.0:{}", http.port()).parse().unwrap();
    let output = refusal(ServerProcess::spawn(everywhere, udp, &[]).unwrap());
    assert!(
        output.contains("tls") && output.contains("behind-tls-proxy"),
        "{output}"
    );
}

fn replay(file: &Path) -> Output {
    let mut command = Command::new(server_binary().unwrap());
    command.arg("replay").arg(file).output().unwrap()
}

#[test]
fn a_recording_is_replayed_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.throng");
    let flags = [
        "--scene",
        "crowd",
        "--record",
        file.to_str().unwrap(),
        "--entities",
        "200",
    ];
    let server = ServerProcess::start(&flags).unwrap();
    let bots = Command::new(env!("CARGO_BIN_EXE_swarm"))
        .args([
            "--server",
            &server.http().to_string(),
            "--clients",
            "20",
            "--seconds",
            "2",
        ])
        .output()
        .unwrap();
    assert!(bots.status.success(), "{bots:?}");
    let (status, output) = server.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(!output.contains("recording ends"), "{output}");

    let replayed = replay(&file);
    let printed = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(printed.contains("came out as recorded"), "{printed}");
    let args = ["replay", file.to_str().unwrap()];
    assert_eq!(printed_to_full_disk(&args).status.code(), Some(1));

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let damaged = replay(&file);
    let printed = String::from_utf8_lossy(&damaged.stderr);
    assert_eq!(damaged.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("at byte") && printed.contains("damaged"),
        "{printed}"
    );
}

#[test]
fn content_that_is_exchanged_while_it_is_recorded_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let files = Sources::built_in().files();
    for file in &files {
        fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let recording = folder.path().join("played.throng");
    let server = ServerProcess::start(&[
        "--scene",
        "skirmish",
        "--entities",
        "300",
        "--content",
        folder.path().to_str().unwrap(),
        "--record",
        recording.to_str().unwrap(),
    ])
    .unwrap();
    let drones = files.iter().find(|file| file.name == "drones.ron").unwrap();
    let faster = drones.text.replace("thrust: 26.0", "thrust: 40.0");
    assert_ne!(faster, drones.text);
    fs::write(folder.path().join("drones.ron"), faster).unwrap();
    let is_exchanged = || server.output().unwrap().contains("content exchanged");
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if is_exchanged() {
            break;
        }
        sleep(POLL);
    }
    assert!(is_exchanged(), "the content is not exchanged");
    let (status, output) = server.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
    // The replay does not read the folder.
    fs::write(folder.path().join("drones.ron"), "nonsense").unwrap();
    let replayed = replay(&recording);
    let printed = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{replayed:?}");
    assert!(printed.contains("an exchange of content"), "{printed}");
}

/// Returns the path of a file of the TLS identity for tests.
fn identity(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/http/test_identity");
    folder.join(file)
}

/// Runs the server's program with a standard output that takes nothing.
fn printed_to_full_disk(args: &[&str]) -> Output {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(server_binary().unwrap());
    let output = command.args(args).stdout(full).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        printed.starts_with("error: cannot write to standard output: "),
        "{args:?}: {output:?}"
    );
    output
}

#[test]
fn help_that_cannot_be_written_is_an_error_unless_its_reader_has_left() {
    for flag in ["--help", "--version"] {
        assert_eq!(printed_to_full_disk(&[flag]).status.code(), Some(1));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(server_binary().unwrap());
        let output = command.arg(flag).stdout(writer).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_file_that_cannot_be_recorded_to_is_named() {
    let output = refusal_of(&["--record", "/nowhere/at/all"]);
    assert!(output.contains("--record /nowhere/at/all"), "{output}");
    let output = refusal_of(&["--record", "/dev/null"]);
    assert!(
        output.contains("--record /dev/null: it exists and is no regular file"),
        "{output}"
    );
}

#[test]
fn an_old_recording_survives_every_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.throng");
    let name = file.to_str().unwrap();
    fs::write(&file, "an old recording").unwrap();
    let output = refusal_of(&["--record", name]);
    assert!(
        output.contains(&format!(
            "--record {name}: it exists, and a recording replaces no file"
        )),
        "{output}"
    );
    let (http, udp) = free_ports().unwrap();
    let taken = TcpListener::bind(http).unwrap();
    refusal(ServerProcess::spawn(http, udp, &["--record", name]).unwrap());
    assert_eq!(fs::read(&file).unwrap(), b"an old recording");

    // A start that fails leaves no file behind that would refuse the next one.
    fs::remove_file(&file).unwrap();
    refusal(ServerProcess::spawn(http, udp, &["--record", name]).unwrap());
    assert!(!file.exists());
    drop(taken);
    let idle = ["--scene", "idle", "--record", name];
    let (status, output) = ServerProcess::start(&idle).unwrap().stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
    let recorded = fs::read(&file).unwrap();
    assert!(!recorded.is_empty());
    refusal_of(&idle);
    assert_eq!(fs::read(&file).unwrap(), recorded);
}

#[test]
fn files_that_never_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let large = folder.path().join("large");
    File::create(&large).unwrap().set_len(10 << 30).unwrap();
    let [pipe, large] = [&pipe, &large].map(|path| path.to_str().unwrap());
    for (path, reason) in [
        (pipe, "it is a pipe, and must be a regular file"),
        ("/dev/zero", "it is a device, and must be a regular file"),
        (large, "it is larger than 1 MiB, which is the limit"),
    ] {
        let cert = identity("cert.pem");
        let with_key = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", path];
        for flags in [
            &["--config", path][..],
            &["--tls-cert", path, "--tls-key", path],
            &with_key,
        ] {
            let output = refusal_of(flags);
            assert!(
                output.contains(path) && output.contains(reason),
                "{flags:?}: {output}"
            );
        }
    }
    let replayed = replay(Path::new(pipe));
    let printed = String::from_utf8_lossy(&replayed.stderr);
    assert_eq!(replayed.status.code(), Some(1));
    assert!(printed.contains("it is a pipe"), "{printed}");
}

#[test]
fn broadcast_addresses_are_refused() {
    let (http, _) = free_ports().unwrap();
    let udp = "127.255.255.255:5000".parse().unwrap();
    let output = refusal(ServerProcess::spawn(http, udp, &[]).unwrap());
    assert!(
        output.contains("127.255.255.255:5000 is the broadcast address"),
        "{output}"
    );
    let output = refusal_of(&["--advertise", "127.255.255.255"]);
    assert!(output.contains("is the broadcast address"), "{output}");
}

#[test]
fn a_filter_of_the_log_that_matches_nothing_is_said() {
    for (filter, said) in [
        ("infoo", Some("`infoo` (did you mean `info`?)")),
        (
            "error,net=debug",
            Some("`net` (did you mean `throng_server::net`?)"),
        ),
        (
            "off,skirmish_sever=trace",
            Some("`skirmish_sever` (did you mean `skirmish_server`?)"),
        ),
        ("throng_server::net=debug,skirmish_server=off", None),
        ("throng_server::scene=debug,skirmish_server::content=info", None),
    ] {
        let flags = ["--entities", "10", "--log", filter];
        let (status, output) = ServerProcess::start(&flags).unwrap().stop().unwrap();
        assert_eq!(status.code(), Some(0), "{output}");
        match said {
            Some(said) => assert!(output.contains(said), "{filter}: {output}"),
            None => assert!(!output.contains("no module"), "{filter}: {output}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_private_key_that_every_user_can_read_is_said_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| {
        let path = folder.path().join(name);
        fs::copy(identity(name), &path).unwrap();
        path
    });
    let [cert, key] = [&cert, &key].map(|path| path.to_str().unwrap());
    for (mode, is_said) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
        let (http, udp) = free_ports().unwrap();
        let flags = ["--scene", "idle", "--tls-cert", cert, "--tls-key", key];
        let server = ServerProcess::spawn(http, udp, &flags).unwrap();
        // The banner is shown last.
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            if server.output().unwrap().contains("ctrl-c") {
                break;
            }
            sleep(POLL);
        }
        let (_, output) = server.stop().unwrap();
        let said = format!("(mode 0644): chmod 600 {key}");
        assert_eq!(output.contains(&said), is_said, "{mode:o}: {output}");
    }
}
