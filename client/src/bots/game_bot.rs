//! One bot: the app of a client without a window, and when its session and its app are due.

use std::time::Duration;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{Schedules, SingleThreadedExecutor};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::error::BotsError;
use super::figures::BotFigures;
use super::quantiles::Quantiles;
use super::recipe::BotRecipe;
use crate::link::{LinkConditions, Traffic};
use crate::player::{Client, ClientSettings, ConnectionStatus};
use crate::predict::PredictionErrors;
use crate::world::{ClientClock, Connection, ConnectionTally, MirrorPlugin, WorldMirror, poll_connection};

/// Time between two polls of a bot that has no session, and between two updates of its app.
const IDLE_POLL_EVERY: Duration = Duration::from_millis(10);
const IDLE_FRAME_EVERY: Duration = Duration::from_millis(50);
/// Share of a tick that passes after a snapshot before the next one can arrive, on a perfect line.
const QUIET_TICKS: f32 = 0.75;
/// Share of a tick after which a snapshot leads to the next update of the app, and after which the app is updated
/// without one.
const FRAME_TICKS: f32 = 0.75;
const FRAME_TICKS_MAX: f32 = 1.25;

/// The state of a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GameBotState {
    /// It has had no session so far.
    Joining,
    /// It has a session, or joins again after one.
    Joined,
    /// It plays no more: it was refused, its session ended for good, or its game ended it.
    Gone,
}

/// One bot and when it is due. Times are those of the run.
pub(super) struct GameBot {
    app: App,
    state: GameBotState,
    /// Whether it has ever had a session and a snapshot in it.
    has_joined: bool,
    is_playing: bool,
    /// Whether a datagram has arrived since the last update of the app.
    is_fresh: bool,
    /// Whether the last look for datagrams found one.
    has_found: bool,
    has_bad_line: bool,
    polled_at: Duration,
    framed_at: Duration,
    /// Before then no datagram is expected.
    look_at: Duration,
    /// Then an input or something else is due to be sent.
    due: Duration,
    tick: Duration,
    frames: u64,
    visible: u64,
    /// The last problem; why it does not play.
    why: Option<String>,
    /// Reasons of sessions that ended, until the run takes them.
    pub(super) ended: Vec<String>,
}

impl GameBot {
    /// Makes the bot with this number, which begins to join.
    pub(super) fn start(recipe: &mut BotRecipe, number: u32) -> Result<Self, BotsError> {
        let settings = &recipe.settings;
        let mut client = ClientSettings::new(&settings.server, &format!("{}-{}", settings.name, number + 1));
        client.seed ^= settings.seed;
        client.join_timeout = settings.join_within.min(client.join_timeout);
        let line = settings.line;
        let mut app = App::new();
        (recipe.game)(&mut app);
        (recipe.drive)(&mut app, number);
        if app.is_plugin_added::<MirrorPlugin>() {
            return Err(BotsError::Connects);
        }
        app.add_plugins(MirrorPlugin)
            .init_resource::<ConnectionStatus>()
            .init_resource::<ConnectionTally>();
        let protocol = app.world().resource::<Protocol>().clone();
        let mut client = Client::new(client, &protocol);
        client.set_line(line);
        app.insert_resource(Connection(client));
        app.finish();
        app.cleanup();
        // Threads would cost more than the systems of a bot take.
        let mut schedules = app.world_mut().resource_mut::<Schedules>();
        for (_, schedule) in schedules.iter_mut() {
            schedule.set_executor(SingleThreadedExecutor::new());
        }
        Ok(Self {
            app,
            state: GameBotState::Joining,
            has_joined: false,
            is_playing: false,
            is_fresh: false,
            has_found: false,
            has_bad_line: line != LinkConditions::PERFECT,
            polled_at: Duration::ZERO,
            framed_at: Duration::ZERO,
            look_at: Duration::ZERO,
            due: Duration::ZERO,
            tick: IDLE_FRAME_EVERY,
            frames: 0,
            visible: 0,
            why: None,
            ended: Vec::new(),
        })
    }

    pub(super) fn state(&self) -> GameBotState {
        self.state
    }

    /// Returns whether the bot has ever played.
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// Returns whether the bot has a session, and was sent a snapshot in it.
    pub(super) fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Returns why the bot does not play.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Returns whether the server would refuse every other bot as well.
    pub(super) fn refuses_all(&self) -> bool {
        self.app.world().resource::<ConnectionTally>().refuses_all
    }

    /// Returns the newest tick whose snapshot arrived.
    pub(super) fn newest_tick(&self) -> Option<Tick> {
        self.app
            .world()
            .resource::<ClientClock>()
            .newest()
            .map(|(tick, _)| tick)
    }

    /// Leaves the server for good.
    pub(super) fn leave(&mut self) {
        self.app.world_mut().remove_resource::<Connection>();
        self.is_playing = false;
        self.state = GameBotState::Gone;
    }

    /// Receives what has arrived and sends what is due.
    pub(super) fn exchange(&mut self, now: Duration) {
        if self.state == GameBotState::Gone || (now < self.look_at && now < self.due) {
            return;
        }
        let world = self.app.world_mut();
        let has_work = now >= self.look_at && world.resource_mut::<Connection>().0.has_work();
        if has_work {
            self.is_fresh = true;
        } else if self.has_found && self.is_playing && !self.has_bad_line {
            // All of the tick's datagrams have arrived.
            self.look_at = self.polled_at + self.tick.mul_f32(QUIET_TICKS);
        }
        self.has_found = has_work;
        if has_work || now >= self.due {
            self.poll(now);
        }
    }

    /// Updates the app if that is due, and adds its times to the run's. Returns whether it did.
    pub(super) fn frame(&mut self, now: Duration, times: Option<(&mut Quantiles, &mut Quantiles)>) -> bool {
        let since = now.saturating_sub(self.framed_at);
        let is_due = match self.is_playing {
            true => {
                (self.is_fresh && since >= self.tick.mul_f32(FRAME_TICKS))
                    || since >= self.tick.mul_f32(FRAME_TICKS_MAX)
            }
            false => since >= IDLE_FRAME_EVERY,
        };
        if self.state == GameBotState::Gone || !is_due {
            return false;
        }
        if now.saturating_sub(self.polled_at) > self.tick / 4 {
            self.poll(now);
        }
        self.framed_at = now;
        self.is_fresh = false;
        self.app.update();
        if self.app.should_exit().is_some() {
            self.ended.push("the bot's own game wrote AppExit".to_owned());
            self.leave();
            return true;
        }
        if self.is_playing {
            self.frames += 1;
            self.visible += self.app.world().resource::<WorldMirror>().len() as u64;
            if let Some((round_trips, shown_delays)) = times {
                let clock = self.app.world().resource::<ClientClock>();
                let add = |times: &mut Quantiles, time: Option<Duration>| {
                    time.into_iter()
                        .for_each(|time| times.add(time.as_secs_f64() * 1e3));
                };
                add(round_trips, clock.round_trip());
                add(shown_delays, clock.interpolation_delay());
            }
        }
        true
    }

    /// Returns the bot's counts since its start.
    pub(super) fn figures(&self) -> BotFigures {
        let world = self.app.world();
        let traffic = world.resource::<Traffic>();
        let tally = world.resource::<ConnectionTally>();
        let errors = world.get_resource::<PredictionErrors>();
        BotFigures {
            down_bytes: traffic.bytes_in,
            down_datagrams: traffic.datagrams_in,
            up_bytes: traffic.bytes_out,
            up_datagrams: traffic.datagrams_out,
            snapshots: tally.snapshots,
            expected: tally.expected,
            updates: tally.updates,
            decode_errors: tally.decode_errors + world.resource::<WorldMirror>().undecodable(),
            silences: tally.silences,
            compared: errors.map_or(0, PredictionErrors::compared),
            corrected: errors.map_or(0, PredictionErrors::corrected),
            frames: self.frames,
            visible: self.visible,
        }
    }

    fn poll(&mut self, now: Duration) {
        let world = self.app.world_mut();
        poll_connection(world);
        self.polled_at = now;
        let client = &world.resource::<Connection>().0;
        let until_due = client.core().map(|core| core.until_update(client.now()));
        let has_session = until_due.is_some();
        self.due = now + until_due.unwrap_or(IDLE_POLL_EVERY);
        let clock = world.resource::<ClientClock>();
        self.tick = clock.tick_length().unwrap_or(IDLE_FRAME_EVERY);
        let mut tally = world.resource_mut::<ConnectionTally>();
        let mut problems = std::mem::take(&mut tally.problems);
        let (is_refused, snapshots) = (tally.is_refused, tally.snapshots);
        let had_session = std::mem::replace(&mut self.is_playing, has_session && snapshots > 0);
        if self.is_playing {
            self.state = GameBotState::Joined;
            self.has_joined = true;
        } else {
            self.look_at = now;
        }
        if let Some(problem) = problems.pop() {
            if had_session && !has_session {
                self.ended.push(problem.clone());
            }
            self.why = Some(problem);
        }
        if is_refused && !has_session {
            self.leave();
        }
    }
}
