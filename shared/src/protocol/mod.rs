//! The protocol: what is replicated, how it is packed, and the packets that carry it.
//!
//! Owns identifiers, quantization, bit packing, the one use of bincode, the registry of
//! replicated types and the packets that travel beside renet's. Guarantees that bytes from a peer
//! end in a typed error or a value, without a panic and without allocating beyond a stated bound.
//! Refuses to know sockets, sessions or time: it is bytes in, values out.

pub mod bits;
pub mod codec;
pub mod delta;
pub mod guest;
pub mod ids;
pub mod pose;
