//! What the tests, benchmarks and fuzzers of this workspace need besides the public API: parts of the server without
//! their threads and sockets.
//!
//! Nothing here is stable, and no game needs it.

pub use crate::boundary::directory::{Directory, EntityRoute};
pub use crate::boundary::frame::writer::FrameWriter;
pub use crate::http::audit::{AUDIT_HEADER_BYTES, AUDIT_MAGIC, AUDIT_ROW_3D_BYTES, AUDIT_ROW_BYTES};
pub use crate::input::inbox::Inbox;
pub use crate::net::assign::WorkerLoad;
#[cfg(target_os = "linux")]
pub use crate::net::batched::{BatchedReceiver, BatchedSender};
pub use crate::net::core::{WorkerCore, WorkerCoreConfig, WorkerShared};
pub use crate::net::places::Places;
pub use crate::net::socket::open as open_socket;
pub use crate::net::stats::WorkerStats;
pub use crate::net::transmit::{
    Arrival, Collected, DATAGRAM_BUFFER_BYTES, Flush, Receive, SocketCounters, Transmit,
};
pub use crate::replication::client::{ClientReplication, ReplicationView};
pub use crate::replication::pack::{PacketSink, Written};
pub use crate::replication::scratch::{ReplicationCounters, ReplicationScratch};
pub use crate::simulation::inputs::InputBuffer;
pub use crate::simulation::routes::{Routes, Routing};
pub use crate::space::{AreaHold, AreaTable, SpatialIndex};
