//! The score board, which is visible while its key is held.

use bevy::prelude::*;
use skirmish_shared::standings::{OwnStanding, Standing, Standings};
use throng_shared::protocol::registry::FromServer;

use super::colors::{Colors, ui};
use super::keys::{Action, ActionInput};
use super::netgraph::{self, Graph};
use super::session::GamePhase;
use super::theme::{self, centred, panel, text};

/// Number of rows that are shown.
const ROWS: usize = 12;
/// The columns' names and widths, in pixels.
const COLUMNS: [(&str, f32); 7] = [
    ("", 36.0),
    ("Pilot", 200.0),
    ("Points", 76.0),
    ("Pilots", 76.0),
    ("Drones", 76.0),
    ("Deaths", 76.0),
    ("Credits", 76.0),
];

pub(crate) struct ScoresPlugin;

impl Plugin for ScoresPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<OwnRow>()
            .add_systems(OnEnter(GamePhase::Play), spawn_board)
            .add_systems(
                Update,
                (update_own_row, avoid_net_graph, show_board)
                    .chain()
                    .run_if(in_state(GamePhase::Play)),
            );
    }
}

/// The player's own row on the board.
#[derive(Resource, Default)]
struct OwnRow(OwnStanding);

#[derive(Component)]
struct Board;

#[derive(Component)]
struct BoardCell {
    row: usize,
    column: usize,
}

#[derive(Component)]
struct Title;

fn spawn_board(mut commands: Commands) {
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            Board,
            centred(),
            GlobalZIndex(6),
            Visibility::Hidden,
        ))
        .with_children(|screen| {
            screen.spawn(panel(Node::default())).with_children(|board| {
                board.spawn((Title, text("", 22.0, theme::TEXT)));
                // Row 0 has the names of the columns; the last row is the player's.
                for row in 0..ROWS + 2 {
                    board.spawn(Node::default()).with_children(|line| {
                        for (column, (_, width)) in COLUMNS.iter().enumerate() {
                            line.spawn((
                                BoardCell { row, column },
                                text("", 15.0, theme::TEXT),
                                Node {
                                    width: Val::Px(*width),
                                    ..default()
                                },
                            ));
                        }
                    });
                }
            });
        });
}

fn update_own_row(mut standings: MessageReader<FromServer<OwnStanding>>, mut own: ResMut<OwnRow>) {
    if let Some(FromServer(standing)) = standings.read().last() {
        own.0 = standing.clone();
    }
}

/// Centres the board in the space that the net graph leaves.
fn avoid_net_graph(
    graph: Single<&Visibility, (With<Graph>, Changed<Visibility>)>,
    mut board: Single<&mut Node, With<Board>>,
) {
    let taken = if **graph == Visibility::Hidden {
        0.0
    } else {
        netgraph::TAKEN_WIDTH
    };
    board.padding = UiRect::right(Val::Px(taken));
}

fn show_board(
    controls: ActionInput,
    standings: Option<Res<Standings>>,
    (own, colors): (Res<OwnRow>, Res<Colors>),
    mut board: Single<&mut Visibility, With<Board>>,
    mut title: Single<&mut Text, (With<Title>, Without<BoardCell>)>,
    mut cells: Query<(&BoardCell, &mut Text, &mut TextColor)>,
) {
    let seen = if controls.pressed(Action::Scores) {
        Visibility::Inherited
    } else {
        Visibility::Hidden
    };
    board.set_if_neq(seen);
    if seen == Visibility::Hidden {
        return;
    }
    let (pilots, best) = standings
        .as_ref()
        .map_or((0, &[][..]), |board| (board.pilots, &board.best[..]));
    title.set_if_neq(Text(format!("Pilots flying: {pilots}")));
    let own = &own.0;
    for (BoardCell { row, column }, mut words, mut color) in &mut cells {
        let (rank, standing) = match row.checked_sub(1) {
            Some(ROWS) => (
                own.rank as usize,
                (own.rank as usize > ROWS).then_some(&own.standing),
            ),
            Some(place) => (place + 1, best.get(place)),
            None => (0, None),
        };
        let (said, shade) = match standing {
            Some(standing) => (
                cell(rank, standing, *column),
                shade(standing, own, *column, &colors),
            ),
            None if *row == 0 => (COLUMNS[*column].0.to_owned(), theme::MUTED),
            None => (String::new(), theme::TEXT),
        };
        words.set_if_neq(Text(said));
        color.set_if_neq(TextColor(shade));
    }
}

fn cell(rank: usize, standing: &Standing, column: usize) -> String {
    match column {
        0 => rank.to_string(),
        1 => standing.name.clone(),
        2 => standing.score.points().to_string(),
        3 => standing.score.kills.to_string(),
        4 => standing.score.drones.to_string(),
        5 => standing.score.deaths.to_string(),
        _ => standing.credits.to_string(),
    }
}

fn shade(standing: &Standing, own: &OwnStanding, column: usize, colors: &Colors) -> Color {
    if column == 1 {
        ui(colors.team(standing.team).lerp(Vec3::ONE, 0.35))
    } else if standing.name == own.standing.name {
        theme::WARM
    } else {
        theme::TEXT
    }
}
