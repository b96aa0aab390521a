//! The game's rule that decides which clients join.
//!
//! Owns [`JoinRequest`], [`Refusal`] and the rule. Guarantees that every session of a client is asked for once, before it
//! has a player: of a new client, of one that returns, and of one that takes its player over, however it got its token;
//! and that a rule that panics or cannot run refuses the client, is logged, and does not end the server. The rule changes
//! nothing in the world. A refusal takes the place of the join in the inbox, so that a recording holds the decision: a
//! replay does not ask.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::BoxedReadOnlySystem;
use bevy_ecs::system::ReadOnlySystem;
use throng_shared::protocol::kick_text::KickText;

use super::away::{Away, PlayerAway};
use super::players::{Player, Players};
use super::sessions::{NewSession, is_outdated, leave};
use super::tell::Outbox;
use crate::boundary::claims::PlayerName;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey};

/// What a client is told whose request the rule could not decide.
const UNDECIDED: &str = "the server cannot decide whether this player may join";

/// A client that wants to join, as the game's rule sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The name from the connect token.
    pub name: PlayerName,
    /// The identity from the connect token. The same client has it again when it returns.
    pub client_id: u64,
    /// The client's protocol.
    pub kind: PeerKind,
    /// The player entity that the client has already: it returns, or takes over its own session. `None` for a new player.
    pub player: Option<Entity>,
}

/// Why a client may not join, in the game's own words for its player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Box<KickText>);

impl Refusal {
    /// Creates a refusal with a text, of which the first 160 bytes are shown.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Box::new(KickText::new(text)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sets the rule by which clients join. Implemented by [`App`].
pub trait JoinAppExt {
    /// Asks `rule` for every session before it has a player: for new clients, and for those that return or take over their
    /// own session. A refused client is shown the text and does not try again by itself; the player that it has, if any,
    /// is [`Away`] then.
    ///
    /// The rule is a system that only reads the world, and sees the players that joined before in the same tick. It runs in
    /// the tick, so it looks up what is in memory and waits for nothing. It cannot read `Protocol`, which is in use then. A
    /// rule that panics refuses the client. A second call replaces the rule.
    ///
    /// ```
    /// use bevy_app::App;
    /// use bevy_ecs::prelude::*;
    /// use throng_server::prelude::*;
    ///
    /// #[derive(Resource)]
    /// struct Seats(usize);
    ///
    /// fn may_join(
    ///     InRef(request): InRef<JoinRequest>,
    ///     players: Query<(), With<Player>>,
    ///     seats: Res<Seats>,
    /// ) -> Result<(), Refusal> {
    ///     // A player that returns has its seat.
    ///     if request.player.is_none() && players.iter().count() >= seats.0 {
    ///         return Err(Refusal::new("all seats are taken"));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let mut app = App::new();
    /// app.insert_resource(Seats(8)).may_join(may_join);
    /// ```
    fn may_join<M, S>(&mut self, rule: S) -> &mut Self
    where
        S: IntoSystem<InRef<'static, JoinRequest>, Result<(), Refusal>, M>,
        S::System: ReadOnlySystem;
}

impl JoinAppExt for App {
    fn may_join<M, S>(&mut self, rule: S) -> &mut Self
    where
        S: IntoSystem<InRef<'static, JoinRequest>, Result<(), Refusal>, M>,
        S::System: ReadOnlySystem,
    {
        let mut rule = IntoSystem::into_system(rule);
        rule.initialize(self.world_mut());
        self.insert_resource(JoinRule(Box::new(rule)))
    }
}

/// The game's rule. A replay removes it, because the recording holds its decisions.
#[derive(Resource)]
pub(crate) struct JoinRule(BoxedReadOnlySystem<InRef<'static, JoinRequest>, Result<(), Refusal>>);

/// A client without a player was refused. Only the engine reads it: a replay writes it too, but the rule does not run then.
#[derive(Message, Clone, Copy, Debug)]
pub(crate) struct ClientRefused(pub(crate) u64);

/// Asks the game's rule about a session that was announced. Returns the text for a client that is refused.
pub(crate) fn ask(world: &mut World, arrival: &NewSession) -> Option<Refusal> {
    world.try_resource_scope(|world, mut rule: Mut<JoinRule>| decide(world, &mut rule, arrival).err())?
}

fn decide(world: &World, rule: &mut JoinRule, arrival: &NewSession) -> Result<(), Refusal> {
    let players = world.resource::<Players>();
    let player = players.of_client(arrival.client_id);
    if players.get(arrival.key).is_some() || is_outdated(world, arrival) {
        // Such a session is ended anyway.
        return Ok(());
    }
    let request = JoinRequest {
        name: arrival.name,
        client_id: arrival.client_id,
        kind: arrival.kind,
        player,
    };
    let name = rule.0.name();
    let error = match catch_unwind(AssertUnwindSafe(|| rule.0.run_readonly(&request, world))) {
        Ok(Ok(decision)) => return decision,
        Ok(Err(error)) => format!("{error:?}"),
        // Rust has logged the panic with its place.
        Err(_) => "it panicked".to_owned(),
    };
    tracing::error!(rule = %name, client = arrival.client_id, "the rule that decides who joins failed, the client is refused: {error}");
    Err(Refusal::new(UNDECIDED))
}

/// Ends a session that the game's rule has refused, with its text where there is one. The player that the client has
/// keeps nothing of its older session, which the newer one has replaced already.
pub(crate) fn refuse(world: &mut World, key: SessionKey, client_id: u64, refusal: Option<Refusal>) {
    let text = refusal.map(|refusal| *refusal.0).unwrap_or_default();
    world.resource_mut::<Outbox>().refuse(key, text);
    let Some(entity) = world.resource::<Players>().of_client(client_id) else {
        world.write_message(ClientRefused(client_id));
        return;
    };
    let session = world.get::<Player>(entity).map(|player| player.session);
    if let Some(session) = session.filter(|&session| session != SessionKey::NONE) {
        leave(world, session, LeaveReason::Replaced);
    }
    // The end of a session that was replaced was not written, because a newer one was to follow.
    let away = world.get_mut::<Away>(entity);
    if let Some(mut away) = away.filter(|away| away.reason == LeaveReason::Replaced) {
        let reason = LeaveReason::Refused;
        away.reason = reason;
        world.write_message(PlayerAway { entity, reason });
    }
}
