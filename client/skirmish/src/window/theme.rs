//! The interface's theme: its colours, its text, and the few building blocks of all screens.

use bevy::prelude::*;
use bevy::text::FontSize;

/// Colour of ordinary text.
pub(crate) const TEXT: Color = Color::srgb(0.86, 0.92, 0.98);
/// Colour of less important text.
pub(crate) const MUTED: Color = Color::srgb(0.55, 0.64, 0.74);
/// Colour of controls that the player can use.
pub(crate) const ACCENT: Color = Color::srgb(0.36, 0.78, 1.0);
/// Colour of errors and dangers.
pub(crate) const ALERT: Color = Color::srgb(1.0, 0.42, 0.34);
/// Colour of warnings and other notable values.
pub(crate) const WARM: Color = Color::srgb(1.0, 0.76, 0.3);
/// Colour of good news and healthy values.
pub(crate) const GOOD: Color = Color::srgb(0.45, 0.9, 0.55);
/// Background colour of panels.
pub(crate) const PANEL: Color = Color::srgba(0.02, 0.035, 0.06, 0.93);
/// Background colour of fields and buttons.
pub(crate) const FIELD: Color = Color::srgba(0.08, 0.12, 0.18, 0.95);
/// Colour of the borders of panels.
pub(crate) const LINE: Color = Color::srgba(0.36, 0.62, 0.85, 0.28);

/// Returns a line of text that is never wrapped.
pub(crate) fn text(words: impl Into<String>, size: f32, color: Color) -> impl Bundle {
    (TextLayout::no_wrap(), paragraph(words, size, color))
}

/// Returns text that is wrapped where there is no more room.
pub(crate) fn paragraph(words: impl Into<String>, size: f32, color: Color) -> impl Bundle {
    (
        Text::new(words),
        TextFont {
            font_size: FontSize::Px(size),
            ..default()
        },
        TextColor(color),
    )
}

/// Pixels between the outer edge of a panel and its contents.
pub(crate) const PANEL_EDGE: f32 = 15.0;

/// Returns a panel: a dark, bordered box whose contents are stacked vertically.
pub(crate) fn panel(node: Node) -> impl Bundle {
    (
        Node {
            flex_direction: FlexDirection::Column,
            padding: UiRect::all(Val::Px(PANEL_EDGE - 1.0)),
            border: UiRect::all(Val::Px(1.0)),
            border_radius: BorderRadius::all(Val::Px(6.0)),
            row_gap: Val::Px(6.0),
            ..node
        },
        BackgroundColor(PANEL),
        BorderColor::all(LINE),
    )
}

/// Returns a node over the whole window that centres its contents.
pub(crate) fn centred() -> Node {
    Node {
        position_type: PositionType::Absolute,
        width: Val::Percent(100.0),
        height: Val::Percent(100.0),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::Center,
        flex_direction: FlexDirection::Column,
        ..default()
    }
}

/// Returns a button; its text is its child.
pub(crate) fn button() -> impl Bundle {
    (
        Button,
        Node {
            padding: UiRect::axes(Val::Px(16.0), Val::Px(8.0)),
            justify_content: JustifyContent::Center,
            align_items: AlignItems::Center,
            border: UiRect::all(Val::Px(1.0)),
            border_radius: BorderRadius::all(Val::Px(4.0)),
            ..default()
        },
        BackgroundColor(FIELD),
        BorderColor::all(LINE),
    )
}

/// Highlights buttons under the mouse.
pub(crate) struct ThemePlugin;

impl Plugin for ThemePlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, light_buttons);
    }
}

fn light_buttons(mut buttons: Query<(&Interaction, &mut BorderColor), (Changed<Interaction>, With<Button>)>) {
    for (interaction, mut border) in &mut buttons {
        *border = BorderColor::all(match interaction {
            Interaction::None => LINE,
            Interaction::Hovered => ACCENT,
            Interaction::Pressed => TEXT,
        });
    }
}
