//! The layout of the panel: its place and width, its columns and rows, and the format of values.

use bevy::prelude::*;

use crate::window::theme::{self, text};

/// Widths of the columns of names, values and plots, in pixels.
pub(super) const COLUMNS: [f32; 3] = [118.0, 78.0, 140.0];
const COLUMN_GAP: f32 = 8.0;
/// Pixels between the panel and the right side of the window.
pub(super) const RIGHT: f32 = 14.0;
/// Width that the panel takes at the right side of the window, in pixels.
pub(in crate::window) const TAKEN_WIDTH: f32 =
    RIGHT + 2.0 * (theme::PANEL_EDGE + COLUMN_GAP) + COLUMNS[0] + COLUMNS[1] + COLUMNS[2];

/// Marks the panel of the net graph.
#[derive(Component)]
pub(in crate::window) struct Graph;

/// Spawns a row: a name, and a value marked by `value`; `last` adds the content of the third column.
pub(super) fn row(
    graph: &mut ChildSpawnerCommands,
    name: &str,
    value: impl Bundle,
    last: impl FnOnce(&mut ChildSpawnerCommands),
) {
    let node = Node {
        align_items: AlignItems::Center,
        column_gap: Val::Px(COLUMN_GAP),
        ..default()
    };
    graph.spawn(node).with_children(|row| {
        row.spawn((text(name, 13.0, theme::MUTED), column(0)));
        row.spawn((value, text("", 13.0, theme::TEXT), column(1)));
        last(row);
    });
}

pub(super) fn column(number: usize) -> Node {
    Node {
        width: Val::Px(COLUMNS[number]),
        ..default()
    }
}

/// Formats a time in milliseconds.
pub(super) fn ms(value: f32) -> String {
    format!("{value:.0} ms")
}

/// Formats a share (0 to 1) as a percentage.
pub(super) fn percent(value: f32) -> String {
    format!("{:.1} %", value * 100.0)
}
