//! The process's use of resources as the operating system reports it: CPU time, also per thread, and resident memory.
//!
//! Reads the CPU clock of the process, and `/proc/self` for the rest. On a system without them every function returns
//! `None` or an empty list. Most calls open files, so they are for the HTTP thread and never for the simulation
//! or a net worker.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Units per second of the CPU times in `/proc`; Linux fixes them at 100 for user space.
const CLOCK_TICKS_PER_S: u32 = 100;

/// CPU time of one thread of this process since the thread's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCpu {
    /// Name of the thread, as given to `std::thread::Builder` and cut to 15 bytes.
    pub name: String,
    /// The kernel's id of the thread.
    pub thread_id: u32,
    /// User and system time in microseconds, in steps of 10 ms.
    pub cpu_us: u64,
}

/// Returns the user and system time of all threads, including ended ones, since the process's start. It is exact to the
/// nanosecond, because with ten clients the work of a second is less than one step of `/proc/self/stat`.
#[must_use]
pub(super) fn process_cpu() -> Option<Duration> {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
    }
    #[cfg(not(unix))]
    None
}

/// Returns the CPU time of every live thread, ordered by thread id.
#[must_use]
pub(super) fn thread_cpu() -> Vec<ThreadCpu> {
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

/// Returns the resident memory in bytes.
#[must_use]
pub(super) fn resident_bytes() -> Option<u64> {
    // This file counts KiB. `statm` counts pages, whose size only a system call returns.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Returns the sum of fields 14 and 15 of a `stat` file. The name in field 2 may contain any character, so the fields
/// are counted from its end.
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
    fn the_cpu_time_and_memory_of_this_process_are_reported() {
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
