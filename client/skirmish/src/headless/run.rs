//! Runs a script on a connected client and collects the report.

use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bevy_app::App;
use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::chat::{ChatLine, ChatNotice, Say};
use skirmish_shared::components::Hull;
use skirmish_shared::input::PilotInput;
use throng_client::connection::ClientEvent;
use throng_client::player::{ClientSettings, ConnectionStatus, PlayerEvent};
use throng_client::predict::{PredictionErrors, Present};
use throng_client::stats::{NetStats, NetStatsPlugin};
use throng_client::world::{
    ClientWorldPlugin, Connection, ConnectionEvent, NextInput, Own, TellError, TellServer, WorldMirror,
};
use throng_shared::files;
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::{FromServer, Protocol};

use super::error::HeadlessError;
use super::report::{FlightReport, ScriptOutcome, ms};
use super::script::{Figure, Script, ScriptCommand, Step};
use crate::chat::chat_text;
use crate::plugin::SkirmishClientPlugin;

/// Limit on the bytes of a script.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;
const FRAME: Duration = Duration::from_millis(10);
/// Chat lines that a report has at most; the oldest are dropped.
const CHAT_LINES_MAX: usize = 100;

/// The options of a headless run.
#[derive(Debug, Clone)]
pub(crate) struct HeadlessOptions {
    /// The server's HTTP address: `HOST:PORT` or a URL.
    pub(crate) server: String,
    pub(crate) name: String,
    /// The file that keeps the client's credential.
    pub(crate) credential_file: Option<PathBuf>,
    pub(crate) script: PathBuf,
    /// File to write the report to as JSON; `-` is the standard output.
    pub(crate) json: Option<PathBuf>,
}

/// Runs the script, and writes the report to `out` and to the file in the options.
///
/// # Errors
/// A [`HeadlessError`] when the script cannot be read or the connection fails.
pub(crate) fn run(options: &HeadlessOptions, out: &mut impl Write) -> Result<ScriptOutcome, HeadlessError> {
    let file = options.script.display().to_string();
    let text =
        files::read_text(&options.script, SCRIPT_BYTES_MAX).map_err(|source| HeadlessError::Unreadable {
            file: options.script.clone(),
            source,
        })?;
    let script = Script::parse(&file, &text)?;
    let mut flight = Flight::new(options, file);
    for step in &script.steps {
        if step.command == ScriptCommand::Quit {
            break;
        }
        flight.execute(step)?;
    }
    let report = flight.finish();
    write!(out, "{report}").map_err(HeadlessError::Report)?;
    if let Some(json) = &options.json {
        write_json(json, &report, out)?;
    }
    Ok(ScriptOutcome { report })
}

fn write_json(path: &Path, report: &FlightReport, out: &mut impl Write) -> Result<(), HeadlessError> {
    let json = serde_json::to_string_pretty(report).map_err(|error| HeadlessError::Report(error.into()))?;
    let written = match path.to_str() {
        Some("-") => writeln!(out, "{json}"),
        _ => fs::write(path, json + "\n"),
    };
    written.map_err(HeadlessError::Report)
}

/// Events of the connection and the chat, for the report.
#[derive(Resource, Default)]
struct Log {
    joined: Option<Duration>,
    flying: Option<Duration>,
    losses: u32,
    server_version: String,
    start: Option<Vec2>,
    received: u32,
    chat: VecDeque<String>,
}

impl Log {
    fn note(&mut self, line: String) {
        if self.chat.len() == CHAT_LINES_MAX {
            self.chat.pop_front();
        }
        self.chat.push_back(line);
    }
}

struct Flight {
    app: App,
    file: String,
    input: PilotInput,
    report: FlightReport,
}

impl Flight {
    fn new(options: &HeadlessOptions, file: String) -> Self {
        let settings = ClientSettings {
            credential_file: options.credential_file.clone(),
            ..ClientSettings::new(&options.server, &options.name)
        };
        let mut app = App::new();
        app.add_plugins((
            SkirmishClientPlugin,
            ClientWorldPlugin { settings },
            NetStatsPlugin,
        ))
        .init_resource::<Log>()
        .add_systems(bevy_app::Update, update_log);
        app.finish();
        app.cleanup();
        let report = FlightReport {
            server: options.server.clone(),
            ..FlightReport::default()
        };
        Self {
            app,
            file,
            input: PilotInput::default(),
            report,
        }
    }

    fn execute(&mut self, step: &Step) -> Result<(), HeadlessError> {
        match &step.command {
            &ScriptCommand::Wait(time) => self.wait(time, |_| false).map(drop),
            &ScriptCommand::WaitFlying(time) => {
                let is_flying = self.wait(time, |world| world.resource::<Log>().flying.is_some())?;
                let status = self.app.world().resource::<ConnectionStatus>().to_string();
                self.check(step.line, is_flying, || {
                    format!("flying within {time:?}: {status}")
                });
                Ok(())
            }
            &ScriptCommand::WaitChat(lines, time) => {
                let is_received = self.wait(time, |world| world.resource::<Log>().received >= lines)?;
                let received = self.app.world().resource::<Log>().received;
                self.check(step.line, is_received, || {
                    format!("{lines} lines of chat within {time:?}: it received {received}")
                });
                Ok(())
            }
            &ScriptCommand::Thrust(thrust) => self.control(|input| input.thrust = thrust),
            &ScriptCommand::Turn(turn) => self.control(|input| input.turn = turn),
            &ScriptCommand::Aim(aim) => self.control(|input| input.aim = aim),
            &ScriptCommand::Button(button, held) => self.control(|input| {
                input.buttons = if held {
                    input.buttons | button
                } else {
                    input.buttons & !button
                };
            }),
            &ScriptCommand::Line(conditions) => {
                let mut connection = self.app.world_mut().resource_mut::<Connection>();
                connection.0.set_line(conditions);
                Ok(())
            }
            &ScriptCommand::Expect(figure, comparison, bound) => {
                let value = self.figure(figure);
                let holds = value.is_some_and(|value| comparison.holds(value, bound));
                let was = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
                self.check(step.line, holds, || {
                    format!("{figure} {comparison} {bound}: it is {was}")
                });
                Ok(())
            }
            ScriptCommand::Say(say) => {
                let sent = self.app.world_mut().run_system_cached_with(send_say, say.clone());
                // The type is registered and the line fits a message, because the script was checked. A script that writes
                // faster than the server acknowledges has no room.
                if let Ok(Err(error)) = sent {
                    tracing::error!(%error, "a chat line was not sent");
                }
                Ok(())
            }
            ScriptCommand::Quit => Ok(()),
        }
    }

    /// Updates the app until `is_done` or until `time` has passed; returns whether `is_done` was true.
    fn wait(&mut self, time: Duration, is_done: impl Fn(&World) -> bool) -> Result<bool, HeadlessError> {
        let until = self.now() + time;
        loop {
            self.app.update();
            let world = self.app.world();
            if let ConnectionStatus::Failed { why } = world.resource::<ConnectionStatus>() {
                return Err(HeadlessError::Disconnected(why.clone()));
            }
            if is_done(world) {
                return Ok(true);
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(FRAME.min(left));
        }
    }

    fn now(&self) -> Duration {
        self.app.world().resource::<Connection>().0.now()
    }

    fn control(&mut self, change: impl FnOnce(&mut PilotInput)) -> Result<(), HeadlessError> {
        change(&mut self.input);
        let input = self.input;
        self.app
            .world_mut()
            .resource_scope(|world, protocol: Mut<Protocol>| {
                // The type is registered and the values are in range.
                if let Err(error) = world.resource_mut::<NextInput>().set(&protocol, &input) {
                    tracing::error!(%error, "cannot encode an input");
                }
            });
        Ok(())
    }

    fn check(&mut self, line: usize, holds: bool, what: impl FnOnce() -> String) {
        if holds {
            self.report.met += 1;
        } else {
            self.report
                .unmet
                .push(format!("{}:{line}: expected {}", self.file, what()));
        }
    }

    fn figure(&mut self, figure: Figure) -> Option<f32> {
        let world = self.app.world_mut();
        let stats = world.resource::<NetStats>();
        match figure {
            Figure::Ping => Some(stats.ping_ms.newest()),
            Figure::Loss => Some(stats.loss.newest() * 100.0),
            Figure::Delay => Some(stats.interpolation_delay_ms.newest()),
            Figure::Error => world.resource::<PredictionErrors>().quantile(0.99),
            Figure::Entities => Some(world.resource::<WorldMirror>().len() as f32),
            Figure::Speed => {
                let mut own =
                    world.query_filtered::<&Present<throng_shared::protocol::pose::Velocity>, With<Own>>();
                own.iter(world).next().map(|velocity| velocity.0.0.length())
            }
            Figure::Moved => {
                let start = world.resource::<Log>().start?;
                own_position(world).map(|position| position.distance(start))
            }
            Figure::Hull => {
                let mut own = world.query_filtered::<&Hull, With<Own>>();
                own.iter(world).next().map(|hull| f32::from(hull.now))
            }
            Figure::Chat => Some(world.resource::<Log>().received as f32),
        }
    }

    fn finish(mut self) -> FlightReport {
        let world = self.app.world_mut();
        self.report.measure(world);
        let log = world.resource::<Log>();
        self.report.joined_ms = log.joined.map(ms);
        self.report.flying_ms = log.flying.map(ms);
        self.report.losses = log.losses;
        self.report.server_version.clone_from(&log.server_version);
        self.report.chat = log.chat.iter().cloned().collect();
        // Removing the connection disconnects from the server.
        world.remove_resource::<Connection>();
        self.report
    }
}

/// Returns the predicted position of the own ship.
fn own_position(world: &mut World) -> Option<Vec2> {
    let mut own = world.query_filtered::<&Present<Position>, With<Own>>();
    own.iter(world).next().map(|position| position.0.0)
}

fn send_say(In(say): In<Say>, mut server: TellServer) -> Result<(), TellError> {
    server.send(&say)
}

fn update_log(
    mut log: ResMut<Log>,
    mut events: MessageReader<ConnectionEvent>,
    own: Query<&Position, Added<Own>>,
    mut chat: MessageReader<FromServer<ChatLine>>,
    mut notices: MessageReader<FromServer<ChatNotice>>,
    connection: Res<Connection>,
) {
    for FromServer(line) in chat.read() {
        log.received += 1;
        log.note(chat_text(line));
    }
    for FromServer(notice) in notices.read() {
        log.note(notice.to_string());
    }
    let now = connection.0.now();
    for ConnectionEvent(event) in events.read() {
        match event {
            PlayerEvent::Joined { server_version } => {
                log.joined.get_or_insert(now);
                log.server_version.clone_from(server_version);
            }
            PlayerEvent::CredentialFailed(error) => log.note(error.to_string()),
            PlayerEvent::Session(ClientEvent::Silent)
            | PlayerEvent::Retrying { .. }
            | PlayerEvent::GivenUp => log.losses += 1,
            _ => {}
        }
    }
    if let Some(position) = own.iter().next() {
        log.flying.get_or_insert(now);
        log.start.get_or_insert(position.0);
    }
}
