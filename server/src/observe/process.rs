//! What the operating system says this process uses: CPU time, per thread too, and resident memory.
//!
//! Asks the clock of the process, and reads `/proc/self` for the rest; on a system without them every answer is
//! `None` or empty. Most calls open files: for the gateway's thread, never for the simulation or a net worker.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What `/proc` counts CPU time in; fixed at 100 a second for user space on Linux.
const CLOCK_TICKS_PER_S: u32 = 100;

/// CPU time of one thread of this process since the thread's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCpu {
    /// The thread's name (at most 15 bytes), as given to `std::thread::Builder`.
    pub name: String,
    /// The kernel's id of it, unique while the process lives.
    pub thread_id: u32,
    /// User and system time, microseconds, in steps of 10 ms.
    pub cpu_us: u64,
}

/// User and system time of all threads, ended ones included, since the process's start, to the nanosecond: at ten
/// clients, a second's work is less than a step of `/proc/self/stat`.
#[must_use]
pub fn process_cpu() -> Option<Duration> {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
    }
    #[cfg(not(unix))]
    None
}

/// CPU time of every live thread, by thread id.
#[must_use]
pub fn thread_cpu() -> Vec<ThreadCpu> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let mut threads: Vec<ThreadCpu> = tasks
        .flatten()
        .filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            Some(ThreadCpu {
                name: stat[stat.find('(')? + 1..stat.rfind(')')?].to_owned(),
                thread_id: task.file_name().to_str()?.parse().ok()?,
                cpu_us: u64::try_from(cpu_of_stat(&stat)?.as_micros()).ok()?,
            })
        })
        .collect();
    threads.sort_unstable_by_key(|thread| thread.thread_id);
    threads
}

/// Resident memory in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    // In KiB, unlike `statm`, which counts pages of a size that only a system call tells.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15 of a `stat` file; the name in field 2 may hold anything, so fields count from its end.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) / CLOCK_TICKS_PER_S * u32::try_from(user + system).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_hostile_name_is_read() {
        let line = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 9 9";
        assert_eq!(cpu_of_stat(line), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("42 (a"), None);
        assert_eq!(cpu_of_stat("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_seen() {
        if !fs::exists("/proc/self/stat").unwrap_or(false) {
            return;
        }
        assert!(process_cpu().is_some());
        assert!(resident_bytes().unwrap() > 100 * 1024);
        let named = std::thread::Builder::new().name("seen".into());
        let threads = named.spawn(thread_cpu).unwrap().join().unwrap();
        assert!(threads.iter().any(|thread| thread.name == "seen"), "{threads:?}");
    }
}
