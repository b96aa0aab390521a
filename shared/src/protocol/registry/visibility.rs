//! Which clients are sent a component.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::protocol::ids::{GlobalId, PlayerId, TeamId};

/// The clients that are sent a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Visibility {
    /// Every client that sees the entity.
    #[default]
    Everyone = 0,
    /// Clients of the entity's team.
    Team = 1,
    /// The client that owns the entity.
    Owner = 2,
    /// Clients for which the component's own rule returns true. Set by passing the rule to
    /// [`visible_to`](super::ComponentRegistration::visible_to).
    Custom = 3,
}

/// A client that sees an entity, with the owner and team of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The client's player.
    pub player: PlayerId,
    /// The player's team.
    pub player_team: TeamId,
    /// The entity that is seen.
    pub entity: GlobalId,
    /// The entity's owner.
    pub owner: PlayerId,
    /// The entity's team.
    pub team: TeamId,
}

impl Witness {
    /// Returns whether the player owns the entity.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        self.player.is_some() && self.player.0 == self.owner.0
    }

    /// Returns whether the player is of the entity's team.
    #[must_use]
    pub const fn is_mate(&self) -> bool {
        self.player_team.is_mate(self.team)
    }
}

/// What [`visible_to`](super::ComponentRegistration::visible_to) takes: a [`Visibility`], or a rule
/// `Fn(Witness, &T) -> bool`.
///
/// A rule is called again when the component, the entity's owner or team, or the player's team changed. Its
/// result must depend on its arguments alone: it runs on the net workers.
pub trait VisibilityRule<T> {
    /// Returns the visibility and the custom rule.
    #[doc(hidden)]
    fn into_parts(self) -> (Visibility, Option<MaySee>);
}

impl<T> VisibilityRule<T> for Visibility {
    fn into_parts(self) -> (Visibility, Option<MaySee>) {
        (self, None)
    }
}

impl<T: 'static, F: Fn(Witness, &T) -> bool + Send + Sync + 'static> VisibilityRule<T> for F {
    fn into_parts(self) -> (Visibility, Option<MaySee>) {
        let rule = move |witness: Witness, value: &dyn Any| {
            value.downcast_ref().is_some_and(|value| self(witness, value))
        };
        (Visibility::Custom, Some(MaySee(Arc::new(rule))))
    }
}

/// A custom rule without the type of its component.
#[derive(Clone)]
pub struct MaySee(Arc<dyn Fn(Witness, &dyn Any) -> bool + Send + Sync>);

impl MaySee {
    pub(super) fn ask(&self, witness: Witness, value: &dyn Any) -> bool {
        (self.0)(witness, value)
    }
}

impl fmt::Debug for MaySee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaySee")
    }
}
