//! The chat box: messages of players and of the server, and events of entities in view.
//!
//! Enter opens the line. `/team WORDS` and `/tell NAME WORDS` choose the recipients; without a command all
//! players nearby receive the line. The wheel, Page Up and Page Down scroll back while the line is open.

use std::collections::VecDeque;

use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::input::mouse::MouseWheel;
use bevy::prelude::*;
use skirmish_shared::chat::{ChatChannel, ChatLine, ChatNotice, TEXT_BYTES_MAX};
use skirmish_shared::messages::{Destroyed, Killer};
use throng_client::world::TellServer;
use throng_shared::protocol::registry::FromServer;

use super::colors::{self, Colors};
use super::content::Tables;
use super::keys::{Action, ActionInput, KeyboardFocus};
use super::session::GamePhase;
use super::theme::{self, paragraph};
use crate::chat::{chat_text, parse_line};

/// Lines that are kept; the oldest is dropped first.
const LINES_MAX: usize = 200;
/// Lines that are visible at once.
const ROWS: usize = 8;
/// Seconds that a line is visible while the box is closed.
const FRESH_S: f32 = 14.0;

/// The lines of the chat, oldest first.
#[derive(Resource, Default)]
pub(crate) struct ChatLog {
    lines: VecDeque<LogLine>,
    /// Lines between the newest one and the lowest visible one.
    scrolled: usize,
    /// The text that the player is typing.
    draft: String,
    is_open: bool,
}

struct LogLine {
    words: String,
    color: Color,
    age_s: f32,
}

impl ChatLog {
    pub(crate) fn note(&mut self, words: String, color: Color) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        if self.scrolled > 0 {
            self.scrolled = (self.scrolled + 1).min(LINES_MAX - ROWS);
        }
        self.lines.push_back(LogLine {
            words,
            color,
            age_s: 0.0,
        });
    }

    fn scroll(&mut self, lines: isize) {
        let most = self.lines.len().saturating_sub(ROWS);
        self.scrolled = self.scrolled.saturating_add_signed(lines).min(most);
    }
}

pub(crate) struct ChatPlugin;

impl Plugin for ChatPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<ChatLog>()
            .add_systems(OnEnter(GamePhase::Play), spawn_box)
            .add_systems(OnExit(GamePhase::Play), close)
            .add_systems(
                Update,
                (log_messages, write_line, show_lines)
                    .chain()
                    .run_if(in_state(GamePhase::Play)),
            );
    }
}

#[derive(Component)]
struct ChatRow(usize);

#[derive(Component)]
struct Draft;

#[derive(Component)]
struct ChatBox;

fn spawn_box(mut commands: Commands) {
    let node = Node {
        position_type: PositionType::Absolute,
        left: Val::Px(14.0),
        // Above the instruments, which take the whole width of a small window.
        bottom: Val::Px(112.0),
        width: Val::Px(370.0),
        flex_direction: FlexDirection::Column,
        row_gap: Val::Px(2.0),
        padding: UiRect::all(Val::Px(8.0)),
        border_radius: BorderRadius::all(Val::Px(6.0)),
        ..default()
    };
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            ChatBox,
            node,
            BackgroundColor(Color::NONE),
        ))
        .with_children(|chat| {
            for row in 0..ROWS {
                chat.spawn((ChatRow(row), paragraph("", 14.0, theme::TEXT)));
            }
            chat.spawn((
                Draft,
                paragraph("", 15.0, theme::ACCENT),
                Node {
                    min_height: Val::Px(20.0),
                    ..default()
                },
            ));
        });
}

fn log_messages(
    mut lines: MessageReader<FromServer<ChatLine>>,
    mut notices: MessageReader<FromServer<ChatNotice>>,
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    (tables, shades): (Tables, Res<Colors>),
    mut log: ResMut<ChatLog>,
) {
    for FromServer(line) in lines.read() {
        let color = colors::ui(shades.team(line.team).lerp(Vec3::ONE, 0.5));
        let is_for_one = matches!(line.channel, ChatChannel::Tell(_));
        log.note(chat_text(line), if is_for_one { theme::WARM } else { color });
    }
    for FromServer(notice) in notices.read() {
        log.note(notice.to_string(), theme::MUTED);
    }
    for FromServer(event) in destroyed.read() {
        let victim = &event.victim;
        let words = match &event.killer {
            Killer::Pilot(name) => format!("{name} destroyed {victim}"),
            Killer::Drone(breed) => {
                let breed = tables.drone(*breed).map_or("drone", |breed| breed.name.as_str());
                format!("A {breed} destroyed {victim}")
            }
            Killer::UnknownPilot => format!("An unknown pilot destroyed {victim}"),
            Killer::Accident => format!("{victim} was destroyed"),
        };
        log.note(words, theme::ALERT);
    }
}

fn write_line(
    mut pressed: MessageReader<KeyboardInput>,
    mut wheel: MessageReader<MouseWheel>,
    controls: ActionInput,
    mut log: ResMut<ChatLog>,
    mut tell: TellServer,
    mut closing: Local<bool>,
    mut commands: Commands,
) -> Result {
    if !log.is_open {
        // The key that closed the box must not reopen it or turn the ship in the same frame.
        if std::mem::take(&mut *closing) {
            commands.insert_resource(KeyboardFocus::Ship);
        } else if controls.just_pressed(Action::Chat) {
            log.is_open = true;
            commands.insert_resource(KeyboardFocus::TextField);
        }
        pressed.clear();
        wheel.clear();
        return Ok(());
    }
    for turned in wheel.read() {
        log.scroll(if turned.y > 0.0 { 1 } else { -1 });
    }
    for key in pressed.read().filter(|key| key.state.is_pressed()) {
        match &key.logical_key {
            Key::Enter => {
                match parse_line(&std::mem::take(&mut log.draft)) {
                    Ok(Some(say)) => tell.send(&say)?,
                    Ok(None) => {}
                    Err(problem) => log.note(problem.into(), theme::ALERT),
                }
                log.is_open = false;
            }
            Key::Escape => log.is_open = false,
            Key::Backspace => {
                log.draft.pop();
            }
            Key::PageUp => log.scroll(ROWS as isize),
            Key::PageDown => log.scroll(-(ROWS as isize)),
            _ => {
                for letter in key.text.iter().flat_map(|text| text.chars()) {
                    if !letter.is_control() && log.draft.len() + letter.len_utf8() <= TEXT_BYTES_MAX {
                        log.draft.push(letter);
                    }
                }
            }
        }
    }
    if !log.is_open {
        log.scrolled = 0;
        *closing = true;
    }
    Ok(())
}

fn close(mut log: ResMut<ChatLog>, mut keyboard: ResMut<KeyboardFocus>) {
    log.is_open = false;
    *keyboard = KeyboardFocus::Ship;
}

fn show_lines(
    mut log: ResMut<ChatLog>,
    time: Res<Time>,
    mut rows: Query<(&ChatRow, &mut Text, &mut TextColor), Without<Draft>>,
    mut draft: Single<&mut Text, With<Draft>>,
    mut back: Single<&mut BackgroundColor, With<ChatBox>>,
) {
    for line in &mut log.bypass_change_detection().lines {
        line.age_s += time.delta_secs();
    }
    let lowest = log.lines.len().saturating_sub(log.scrolled);
    for (ChatRow(row), mut words, mut color) in &mut rows {
        let place = (lowest + *row).checked_sub(ROWS);
        let line = place.and_then(|place| log.lines.get(place));
        let seen = line.filter(|line| log.is_open || line.age_s < FRESH_S);
        words.set_if_neq(Text(seen.map_or_else(String::new, |line| line.words.clone())));
        let faded = |line: &LogLine| {
            let left = if log.is_open {
                1.0
            } else {
                ((FRESH_S - line.age_s) / 2.0).clamp(0.0, 1.0)
            };
            line.color.with_alpha(left)
        };
        color.set_if_neq(TextColor(seen.map_or(theme::TEXT, faded)));
    }
    let caret = if time.elapsed_secs().fract() < 0.6 {
        "_"
    } else {
        " "
    };
    let line = if log.is_open {
        format!("> {}{caret}", log.draft)
    } else {
        String::new()
    };
    draft.set_if_neq(Text(line));
    let color = if log.is_open { theme::PANEL } else { Color::NONE };
    back.set_if_neq(BackgroundColor(color));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_log_is_bounded_and_keeps_the_scroll_position() {
        let mut log = ChatLog::default();
        (0..LINES_MAX + 50).for_each(|number| log.note(number.to_string(), theme::TEXT));
        assert_eq!(log.lines.len(), LINES_MAX);
        log.scroll(5);
        log.note("new".into(), theme::TEXT);
        assert_eq!(log.scrolled, 6);
        log.scroll(isize::MAX);
        assert_eq!(log.scrolled, LINES_MAX - ROWS);
    }
}
