//! What the server's side of a game needs.

#[doc(no_inline)]
pub use throng_shared::prelude::*;

pub use crate::boundary::link::{LeaveReason, PeerKind};
pub use crate::persist::PersistAppExt;
pub use crate::process::{Game, Server, serve, serve_game};
pub use crate::runner::TickTime;
pub use crate::schedule::ServerSystems;
pub use crate::simulation::{
    Avatar, Away, ContentFile, ContentFiles, ContentPlayback, ContentSource, Eye, EyeHeight, Ghost,
    Importance, JoinAppExt, JoinRequest, Linger, Nearby, Owner, Parallel, Place, Player, PlayerAway,
    PlayerJoined, PlayerLeft, PlayerReturned, Random, Refusal, Replicated, Rewind, Room, RoomId, Rounded,
    Seed, Tell, ViewHeight, Viewer,
};
pub use crate::simulations::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectRefused, EffectReturned, EffectTarget,
    GhostAppExt, JoinPlaces, MapShape, Simulations, TellEntity, owns_position,
};
