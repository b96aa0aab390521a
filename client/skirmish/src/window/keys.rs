//! What the player can do, and by which key or button: read here by everybody, rebound in the settings.

use std::collections::BTreeMap;

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// What a key does.
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
    /// Score board, while held.
    Scores,
    NetGraph,
    Help,
    Screenshot,
}

impl Action {
    /// All of them, in the order of the settings screen.
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

    /// What it is called.
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

/// A key, or a button of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bind {
    /// A key, by its place on the keyboard.
    Key(KeyCode),
    /// A button of the mouse.
    Mouse(MouseButton),
}

/// The keys that can be bound, and their names. Escape is not among them: it always leads out.
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
    /// What it is called, on screen and in the file; `None` for what cannot be bound.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Key(key) => KEYS.iter().find(|(code, _)| *code == key).map(|(_, name)| *name),
            Self::Mouse(button) => BUTTONS
                .iter()
                .find(|(code, _)| *code == button)
                .map(|(_, name)| *name),
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let key = KEYS.iter().find(|(_, other)| *other == name);
        let button = BUTTONS.iter().find(|(_, other)| *other == name);
        key.map(|(code, _)| Self::Key(*code))
            .or(button.map(|(code, _)| Self::Mouse(*code)))
    }
}

/// Which key does what. Saved as names, so that the file can be read and written by hand.
#[derive(Resource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Action, String>", into = "BTreeMap<Action, String>")]
pub(crate) struct Bindings([Bind; Action::ALL.len()]);

impl Default for Bindings {
    fn default() -> Self {
        Self(Action::ALL.map(Action::usual))
    }
}

impl From<BTreeMap<Action, String>> for Bindings {
    /// What the file does not say, or says wrongly, is as usual.
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
    /// What does it.
    pub(crate) fn of(&self, action: Action) -> Bind {
        self.0[action as usize]
    }

    /// What it is called.
    pub(crate) fn name(&self, action: Action) -> &'static str {
        self.of(action).name().unwrap_or("?")
    }

    /// Binds an action; whoever had the key gets the one that is free now.
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

/// Whoever has the keyboard now: while it is not the ship, the ship is not steered.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Typing {
    /// The ship.
    #[default]
    Nobody,
    /// A text field.
    Field,
    /// A screen that waits for a key to bind, or one with buttons to be pressed.
    Menu,
}

/// Whether the pointer is over something that is dragged: then its buttons do not fire.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PointerTaken(pub(crate) bool);

/// The player's hands, by action.
#[derive(SystemParam)]
pub(crate) struct ActionInput<'w> {
    bindings: Res<'w, Bindings>,
    keys: Res<'w, ButtonInput<KeyCode>>,
    buttons: Res<'w, ButtonInput<MouseButton>>,
    typing: Res<'w, Typing>,
    pointer: Res<'w, PointerTaken>,
}

impl ActionInput<'_> {
    /// Whether the keyboard belongs to somebody else than the ship.
    pub(crate) fn typing(&self) -> bool {
        *self.typing != Typing::Nobody
    }

    /// Whether it is held, and the keyboard belongs to the ship.
    pub(crate) fn pressed(&self, action: Action) -> bool {
        !self.typing()
            && match self.bindings.of(action) {
                Bind::Key(key) => self.keys.pressed(key),
                Bind::Mouse(button) => !self.pointer.0 && self.buttons.pressed(button),
            }
    }

    /// Whether it was pressed in this frame, and the keyboard belongs to the ship.
    pub(crate) fn just_pressed(&self, action: Action) -> bool {
        !self.typing() && self.strikes(action)
    }

    /// Whether it was pressed in this frame, outside of text fields: for what works in menus too.
    pub(crate) fn just_pressed_in_menus(&self, action: Action) -> bool {
        *self.typing != Typing::Field && self.strikes(action)
    }

    /// Whether it was pressed in this frame, whoever has the keyboard: for what has no letter for a key.
    pub(crate) fn strikes(&self, action: Action) -> bool {
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
    fn every_action_has_a_key_of_its_own_with_a_name() {
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
    fn rebinding_exchanges_keys() {
        let mut bindings = Bindings::default();
        let (fire, mine) = (bindings.of(Action::Fire), bindings.of(Action::Mine));
        bindings.rebind(Action::Fire, mine);
        assert_eq!(
            (bindings.of(Action::Fire), bindings.of(Action::Mine)),
            (mine, fire)
        );
    }

    #[test]
    fn bindings_are_saved_and_read_and_nonsense_is_as_usual() {
        let mut bindings = Bindings::default();
        bindings.rebind(Action::Boost, Bind::Key(KeyCode::Space));
        let text = ron::to_string(&bindings).unwrap();
        assert_eq!(ron::from_str::<Bindings>(&text).unwrap(), bindings);
        let odd: Bindings = ron::from_str("{Fire: \"Anything\", Boost: \"Space\"}").unwrap();
        assert_eq!(odd, bindings);
    }
}
