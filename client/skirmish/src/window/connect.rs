//! The connect screen: the server, the player's name, and the reason of the last failure.

use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::*;
use throng_shared::random::Random;

use super::keys::KeyboardFocus;
use super::session::{GamePhase, LinkOrder, LinkState};
use super::settings_file::SavedSettings;
use super::theme::{self, button, centred, panel, paragraph, text};

/// Longest server address and longest name that can be typed, in characters.
const ADDRESS_CHARS_MAX: usize = 120;
const NAME_CHARS_MAX: usize = 24;
/// Width of the panel, and height reserved for the longest usual message, in pixels.
const PANEL_WIDTH: f32 = 560.0;
const PROBLEM_HEIGHT: f32 = 76.0;

pub(crate) struct ConnectPlugin {
    /// Whether to join at once, without waiting for the player.
    pub(crate) at_once: bool,
}

impl Plugin for ConnectPlugin {
    fn build(&self, app: &mut App) {
        let at_once = self.at_once;
        app.init_resource::<Form>()
            .add_systems(
                Startup,
                move |mut settings: ResMut<SavedSettings>,
                      mut orders: MessageWriter<LinkOrder>,
                      time: Res<Time<Real>>| {
                    if settings.name.trim().is_empty() {
                        settings.name = random_name(time.startup().elapsed().subsec_nanos());
                    }
                    if at_once {
                        orders.write(LinkOrder::Join);
                    }
                },
            )
            .add_systems(OnEnter(GamePhase::Connect), spawn_screen)
            .add_systems(
                OnExit(GamePhase::Connect),
                |mut keyboard: ResMut<KeyboardFocus>| {
                    *keyboard = KeyboardFocus::Ship;
                },
            )
            .add_systems(
                Update,
                (type_text, press_buttons, show_form)
                    .chain()
                    .run_if(in_state(GamePhase::Connect)),
            );
    }
}

/// Returns a name for a player without one.
fn random_name(seed: u32) -> String {
    let mut random = Random::new(u64::from(seed) ^ u64::from(std::process::id()) << 32);
    format!("Pilot-{:03}", (random.unit() * 1_000.0) as u32)
}

/// The text fields of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Component)]
enum Field {
    #[default]
    Server,
    Name,
}

/// The field that receives typed text.
#[derive(Resource, Default)]
struct Form {
    focus: Field,
}

#[derive(Component)]
struct FieldText(Field);

#[derive(Component)]
enum ConnectButton {
    Fly,
    Quit,
}

#[derive(Component)]
struct FlyWords;

#[derive(Component)]
struct Problem;

fn spawn_screen(mut commands: Commands) {
    commands
        .spawn((DespawnOnExit(GamePhase::Connect), centred()))
        .with_children(|screen| {
            screen.spawn((
                text("S K I R M I S H", 58.0, theme::TEXT),
                Node {
                    margin: UiRect::bottom(Val::Px(2.0)),
                    ..default()
                },
            ));
            screen.spawn((
                text("a battle for thousands, on Throng", 17.0, theme::MUTED),
                Node {
                    margin: UiRect::bottom(Val::Px(330.0)),
                    ..default()
                },
            ));
        });
    commands
        .spawn((
            DespawnOnExit(GamePhase::Connect),
            Node {
                justify_content: JustifyContent::FlexEnd,
                padding: UiRect::bottom(Val::Px(52.0)),
                ..centred()
            },
        ))
        .with_children(|screen| {
            screen
                .spawn(panel(Node {
                    width: Val::Px(PANEL_WIDTH),
                    ..default()
                }))
                .with_children(|panel| {
                    field(panel, "Server", Field::Server);
                    field(panel, "Your name", Field::Name);
                    panel
                        .spawn(Node {
                            column_gap: Val::Px(10.0),
                            margin: UiRect::top(Val::Px(8.0)),
                            ..default()
                        })
                        .with_children(|row| {
                            row.spawn((button(), ConnectButton::Fly))
                                .with_child((FlyWords, text("Fly  (Enter)", 18.0, theme::ACCENT)));
                            row.spawn((button(), ConnectButton::Quit)).with_child(text(
                                "Quit",
                                18.0,
                                theme::MUTED,
                            ));
                        });
                    panel.spawn((
                        Problem,
                        paragraph("", 15.0, theme::ALERT),
                        // A fixed width, because the height of a text follows from its line breaks.
                        Node {
                            width: Val::Px(PANEL_WIDTH - 2.0 * theme::PANEL_EDGE),
                            min_height: Val::Px(PROBLEM_HEIGHT),
                            margin: UiRect::top(Val::Px(4.0)),
                            ..default()
                        },
                    ));
                });
        });
}

fn field(panel: &mut ChildSpawnerCommands, label: &str, field: Field) {
    panel.spawn(text(label, 14.0, theme::MUTED));
    panel
        .spawn((
            Button,
            field,
            Node {
                padding: UiRect::axes(Val::Px(10.0), Val::Px(7.0)),
                border: UiRect::all(Val::Px(1.0)),
                border_radius: BorderRadius::all(Val::Px(4.0)),
                ..default()
            },
            BackgroundColor(theme::FIELD),
            BorderColor::all(theme::LINE),
        ))
        .with_child((FieldText(field), text("", 18.0, theme::TEXT)));
}

fn type_text(
    mut pressed: MessageReader<KeyboardInput>,
    mut form: ResMut<Form>,
    mut settings: ResMut<SavedSettings>,
    mut keyboard: ResMut<KeyboardFocus>,
    link: Res<LinkState>,
    mut orders: MessageWriter<LinkOrder>,
    mut exit: MessageWriter<AppExit>,
) {
    keyboard.set_if_neq(KeyboardFocus::TextField);
    for key in pressed.read().filter(|key| key.state.is_pressed()) {
        let (value, longest) = match form.focus {
            Field::Server => (&settings.server, ADDRESS_CHARS_MAX),
            Field::Name => (&settings.name, NAME_CHARS_MAX),
        };
        let mut value = value.clone();
        match &key.logical_key {
            Key::Tab | Key::ArrowDown | Key::ArrowUp => {
                form.focus = match form.focus {
                    Field::Server => Field::Name,
                    Field::Name => Field::Server,
                };
                continue;
            }
            Key::Enter => {
                orders.write(LinkOrder::Join);
                continue;
            }
            Key::Escape
                if matches!(
                    *link,
                    LinkState::Joining | LinkState::Silent | LinkState::Waiting { .. }
                ) =>
            {
                orders.write(LinkOrder::Leave);
                continue;
            }
            Key::Escape => {
                exit.write(AppExit::Success);
                continue;
            }
            Key::Backspace => {
                value.pop();
            }
            _ => {
                let typed = key.text.iter().flat_map(|text| text.chars());
                let room = longest.saturating_sub(value.chars().count());
                value.extend(typed.filter(|letter| !letter.is_control()).take(room));
            }
        }
        match form.focus {
            Field::Server => settings.server = value,
            Field::Name => settings.name = value,
        }
    }
}

fn press_buttons(
    pressed: Query<(&Interaction, Option<&ConnectButton>, Option<&Field>), Changed<Interaction>>,
    mut form: ResMut<Form>,
    mut orders: MessageWriter<LinkOrder>,
    mut exit: MessageWriter<AppExit>,
) {
    for (_, press, field) in pressed
        .iter()
        .filter(|(state, ..)| **state == Interaction::Pressed)
    {
        match press {
            Some(ConnectButton::Fly) => {
                orders.write(LinkOrder::Join);
            }
            Some(ConnectButton::Quit) => {
                exit.write(AppExit::Success);
            }
            None => {}
        }
        if let Some(field) = field {
            form.focus = *field;
        }
    }
}

fn show_form(
    form: Res<Form>,
    settings: Res<SavedSettings>,
    link: Res<LinkState>,
    time: Res<Time>,
    mut fields: Query<(&FieldText, &mut Text)>,
    mut boxes: Query<(&Field, &mut BorderColor)>,
    mut problem: Single<(&mut Text, &mut TextColor), (With<Problem>, Without<FieldText>)>,
) {
    let blink = time.elapsed_secs().fract() < 0.6;
    for (FieldText(field), mut words) in &mut fields {
        let value = match field {
            Field::Server => &settings.server,
            Field::Name => &settings.name,
        };
        let caret = if *field == form.focus && blink { "_" } else { " " };
        words.set_if_neq(Text(format!("{value}{caret}")));
    }
    for (field, mut border) in &mut boxes {
        let color = if *field == form.focus {
            theme::ACCENT
        } else {
            theme::LINE
        };
        border.set_if_neq(BorderColor::all(color));
    }
    let (words, color) = match &*link {
        LinkState::Idle => (String::new(), theme::MUTED),
        LinkState::Joining => (
            format!("Joining {} ...\nEsc stops.", settings.server),
            theme::ACCENT,
        ),
        LinkState::Silent => (
            "No reply from the server, reconnecting ...\nEsc stops.".into(),
            theme::WARM,
        ),
        LinkState::Up => ("The server answered; the ship is on its way.".into(), theme::GOOD),
        LinkState::Failed(reason) => (sentence(reason), theme::ALERT),
        LinkState::Waiting { problem, until } => {
            let left = until.saturating_sub(time.elapsed()).as_secs_f32().ceil();
            (
                format!("{}\nTrying again in {left:.0} s. Esc stops.", sentence(problem)),
                theme::WARM,
            )
        }
    };
    problem.0.set_if_neq(Text(words));
    problem.1.set_if_neq(TextColor(color));
}

/// Formats an error message as a sentence.
pub(crate) fn sentence(problem: &str) -> String {
    let mut letters = problem.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let rest = letters.as_str().trim_end_matches('.');
    first.map_or_else(String::new, |first| format!("{first}{rest}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_message_is_formatted_as_a_sentence() {
        assert_eq!(sentence("the server is full"), "The server is full.");
        assert_eq!(sentence("Gone."), "Gone.");
        assert_eq!(sentence(""), "");
    }
}
