//! Steps of the system's clock under a running server: tokens are neither older nor younger for them.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, UNIX_EPOCH},
};

use bevy_app::App;
use throng_client::join::{Joined, Joiner};
use throng_scenes::protocol::BenchProtocol;
use throng_shared::protocol::{registry::Protocol, version::ProtocolVersion};
use throng_tests::process::ServerProcess;

use super::{
    PATIENCE, counters,
    peers::{Peer, request},
};

/// Time after a step within which every part of the server has read the clock.
const NOTICED: Duration = Duration::from_millis(1_500);

/// A library that adds the seconds in the file `CLOCK_STEP` to each reading of the wall clock in the process that
/// loads it.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static volatile int64_t *step;

__attribute__((constructor)) static void map_step(void) {
    const char *name = getenv("CLOCK_STEP");
    int file = name ? open(name, O_RDONLY) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) step = mapped;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, time);
    if (result == 0 && id == CLOCK_REALTIME && step) time->tv_sec += *step;
    return result;
}
"#;

/// A server whose wall clock the test sets.
struct SteppedServer {
    server: ServerProcess,
    step: fs::File,
    version: ProtocolVersion,
    _folder: tempfile::TempDir,
}

impl SteppedServer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("step.c"), folder.path().join("step.so"));
        fs::write(&source, LIBRARY).unwrap();
        let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-shared", "-fPIC", "-o"])
            .args([library.as_path(), &source, Path::new("-ldl")])
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        let path = folder.path().join("step");
        fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let server = ServerProcess::start_with(&["--scene", "idle", "--workers", "1"], |command| {
            command.env("LD_PRELOAD", &library).env("CLOCK_STEP", &path);
        });
        let mut app = App::empty();
        app.add_plugins(BenchProtocol);
        Self {
            server: server.unwrap(),
            step: fs::File::options().write(true).open(&path).unwrap(),
            version: app.world().resource::<Protocol>().version(),
            _folder: folder,
        }
    }

    /// Sets the server's wall clock this many seconds ahead of the machine's.
    fn step_to(&self, seconds: i64) {
        self.step.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
        sleep(NOTICED);
        // The server reports its wall clock with the time of its newest tick.
        let published = self.server.stats().unwrap().published;
        let (_, at_us) = published.last().unwrap();
        let now_us = UNIX_EPOCH.elapsed().unwrap().as_micros() as i64;
        let ahead_s = (*at_us as i64 - now_us) as f64 / 1e6;
        assert!(
            (ahead_s - seconds as f64).abs() < 5.0,
            "the clock is {ahead_s} s ahead"
        );
    }

    fn join(&self, name: &str) -> Joined {
        let joiner = Joiner::new(&self.server.http().to_string(), PATIENCE);
        joiner.join(name, &self.version, None).unwrap()
    }

    fn connect(&self, joined: &Joined) -> Peer {
        let mut peer = Peer::connect(joined);
        peer.greet(self.version);
        peer
    }

    fn counted(&self, name: &str) -> u64 {
        counters(&self.server.stats().unwrap())[name]
    }
}

#[test]
fn players_join_after_the_clock_was_set_forward_or_back() {
    let server = SteppedServer::start();
    let early = server.join("early");
    for seconds in [31, 86_400 * 365, -3_600] {
        server.step_to(seconds);
        server.connect(&server.join(&format!("after {seconds}"))).leave();
    }
    // A token from before the first step is as old as the time that has passed.
    server.connect(&early).leave();
    assert_eq!(server.counted("token_expired"), 0);
    let (status, output) = server.server.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{output}");
}

#[test]
fn a_spent_token_stays_spent_when_the_clock_is_set_forward_and_back() {
    let server = SteppedServer::start();
    let joined = server.join("first");
    let spent = request(&joined.token);
    let mut peer = server.connect(&joined);
    // By a wall clock that is 27 s ahead the first token has expired soon, and the second one has not.
    sleep(Duration::from_secs(4));
    let second = server.join("second");
    server.step_to(27);
    let _other = server.connect(&second);
    server.step_to(0);

    peer.leave();
    sleep(Duration::from_millis(500));
    peer.count_replies();
    let before = peer.exchange.replied;
    for _ in 0..20 {
        peer.send_raw(&spent);
        sleep(Duration::from_millis(50));
    }
    peer.count_replies();
    assert_eq!(peer.exchange.replied, before, "the spent token got a reply");
    assert_eq!(server.server.stats().unwrap().clients, 1);
    assert!(server.counted("token_spent") > 0);
}
