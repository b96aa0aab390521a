//! The systems compared with, measured on the same kind of machine under the same workload as the crowd:
//! every client owns one entity that moves every tick and sees about 50 others; 20 Hz; position and yaw;
//! real UDP; the server process's CPU alone; median of three runs. Ratios mean something, absolutes only there.

/// One measurement of a peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerPoint {
    /// Clients.
    pub clients: f64,
    /// Server CPU per client and tick, microseconds.
    pub cpu_us: f64,
    /// Ticks per second that it held of the 20 asked for.
    pub hz: f64,
    /// All bytes sent over entities updated, where it was counted.
    pub bytes_per_update: Option<f64>,
}

/// A system and its measurements, clients ascending.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peer {
    /// Its name and version.
    pub name: &'static str,
    /// Its measurements.
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

/// `bevy_replicon` over `renet`.
pub const REPLICON: Peer = Peer {
    name: "bevy_replicon 0.44",
    points: &[
        point(100.0, 51.0, 20.0, Some(18.5)),
        point(300.0, 62.0, 20.0, Some(18.3)),
        point(500.0, 74.0, 18.0, Some(17.4)),
        point(1_000.0, 134.0, 5.6, Some(18.4)),
    ],
};

/// `lightyear`.
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

/// What the kernel and the cipher alone cost: batched datagrams, a grid, 12-byte records, nothing else.
pub const FLOOR: Peer = Peer {
    name: "floor program",
    points: &[
        point(1_000.0, 5.2, 20.0, Some(12.4)),
        point(4_000.0, 5.7, 19.0, Some(12.6)),
    ],
};

/// Every peer, the nearest to a game engine first.
pub const ALL: [Peer; 4] = [REPLICON, LIGHTYEAR, NAIVE, FLOOR];
