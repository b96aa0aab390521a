//! Measurements of the systems that Throng is compared with.
//!
//! They were measured on the same kind of machine with the crowd's workload: every client owns one entity that moves
//! every tick and sees about 50 others, at 20 Hz, with position and yaw over real UDP. The CPU time is that of the server
//! process only. Each figure is the median of three runs. Ratios can be compared between machines, absolute values cannot.

/// One measurement of a compared system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerPoint {
    /// Number of clients.
    pub clients: f64,
    /// Server CPU time per client and tick, in microseconds.
    pub cpu_us: f64,
    /// Ticks per second, of 20 that were requested.
    pub hz: f64,
    /// All bytes sent, divided by the updated entities, if counted.
    pub bytes_per_update: Option<f64>,
}

/// A compared system and its measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peer {
    /// Name and version of the system.
    pub name: &'static str,
    /// Measurements in ascending order of clients.
    pub points: &'static [PeerPoint],
}

const fn point(clients: f64, cpu_us: f64, hz: f64, bytes_per_update: Option<f64>) -> PeerPoint {
    PeerPoint {
        clients,
        cpu_us,
        hz,
        bytes_per_update,
    }
}

/// The library `bevy_replicon` over `renet`.
pub const REPLICON: Peer = Peer {
    name: "bevy_replicon 0.44",
    points: &[
        point(100.0, 51.0, 20.0, Some(18.5)),
        point(300.0, 62.0, 20.0, Some(18.3)),
        point(500.0, 74.0, 18.0, Some(17.4)),
        point(1_000.0, 134.0, 5.6, Some(18.4)),
    ],
};

/// The library `lightyear` with its own transport.
pub const LIGHTYEAR: Peer = Peer {
    name: "lightyear 0.30",
    points: &[
        point(100.0, 45.0, 20.0, Some(18.7)),
        point(300.0, 58.0, 20.0, Some(18.4)),
        point(1_000.0, 133.0, 6.5, Some(18.8)),
    ],
};

/// A server of tokio and bincode: plaintext, no deltas, no acknowledgements, no reliability.
pub const NAIVE: Peer = Peer {
    name: "naive plaintext",
    points: &[point(1_000.0, 10.9, 20.0, Some(14.6))],
};

/// The cost of only the kernel and the cipher: batched datagrams, a grid and 12-byte records.
pub const FLOOR: Peer = Peer {
    name: "floor program",
    points: &[
        point(1_000.0, 5.2, 20.0, Some(12.4)),
        point(4_000.0, 5.7, 19.0, Some(12.6)),
    ],
};

/// All compared systems, the most similar to Throng first.
pub const ALL: [Peer; 4] = [REPLICON, LIGHTYEAR, NAIVE, FLOOR];
