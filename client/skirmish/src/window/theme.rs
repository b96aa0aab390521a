//! How the interface looks: its colours, its type, and the few pieces that all screens are made of.

use bevy::prelude::*;
use bevy::text::FontSize;

/// Text.
pub(crate) const TEXT: Color = Color::srgb(0.86, 0.92, 0.98);
/// Text that matters less.
pub(crate) const MUTED: Color = Color::srgb(0.55, 0.64, 0.74);
/// What can be acted on.
pub(crate) const ACCENT: Color = Color::srgb(0.36, 0.78, 1.0);
/// What is wrong.
pub(crate) const ALERT: Color = Color::srgb(1.0, 0.42, 0.34);
/// What is worth a look.
pub(crate) const WARM: Color = Color::srgb(1.0, 0.76, 0.3);
/// What is well.
pub(crate) const GOOD: Color = Color::srgb(0.45, 0.9, 0.55);
/// Behind text.
pub(crate) const PANEL: Color = Color::srgba(0.02, 0.035, 0.06, 0.93);
/// Behind fields and buttons.
pub(crate) const FIELD: Color = Color::srgba(0.08, 0.12, 0.18, 0.95);
/// Lines around panels.
pub(crate) const LINE: Color = Color::srgba(0.36, 0.62, 0.85, 0.28);

/// A line of text, which is never broken.
pub(crate) fn text(words: impl Into<String>, size: f32, color: Color) -> impl Bundle {
    (TextLayout::no_wrap(), paragraph(words, size, color))
}

/// Text that is broken where there is no more room.
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

/// Pixels from the outside of a panel to what is in it.
pub(crate) const PANEL_EDGE: f32 = 15.0;

/// A panel: a dark, bordered box whose contents are below each other.
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

/// A node over the whole window that centres what is in it.
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

/// A button; its words are its child.
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

/// Makes buttons answer to the mouse.
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
