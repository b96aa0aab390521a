//! What a mirror is told at the start, and what it says of each packet.

use throng_shared::protocol::pose3d::Quanta3d;
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::tick::Tick;

/// The server's properties that decoding needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MirrorConfig {
    /// The server's tick rate, in Hz.
    pub tick_rate: u16,
    /// How the components registered in the protocol are sent.
    pub components: ComponentFormats,
    /// The steps in which poses are sent in a game in three dimensions; `None` on the plane.
    pub quanta_3d: Option<Quanta3d>,
    /// A recent tick, from the welcome. The 16-bit ticks of packets are unwrapped near it.
    pub tick: Tick,
}

/// The result of receiving a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The packet was applied and will be acknowledged.
    Applied(Applied),
    /// The packet was received before.
    Duplicate,
    /// The packet arrived too late to be used. The server will count it as lost.
    Stale,
}

/// What an applied packet contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The packet's unwrapped number: one more than the number of the packet sent before it.
    pub sequence: u64,
    /// The newest tick among the packet's sections.
    pub tick: Tick,
    /// The packet's index among the packets of that tick, from 0.
    pub part: u8,
    /// Whether no packet with a higher number arrived before it.
    pub is_newest: bool,
    /// Number of entities that came into view.
    pub entered: u32,
    /// Number of entities whose state was replaced by a newer one.
    pub updated: u32,
    /// Number of entities that left view.
    pub left: u32,
}
