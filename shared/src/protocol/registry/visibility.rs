//! Who is sent a component.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::protocol::ids::{GlobalId, PlayerId, TeamId};

/// Who is sent a component.
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
    /// Those of whom the component's own rule says so. Set by handing the rule to
    /// [`visible_to`](super::ComponentRegistration::visible_to).
    Custom = 3,
}

/// A client that sees an entity, and who both are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The client's player.
    pub player: PlayerId,
    /// The player's team.
    pub player_team: TeamId,
    /// The entity.
    pub entity: GlobalId,
    /// The entity's owner.
    pub owner: PlayerId,
    /// The entity's team.
    pub team: TeamId,
}

impl Witness {
    /// Whether the player owns the entity.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        self.player.is_somebody() && self.player.0 == self.owner.0
    }

    /// Whether the player is of the entity's team.
    #[must_use]
    pub const fn is_mate(&self) -> bool {
        self.player_team.is_mate(self.team)
    }
}

/// What [`visible_to`](super::ComponentRegistration::visible_to) takes: a [`Visibility`], or a rule
/// `Fn(Witness, &T) -> bool`.
///
/// A rule is asked again when the component, the entity's owner or team, or the player's team changed, and
/// must follow from what it is given alone: it runs on the net workers.
pub trait VisibilityRule<T> {
    /// The rule, taken apart.
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

/// A custom rule whose component type only it knows.
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
