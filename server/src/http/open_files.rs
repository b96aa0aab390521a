//! The number of files that the process may have open, to which every connection counts.

/// Files beside the connections of the HTTP API: sockets of workers, logs, recordings, what is read from `/proc`.
#[cfg(unix)]
const OTHER_FILES: u64 = 256;

/// Raises the limit on open files so that there can be this many connections, as far as the system allows. Where it
/// does not, connections make room for each other before there are that many.
#[cfg(unix)]
pub(super) fn allow(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = connections as u64 + OTHER_FILES;
    let Some(current) = current.filter(|&current| current < needed) else {
        return;
    };
    let raised = maximum.map_or(needed, |maximum| needed.min(maximum));
    let limit = Rlimit {
        current: Some(raised),
        maximum,
    };
    if raised < needed || setrlimit(Resource::Nofile, limit).is_err() {
        tracing::warn!(
            "at most {} files may be open, fewer than --http-connections needs",
            raised.max(current)
        );
    }
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(super) fn allow(_: usize) {}
