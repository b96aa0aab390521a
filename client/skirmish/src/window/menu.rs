//! The menu and the settings screen, over the game world: Escape opens and closes it.

use bevy::input::keyboard::KeyboardInput;
use bevy::input::mouse::MouseButtonInput;
use bevy::prelude::*;

use super::detail::{Detail, Painter};
use super::keys::{Action, Bind, Bindings, KeyboardFocus};
use super::session::{GamePhase, LinkOrder};
use super::settings_file::{SavedSettings, SettingsFile};
use super::theme::{self, button, centred, panel, paragraph, text};
use crate::detail_choice::DetailChoice;

pub(crate) struct MenuPlugin;

impl Plugin for MenuPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Menu>()
            .add_systems(OnEnter(GamePhase::Play), spawn_menu)
            .add_systems(OnExit(GamePhase::Play), |mut menu: ResMut<Menu>| {
                *menu = Menu::default();
            })
            .add_systems(
                Update,
                (bind_key, open, press, show)
                    .chain()
                    .run_if(in_state(GamePhase::Play)),
            );
    }
}

/// Whether the menu is open, and the action for which the player is to press a key.
#[derive(Resource, Default)]
struct Menu {
    is_open: bool,
    binding: Option<Action>,
    /// Whether a key was bound in this frame. That key also counts as pressed in this frame and is ignored.
    just_bound: bool,
}

#[derive(Component)]
struct MenuRoot;

#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum MenuButton {
    Resume,
    Detail,
    Shake,
    UsualKeys,
    Leave,
    Quit,
    Rebind(Action),
}

#[derive(Component)]
struct PressWords(MenuButton);

/// Marks the text about the graphics adapter and the detail.
#[derive(Component)]
struct DetailWords;

fn spawn_menu(mut commands: Commands) {
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            MenuRoot,
            centred(),
            BackgroundColor(Color::srgba(0.0, 0.0, 0.0, 0.45)),
            GlobalZIndex(10),
            Visibility::Hidden,
        ))
        .with_children(|screen| {
            screen
                .spawn(panel(Node {
                    width: Val::Px(700.0),
                    ..default()
                }))
                .with_children(|menu| {
                    menu.spawn(text("Settings", 24.0, theme::TEXT));
                    line(
                        menu,
                        &[
                            MenuButton::Resume,
                            MenuButton::Detail,
                            MenuButton::Shake,
                            MenuButton::UsualKeys,
                        ],
                    );
                    menu.spawn((DetailWords, paragraph("", 13.0, theme::MUTED)));
                    menu.spawn((
                        text(
                            "Keys: click one, then press the key or mouse button it is to be.",
                            13.0,
                            theme::MUTED,
                        ),
                        Node {
                            margin: UiRect::top(Val::Px(6.0)),
                            ..default()
                        },
                    ));
                    menu.spawn(Node {
                        column_gap: Val::Px(24.0),
                        ..default()
                    })
                    .with_children(|columns| {
                        for half in Action::ALL.chunks(Action::ALL.len() / 2) {
                            columns
                                .spawn(Node {
                                    flex_direction: FlexDirection::Column,
                                    row_gap: Val::Px(4.0),
                                    ..default()
                                })
                                .with_children(|column| {
                                    half.iter().for_each(|action| key_row(column, *action));
                                });
                        }
                    });
                    line(menu, &[MenuButton::Leave, MenuButton::Quit]);
                });
        });
}

fn line(menu: &mut ChildSpawnerCommands, presses: &[MenuButton]) {
    menu.spawn(Node {
        column_gap: Val::Px(8.0),
        margin: UiRect::top(Val::Px(4.0)),
        ..default()
    })
    .with_children(|row| {
        for press in presses {
            row.spawn((button(), *press))
                .with_child((PressWords(*press), text("", 14.0, theme::TEXT)));
        }
    });
}

fn key_row(column: &mut ChildSpawnerCommands, action: Action) {
    column
        .spawn(Node {
            align_items: AlignItems::Center,
            ..default()
        })
        .with_children(|row| {
            row.spawn((
                text(action.name(), 14.0, theme::MUTED),
                Node {
                    width: Val::Px(150.0),
                    ..default()
                },
            ));
            row.spawn((button(), MenuButton::Rebind(action)))
                .insert(Node {
                    width: Val::Px(150.0),
                    padding: UiRect::axes(Val::Px(8.0), Val::Px(4.0)),
                    justify_content: JustifyContent::Center,
                    border: UiRect::all(Val::Px(1.0)),
                    border_radius: BorderRadius::all(Val::Px(4.0)),
                    ..default()
                })
                .with_child((
                    PressWords(MenuButton::Rebind(action)),
                    text("", 14.0, theme::TEXT),
                ));
        });
}

/// Binds the key or button that the player presses to the selected action.
fn bind_key(
    mut keys: MessageReader<KeyboardInput>,
    mut buttons: MessageReader<MouseButtonInput>,
    mut menu: ResMut<Menu>,
    mut bindings: ResMut<Bindings>,
    mut settings: ResMut<SavedSettings>,
    file: Res<SettingsFile>,
) {
    menu.just_bound = false;
    let key = keys
        .read()
        .filter(|key| key.state.is_pressed())
        .map(|key| Bind::Key(key.key_code))
        .last();
    let button = buttons
        .read()
        .filter(|button| button.state.is_pressed())
        .map(|button| Bind::Mouse(button.button))
        .last();
    let (Some(action), Some(bind)) = (menu.binding, key.or(button)) else {
        return;
    };
    menu.binding = None;
    menu.just_bound = true;
    if bind.name().is_some() {
        bindings.rebind(action, bind);
        settings.keys = bindings.clone();
        file.save(&settings);
    }
}

fn open(keys: Res<ButtonInput<KeyCode>>, mut menu: ResMut<Menu>, mut keyboard: ResMut<KeyboardFocus>) {
    let escaped = keys.just_pressed(KeyCode::Escape) && !menu.just_bound;
    if escaped && (menu.is_open || *keyboard == KeyboardFocus::Ship) {
        menu.is_open = !menu.is_open;
        *keyboard = if menu.is_open {
            KeyboardFocus::Menu
        } else {
            KeyboardFocus::Ship
        };
    }
}

fn press(
    pressed: Query<(&Interaction, &MenuButton), Changed<Interaction>>,
    mut menu: ResMut<Menu>,
    mut keyboard: ResMut<KeyboardFocus>,
    (mut bindings, mut settings, file): (ResMut<Bindings>, ResMut<SavedSettings>, Res<SettingsFile>),
    mut orders: MessageWriter<LinkOrder>,
    mut exit: MessageWriter<AppExit>,
) {
    if !menu.is_open || menu.just_bound {
        return;
    }
    for (_, press) in pressed
        .iter()
        .filter(|(state, _)| **state == Interaction::Pressed)
    {
        match press {
            MenuButton::Resume => {
                menu.is_open = false;
                *keyboard = KeyboardFocus::Ship;
                continue;
            }
            MenuButton::Rebind(action) => {
                menu.binding = Some(*action);
                continue;
            }
            MenuButton::Leave => {
                orders.write(LinkOrder::Leave);
                continue;
            }
            MenuButton::Quit => {
                exit.write(AppExit::Success);
                continue;
            }
            MenuButton::Detail => {
                settings.detail = match settings.detail {
                    DetailChoice::Auto => DetailChoice::High,
                    DetailChoice::High => DetailChoice::Low,
                    DetailChoice::Low => DetailChoice::Auto,
                };
            }
            MenuButton::Shake => settings.shake = !settings.shake,
            MenuButton::UsualKeys => {
                *bindings = Bindings::default();
                settings.keys = bindings.clone();
            }
        }
        file.save(&settings);
    }
}

fn show(
    menu: Res<Menu>,
    bindings: Res<Bindings>,
    settings: Res<SavedSettings>,
    (detail, painter): (Res<Detail>, Res<Painter>),
    mut root: Single<&mut Visibility, With<MenuRoot>>,
    mut words: Query<(&PressWords, &mut Text)>,
    mut drawn: Single<&mut Text, (With<DetailWords>, Without<PressWords>)>,
) {
    drawn.set_if_neq(Text(painter.words(*detail, settings.detail)));
    let seen = if menu.is_open {
        Visibility::Inherited
    } else {
        Visibility::Hidden
    };
    root.set_if_neq(seen);
    for (PressWords(press), mut words) in &mut words {
        let said = match press {
            MenuButton::Resume => "Back to the ship (Esc)".into(),
            MenuButton::Detail => format!("Detail: {:?}", settings.detail),
            MenuButton::Shake => format!("Shaking: {}", if settings.shake { "on" } else { "off" }),
            MenuButton::UsualKeys => "Usual keys".into(),
            MenuButton::Leave => "Leave the server".into(),
            MenuButton::Quit => "Quit".into(),
            MenuButton::Rebind(action) if menu.binding == Some(*action) => "press a key".into(),
            MenuButton::Rebind(action) => bindings.name(*action).into(),
        };
        words.set_if_neq(Text(said));
    }
}
