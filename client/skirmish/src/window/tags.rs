//! Names over ships, and bars over entities that can take damage: for the nearest ones, where there is room.

use bevy::prelude::*;
use skirmish_shared::components::{Callsign, Drone, Hull, Shield, Ship};
use throng_client::world::Own;

use super::batch::Paint;
use super::camera::{PaintOrder, Rig, on_screen};
use super::colors;
use super::content::Tables;
use super::session::GamePhase;
use super::teams::Teams;
use super::theme::{self, text};
use super::view::{Appearance, Focus};

/// Largest number of tags.
const TAGS: usize = 28;
/// Width of a tag, in pixels.
const WIDE: f32 = 120.0;
/// Width of its bars, in pixels.
const BAR: f32 = 44.0;

pub(crate) struct TagsPlugin;

impl Plugin for TagsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(OnEnter(GamePhase::Play), spawn_tags).add_systems(
            Paint,
            place_tags.after(PaintOrder).run_if(in_state(GamePhase::Play)),
        );
    }
}

#[derive(Component)]
struct Tag;

#[derive(Component)]
struct TagName;

/// Marks a bar of a tag: the shield's or the hull's.
#[derive(Component)]
struct TagBar {
    is_shield: bool,
}

fn spawn_tags(mut commands: Commands) {
    for _ in 0..TAGS {
        let node = Node {
            position_type: PositionType::Absolute,
            width: Val::Px(WIDE),
            flex_direction: FlexDirection::Column,
            align_items: AlignItems::Center,
            row_gap: Val::Px(2.0),
            ..default()
        };
        commands
            .spawn((
                DespawnOnExit(GamePhase::Play),
                Tag,
                GlobalZIndex(-1),
                node,
                Visibility::Hidden,
            ))
            .with_children(|tag| {
                tag.spawn((TagName, text("", 13.0, theme::TEXT)));
                for is_shield in [true, false] {
                    tag.spawn((
                        Node {
                            width: Val::Px(BAR),
                            height: Val::Px(3.0),
                            ..default()
                        },
                        BackgroundColor(Color::srgba(0.0, 0.0, 0.0, 0.55)),
                    ))
                    .with_child((
                        TagBar { is_shield },
                        Node {
                            width: Val::Percent(100.0),
                            height: Val::Percent(100.0),
                            ..default()
                        },
                        BackgroundColor(if is_shield { theme::ACCENT } else { theme::GOOD }),
                    ));
                }
            });
    }
}

/// The contents of a tag.
struct Words {
    at: Vec2,
    range: f32,
    name: String,
    color: Color,
    parts: [f32; 2],
}

type Tagged = (
    Entity,
    &'static Appearance,
    &'static Hull,
    Option<&'static Shield>,
    Option<&'static Ship>,
    Option<&'static Drone>,
    Option<&'static Callsign>,
);

fn collect_tags(
    crafts: &Query<Tagged, Without<Own>>,
    (teams, tables): (&Teams, &Tables),
    (focus, rig): (&Focus, &Rig),
    to_screen: impl Fn(Vec3) -> Option<Vec2>,
) -> Vec<Words> {
    let mut found: Vec<Words> = crafts
        .iter()
        .filter_map(|(entity, look, hull, shield, ship, drone, callsign)| {
            let part = |now: u16, max: u16| f32::from(now) / f32::from(max.max(1));
            let parts = [
                shield.map_or(0.0, |shield| part(shield.now, shield.max)),
                part(hull.now, hull.max),
            ];
            let is_aimed_at = look.at.distance(rig.aim) < 3.5;
            // Undamaged drones have no tag: there are too many of them.
            if drone.is_some() && !is_aimed_at && parts[1] >= 1.0 && parts[0] >= 1.0 {
                return None;
            }
            let radius = ship.map_or(1.2, |ship| tables.ship_radius(ship.class));
            let name = match (callsign, drone) {
                (Some(callsign), _) => callsign.0.clone(),
                (None, Some(drone)) if is_aimed_at => tables
                    .drone(drone.breed)
                    .map_or_else(String::new, |breed| breed.name.clone()),
                _ => String::new(),
            };
            Some(Words {
                at: to_screen(look.place(focus, 0.0) + Vec3::new(0.0, radius, -radius * 1.2))?,
                range: look.at.distance(focus.at),
                name,
                color: colors::ui(teams.color(entity).lerp(Vec3::ONE, 0.35)),
                parts,
            })
        })
        .collect();
    found.sort_by(|a, b| a.range.total_cmp(&b.range));
    found
}

fn place_tags(
    crafts: Query<Tagged, Without<Own>>,
    teams: Teams,
    (tables, focus, rig): (Tables, Res<Focus>, Res<Rig>),
    camera: Single<(&Camera, &Transform), With<Camera3d>>,
    mut tags: Query<(&mut Node, &mut Visibility, &Children), With<Tag>>,
    mut names: Query<(&mut Text, &mut TextColor), With<TagName>>,
    mut bars: Query<(&TagBar, &mut Node), Without<Tag>>,
    rows: Query<&Children, Without<Tag>>,
) {
    let (camera, transform) = *camera;
    let size = camera.logical_viewport_size().unwrap_or(Vec2::new(1280.0, 720.0));
    let found = collect_tags(&crafts, (&teams, &tables), (&focus, &rig), |place| {
        on_screen(camera, transform, place)
    });
    let mut taken: Vec<Vec2> = Vec::new();
    // The nearest first; a tag that would cover another tag or an instrument is not shown.
    let mut free = found.into_iter().filter(|words| {
        let inside =
            words.at.x > 0.0 && words.at.x < size.x && words.at.y > 40.0 && words.at.y < size.y - 120.0;
        let is_clear = taken
            .iter()
            .all(|other| (other.x - words.at.x).abs() > 78.0 || (other.y - words.at.y).abs() > 26.0);
        if inside && is_clear {
            taken.push(words.at);
        }
        inside && is_clear
    });
    for (mut node, mut visibility, children) in &mut tags {
        let Some(words) = free.next() else {
            visibility.set_if_neq(Visibility::Hidden);
            continue;
        };
        visibility.set_if_neq(Visibility::Inherited);
        node.left = Val::Px((words.at.x - WIDE / 2.0).round());
        node.top = Val::Px((words.at.y - 24.0).round());
        for child in children {
            if let Ok((mut text, mut color)) = names.get_mut(*child) {
                text.set_if_neq(Text(words.name.clone()));
                color.set_if_neq(TextColor(words.color));
            }
            for grandchild in rows.get(*child).into_iter().flatten() {
                if let Ok((bar, mut node)) = bars.get_mut(*grandchild) {
                    let part = words.parts[usize::from(!bar.is_shield)];
                    let width = Val::Percent((part * 100.0).round());
                    if node.width != width {
                        node.width = width;
                    }
                }
            }
        }
    }
}
