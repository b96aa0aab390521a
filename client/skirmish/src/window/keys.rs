//! The player's actions and the keys or buttons bound to them. Every screen reads them here; the settings
//! rebind them.

use std::collections::BTreeMap;

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// An action that a key or button triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Action {
    Forward,
    Back,
    /// Turn counter-clockwise.
    Left,
    /// Turn clockwise.
    Right,
    Boost,
    Fire,
    Missile,
    /// Mine the asteroid ahead.
    Mine,
    Camera,
    ZoomIn,
    ZoomOut,
    Chat,
    /// Show the score board while held.
    Scores,
    NetGraph,
    Help,
    Screenshot,
}

impl Action {
    /// All actions, in the order of the settings screen.
    pub(crate) const ALL: [Self; 16] = [
        Self::Forward,
        Self::Back,
        Self::Left,
        Self::Right,
        Self::Boost,
        Self::Fire,
        Self::Missile,
        Self::Mine,
        Self::Camera,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::Chat,
        Self::Scores,
        Self::NetGraph,
        Self::Help,
        Self::Screenshot,
    ];

    /// Returns the action's name for players.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forward => "Thrust",
            Self::Back => "Brake, reverse",
            Self::Left => "Turn left",
            Self::Right => "Turn right",
            Self::Boost => "Boost",
            Self::Fire => "Fire laser",
            Self::Missile => "Launch missile",
            Self::Mine => "Mine ahead",
            Self::Camera => "Change camera",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::Chat => "Chat",
            Self::Scores => "Score board",
            Self::NetGraph => "Net graph",
            Self::Help => "Help",
            Self::Screenshot => "Screenshot",
        }
    }

    fn usual(self) -> Bind {
        match self {
            Self::Forward => Bind::Key(KeyCode::KeyW),
            Self::Back => Bind::Key(KeyCode::KeyS),
            Self::Left => Bind::Key(KeyCode::KeyA),
            Self::Right => Bind::Key(KeyCode::KeyD),
            Self::Boost => Bind::Key(KeyCode::ShiftLeft),
            Self::Fire => Bind::Mouse(MouseButton::Left),
            Self::Missile => Bind::Mouse(MouseButton::Right),
            Self::Mine => Bind::Key(KeyCode::KeyF),
            Self::Camera => Bind::Key(KeyCode::KeyC),
            Self::ZoomIn => Bind::Key(KeyCode::Equal),
            Self::ZoomOut => Bind::Key(KeyCode::Minus),
            Self::Chat => Bind::Key(KeyCode::Enter),
            Self::Scores => Bind::Key(KeyCode::Tab),
            Self::NetGraph => Bind::Key(KeyCode::F3),
            Self::Help => Bind::Key(KeyCode::F1),
            Self::Screenshot => Bind::Key(KeyCode::F12),
        }
    }
}

/// A key or mouse button that can be bound to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bind {
    /// A key, by its position on the keyboard.
    Key(KeyCode),
    /// A button of the mouse.
    Mouse(MouseButton),
}

/// The bindable keys and their names. Escape is not among them: it always opens or closes the menu.
const KEYS: [(KeyCode, &str); 79] = [
    (KeyCode::KeyA, "A"),
    (KeyCode::KeyB, "B"),
    (KeyCode::KeyC, "C"),
    (KeyCode::KeyD, "D"),
    (KeyCode::KeyE, "E"),
    (KeyCode::KeyF, "F"),
    (KeyCode::KeyG, "G"),
    (KeyCode::KeyH, "H"),
    (KeyCode::KeyI, "I"),
    (KeyCode::KeyJ, "J"),
    (KeyCode::KeyK, "K"),
    (KeyCode::KeyL, "L"),
    (KeyCode::KeyM, "M"),
    (KeyCode::KeyN, "N"),
    (KeyCode::KeyO, "O"),
    (KeyCode::KeyP, "P"),
    (KeyCode::KeyQ, "Q"),
    (KeyCode::KeyR, "R"),
    (KeyCode::KeyS, "S"),
    (KeyCode::KeyT, "T"),
    (KeyCode::KeyU, "U"),
    (KeyCode::KeyV, "V"),
    (KeyCode::KeyW, "W"),
    (KeyCode::KeyX, "X"),
    (KeyCode::KeyY, "Y"),
    (KeyCode::KeyZ, "Z"),
    (KeyCode::Digit0, "0"),
    (KeyCode::Digit1, "1"),
    (KeyCode::Digit2, "2"),
    (KeyCode::Digit3, "3"),
    (KeyCode::Digit4, "4"),
    (KeyCode::Digit5, "5"),
    (KeyCode::Digit6, "6"),
    (KeyCode::Digit7, "7"),
    (KeyCode::Digit8, "8"),
    (KeyCode::Digit9, "9"),
    (KeyCode::ArrowUp, "Up"),
    (KeyCode::ArrowDown, "Down"),
    (KeyCode::ArrowLeft, "Left"),
    (KeyCode::ArrowRight, "Right"),
    (KeyCode::Space, "Space"),
    (KeyCode::Enter, "Enter"),
    (KeyCode::Tab, "Tab"),
    (KeyCode::Backspace, "Backspace"),
    (KeyCode::Delete, "Delete"),
    (KeyCode::Insert, "Insert"),
    (KeyCode::Home, "Home"),
    (KeyCode::End, "End"),
    (KeyCode::PageUp, "Page Up"),
    (KeyCode::PageDown, "Page Down"),
    (KeyCode::ShiftLeft, "Left Shift"),
    (KeyCode::ShiftRight, "Right Shift"),
    (KeyCode::ControlLeft, "Left Ctrl"),
    (KeyCode::ControlRight, "Right Ctrl"),
    (KeyCode::AltLeft, "Left Alt"),
    (KeyCode::AltRight, "Right Alt"),
    (KeyCode::Minus, "-"),
    (KeyCode::Equal, "="),
    (KeyCode::Comma, ","),
    (KeyCode::Period, "."),
    (KeyCode::Slash, "/"),
    (KeyCode::Semicolon, ";"),
    (KeyCode::Quote, "'"),
    (KeyCode::BracketLeft, "["),
    (KeyCode::BracketRight, "]"),
    (KeyCode::Backslash, "\\"),
    (KeyCode::Backquote, "`"),
    (KeyCode::F1, "F1"),
    (KeyCode::F2, "F2"),
    (KeyCode::F3, "F3"),
    (KeyCode::F4, "F4"),
    (KeyCode::F5, "F5"),
    (KeyCode::F6, "F6"),
    (KeyCode::F7, "F7"),
    (KeyCode::F8, "F8"),
    (KeyCode::F9, "F9"),
    (KeyCode::F10, "F10"),
    (KeyCode::F11, "F11"),
    (KeyCode::F12, "F12"),
];

const BUTTONS: [(MouseButton, &str); 3] = [
    (MouseButton::Left, "Left mouse"),
    (MouseButton::Right, "Right mouse"),
    (MouseButton::Middle, "Middle mouse"),
];

impl Bind {
    /// Returns the name, on screen and in the file; `None` for a key that cannot be bound.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Key(key) => KEYS.iter().find(|(code, _)| *code == key).map(|(_, name)| *name),
            Self::Mouse(button) => BUTTONS
                .iter()
                .find(|(code, _)| *code == button)
                .map(|(_, name)| *name),
        }
    }

    /// Returns the key or button with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let key = KEYS.iter().find(|(_, other)| *other == name);
        let button = BUTTONS.iter().find(|(_, other)| *other == name);
        key.map(|(code, _)| Self::Key(*code))
            .or(button.map(|(code, _)| Self::Mouse(*code)))
    }
}

/// The bindings of all actions. Saved as names, so that the file can be read and written by hand.
#[derive(Resource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Action, String>", into = "BTreeMap<Action, String>")]
pub(crate) struct Bindings([Bind; Action::ALL.len()]);

impl Default for Bindings {
    fn default() -> Self {
        Self(Action::ALL.map(Action::usual))
    }
}

impl From<BTreeMap<Action, String>> for Bindings {
    /// Missing or invalid entries of the file get their default bindings.
    fn from(names: BTreeMap<Action, String>) -> Self {
        Self(Action::ALL.map(|action| {
            names
                .get(&action)
                .and_then(|name| Bind::named(name))
                .unwrap_or(action.usual())
        }))
    }
}

impl From<Bindings> for BTreeMap<Action, String> {
    fn from(bindings: Bindings) -> Self {
        let name = |action| (action, bindings.name(action).to_owned());
        Action::ALL.into_iter().map(name).collect()
    }
}

impl Bindings {
    /// Returns the key or button of an action.
    pub(crate) fn of(&self, action: Action) -> Bind {
        self.0[action as usize]
    }

    /// Returns the name of an action's key or button.
    pub(crate) fn name(&self, action: Action) -> &'static str {
        self.of(action).name().unwrap_or("?")
    }

    /// Binds an action. If another action had the key, it gets the former key of this action.
    pub(crate) fn rebind(&mut self, action: Action, bind: Bind) {
        let former = self.of(action);
        for other in &mut self.0 {
            if *other == bind {
                *other = former;
            }
        }
        self.0[action as usize] = bind;
    }
}

/// The owner of the keyboard. The ship is steered only while the keyboard belongs to it.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyboardFocus {
    /// The ship receives the keys.
    #[default]
    Ship,
    /// A text field receives the keys.
    TextField,
    /// A screen receives the keys: one that waits for a key to bind, or one with buttons.
    Menu,
}

/// Whether the pointer is over a draggable control: then mouse buttons do not fire.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PointerOverControl(pub(crate) bool);

/// The state of keys and buttons, by action.
#[derive(SystemParam)]
pub(crate) struct ActionInput<'w> {
    bindings: Res<'w, Bindings>,
    keys: Res<'w, ButtonInput<KeyCode>>,
    buttons: Res<'w, ButtonInput<MouseButton>>,
    keyboard: Res<'w, KeyboardFocus>,
    pointer: Res<'w, PointerOverControl>,
}

impl ActionInput<'_> {
    /// Returns whether the keyboard does not belong to the ship.
    pub(crate) fn is_typing(&self) -> bool {
        *self.keyboard != KeyboardFocus::Ship
    }

    /// Returns whether the action is held, and the keyboard belongs to the ship.
    pub(crate) fn pressed(&self, action: Action) -> bool {
        !self.is_typing()
            && match self.bindings.of(action) {
                Bind::Key(key) => self.keys.pressed(key),
                Bind::Mouse(button) => !self.pointer.0 && self.buttons.pressed(button),
            }
    }

    /// Returns whether the action was pressed in this frame, and the keyboard belongs to the ship.
    pub(crate) fn just_pressed(&self, action: Action) -> bool {
        !self.is_typing() && self.just_pressed_anywhere(action)
    }

    /// Returns whether the action was pressed in this frame outside text fields: for actions that work in menus
    /// too.
    pub(crate) fn just_pressed_in_menus(&self, action: Action) -> bool {
        *self.keyboard != KeyboardFocus::TextField && self.just_pressed_anywhere(action)
    }

    /// Returns whether the action was pressed in this frame, whatever owns the keyboard: for actions without a
    /// letter key.
    pub(crate) fn just_pressed_anywhere(&self, action: Action) -> bool {
        match self.bindings.of(action) {
            Bind::Key(key) => self.keys.just_pressed(key),
            Bind::Mouse(button) => !self.pointer.0 && self.buttons.just_pressed(button),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_distinct_default_key_with_a_name() {
        let bindings = Bindings::default();
        let names: std::collections::BTreeSet<_> = Action::ALL
            .into_iter()
            .map(|action| bindings.name(action))
            .collect();
        assert_eq!(names.len(), Action::ALL.len());
        assert!(!names.contains("?"));
        for (place, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(place, action as usize, "{action:?}");
        }
    }

    #[test]
    fn rebinding_to_a_used_key_swaps_keys() {
        let mut bindings = Bindings::default();
        let (fire, mine) = (bindings.of(Action::Fire), bindings.of(Action::Mine));
        bindings.rebind(Action::Fire, mine);
        assert_eq!(
            (bindings.of(Action::Fire), bindings.of(Action::Mine)),
            (mine, fire)
        );
    }

    #[test]
    fn bindings_round_trip_and_invalid_entries_get_defaults() {
        let mut bindings = Bindings::default();
        bindings.rebind(Action::Boost, Bind::Key(KeyCode::Space));
        let text = ron::to_string(&bindings).unwrap();
        assert_eq!(ron::from_str::<Bindings>(&text).unwrap(), bindings);
        let odd: Bindings = ron::from_str("{Fire: \"Anything\", Boost: \"Space\"}").unwrap();
        assert_eq!(odd, bindings);
    }
}
