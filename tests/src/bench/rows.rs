//! The rows of `docs/benchmarks.md`, with the command lines that measure them.

/// The threads on which the server does its network work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// The simulation's thread does all work (`--workers 0`).
    Inline,
    /// This many net worker threads.
    Threads(u8),
}

impl Workers {
    /// All arrangements with which the crowd is measured.
    pub const ALL: [Self; 3] = [Self::Inline, Self::Threads(1), Self::Threads(2)];

    /// Returns a name for headings and legends.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::Inline => "inline".to_owned(),
            Self::Threads(1) => "1 worker".to_owned(),
            Self::Threads(count) => format!("{count} workers"),
        }
    }

    fn slug(self) -> String {
        match self {
            Self::Inline => "inline".to_owned(),
            Self::Threads(count) => format!("workers{count}"),
        }
    }

    fn count(self) -> u8 {
        match self {
            Self::Inline => 0,
            Self::Threads(count) => count,
        }
    }
}

/// The section of the document in which a row appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchSection {
    /// The crowd over the number of clients, one table for each view size and arrangement.
    Crowd {
        /// Average number of entities that a client sees.
        visible: u32,
        /// Threads of the server.
        workers: Workers,
    },
    /// A row with a table of its own.
    Special,
}

/// A benchmark with one server and one swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchRow {
    /// File name of the results, and name for `--only`.
    pub name: String,
    /// Description for the document.
    pub title: String,
    /// Section of the document.
    pub section: BenchSection,
    /// Number of bots.
    pub clients: u32,
    /// Arguments of the server in addition to its addresses.
    pub server: Vec<String>,
    /// Arguments of the swarm in addition to clients, seconds and addresses.
    pub swarm: Vec<String>,
    /// Whether the server's content changes every second.
    pub exchanges: bool,
    /// Average number of entities that a client sees in the floor program, if the row is compared with it. That is the
    /// case for a crowd that keeps one worker busy.
    pub floor_visible: Option<u32>,
}

/// The fewest clients for a comparison with the floor program. With fewer, wake-ups dominate the CPU time.
const FLOOR_CLIENTS_MIN: u32 = 500;

/// Numbers of clients in the crowd's rows.
pub const CROWD_CLIENTS: [u32; 8] = [10, 50, 100, 200, 500, 1_000, 2_000, 5_000];
/// Average numbers of visible entities in the crowd's rows.
pub const CROWD_VISIBLE: [u32; 2] = [50, 60];

/// Returns all rows in the order of the document.
#[must_use]
pub fn all() -> Vec<BenchRow> {
    let mut rows = Vec::new();
    for visible in CROWD_VISIBLE {
        for workers in Workers::ALL {
            for clients in CROWD_CLIENTS {
                rows.push(crowd(clients, visible, workers));
            }
        }
    }
    rows.extend(special());
    rows.extend(skirmish());
    rows.extend([2, 4].map(simulations));
    rows
}

fn crowd(clients: u32, visible: u32, workers: Workers) -> BenchRow {
    // A few clients do not own enough entities for such a view. Further entities move by themselves.
    let entities = clients.max(visible + 1);
    let workers_flag = workers.count();
    let is_comparable = workers == Workers::Threads(1) && clients >= FLOOR_CLIENTS_MIN;
    let server = format!("--workers {workers_flag} --scene crowd --entities {entities} --visible {visible}");
    BenchRow {
        name: format!("crowd-{visible}-{}-{clients}", workers.slug()),
        title: format!("{clients} clients, {visible} visible, {}", workers.title()),
        section: BenchSection::Crowd { visible, workers },
        clients,
        server: words(&server),
        swarm: Vec::new(),
        exchanges: false,
        floor_visible: is_comparable.then_some(visible),
    }
}

/// Skirmish's default world, whose values are audited as in every other row.
const SKIRMISH: &str = "--workers 1 --scene skirmish --audit";

fn row(name: &str, title: &str, clients: u32, server: &str, swarm: &str) -> BenchRow {
    BenchRow {
        name: name.to_owned(),
        title: title.to_owned(),
        section: BenchSection::Special,
        clients,
        server: words(server),
        swarm: words(swarm),
        exchanges: false,
        floor_visible: None,
    }
}

fn special() -> Vec<BenchRow> {
    let crowd_60 = "--workers 1 --scene crowd --entities 1000 --visible 60";
    vec![
        row(
            "entities-10000",
            "1,000 clients, 10,000 moving entities, 100 visible",
            1_000,
            "--workers 1 --scene crowd --entities 10000 --visible 100",
            "",
        ),
        row(
            "crowd3-60-workers1-1000",
            "1,000 clients in space, turning about all axes, 60 visible",
            1_000,
            "--workers 1 --scene crowd3 --entities 1000 --visible 60",
            "",
        ),
        row(
            "tick-60hz",
            "1,000 clients at 60 Hz, 60 visible",
            1_000,
            &format!("{crowd_60} --tick-rate 60"),
            "",
        ),
        row(
            "static-100000",
            "100,000 entities, nothing moves, 10 clients",
            10,
            "--workers 1 --scene static --entities 100000",
            "",
        ),
        row(
            "hotspot-2000",
            "2,000 clients in one view",
            2_000,
            "--workers 1 --scene hotspot --entities 2000 --bandwidth 65536",
            "",
        ),
        row(
            "idle-10000",
            "10,000 idle connections",
            10_000,
            "--workers 1 --scene idle --hello-timeout-s 0",
            "--idle",
        ),
        row(
            "ping-150",
            "150 ms round trip (75 ms each way)",
            1_000,
            crowd_60,
            "--latency 75",
        ),
        row("latency-150", "150 ms each way", 1_000, crowd_60, "--latency 150"),
        row(
            "loss-5",
            "5 % loss and 75 ms each way, 20 ms jitter",
            1_000,
            crowd_60,
            "--loss 0.05 --latency 75 --jitter 20",
        ),
    ]
}

fn skirmish() -> Vec<BenchRow> {
    vec![
        row(
            "skirmish-idle",
            "Skirmish: 2,000 drones and 5,000 asteroids, one pilot",
            1,
            SKIRMISH,
            "",
        ),
        row("skirmish-1000", "Skirmish with 1,000 pilots", 1_000, SKIRMISH, ""),
        row("skirmish-2000", "Skirmish with 2,000 pilots", 2_000, SKIRMISH, ""),
        BenchRow {
            exchanges: true,
            ..row(
                "skirmish-reload",
                "Skirmish with 1,000 pilots, content exchanged every second",
                1_000,
                SKIRMISH,
                "",
            )
        },
    ]
}

/// Returns the row `entities-10000` with several simulations.
fn simulations(count: u8) -> BenchRow {
    BenchRow {
        name: format!("simulations-{count}"),
        title: format!("1,000 clients, 10,000 moving entities, 100 visible, {count} simulations"),
        section: BenchSection::Special,
        clients: 1_000,
        server: words(&format!(
            "--workers 1 --simulations {count} --scene crowd --entities 10000 --visible 100"
        )),
        swarm: Vec::new(),
        exchanges: false,
        floor_visible: None,
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn row_names_are_file_names_and_unique() {
        let rows = all();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        );
        assert_eq!(rows.len(), 8 * 2 * 3 + special().len() + skirmish().len() + 2);
    }
}
