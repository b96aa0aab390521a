//! The loop of all bots: they join, are measured, and leave.

use std::thread;
use std::time::{Duration, Instant};

use super::error::BotsError;
use super::figures::BotFigures;
use super::game_bot::{GameBot, GameBotState};
use super::recipe::BotRecipe;
use super::report::{BotProblem, BotsMeasured, BotsReport, count_problem};

/// Most bots that are joining at the same time.
const JOINING_MAX: usize = 16;
/// What each bot adds to the time in which all join.
const JOIN_EACH: Duration = Duration::from_millis(20);
/// Time after the last join for clocks to become stable.
const SETTLE: Duration = Duration::from_secs(1);
/// Time between two looks for datagrams, which is a part of the times that are measured. Apps are updated in what
/// remains of it.
const TURN: Duration = Duration::from_millis(2);
/// Time between two questions whether to stop early.
const STOP_ASKED_EVERY: Duration = Duration::from_millis(100);

/// Runs the bots of `recipe`. `say` is called with the stages of the run, in words; `should_stop` ends it early.
pub(super) fn run(
    recipe: BotRecipe,
    say: &mut dyn FnMut(&str),
    should_stop: &mut dyn FnMut() -> bool,
) -> Result<BotsReport, BotsError> {
    let settings = recipe.settings.clone();
    let mut run = BotsRun::new(recipe);
    say(&format!("{} bots join {}", settings.count, settings.server));
    run.join(should_stop)?;
    let playing = run.bots.iter().filter(|bot| bot.is_playing()).count();
    say(&format!(
        "{playing} bots play, measuring for {} s",
        settings.seconds
    ));
    let settled = run.now() + SETTLE;
    while run.now() < settled {
        run.turn(false);
    }
    run.measure(Duration::from_secs(settings.seconds.into()), should_stop);
    run.bots.iter_mut().for_each(GameBot::leave);
    Ok(run.measured.report(&settings))
}

/// All bots of a run and what it has measured so far.
struct BotsRun {
    recipe: BotRecipe,
    bots: Vec<GameBot>,
    /// The bot whose app is the next that may be updated.
    next_frame: usize,
    origin: Instant,
    stop_asked_at: Duration,
    measured: BotsMeasured,
}

impl BotsRun {
    fn new(recipe: BotRecipe) -> Self {
        Self {
            recipe,
            bots: Vec::new(),
            next_frame: 0,
            origin: start_clock(),
            stop_asked_at: Duration::ZERO,
            measured: BotsMeasured::default(),
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Lets all bots join. Those that do not play in time are refused.
    fn join(&mut self, should_stop: &mut dyn FnMut() -> bool) -> Result<(), BotsError> {
        let count = self.recipe.settings.count;
        let until = self.now() + self.recipe.settings.join_within + JOIN_EACH * count;
        loop {
            let is_joining = |bot: &&GameBot| bot.state() == GameBotState::Joining;
            let mut joining = self.bots.iter().filter(is_joining).count();
            let is_hopeless = self.bots.iter().any(GameBot::refuses_all);
            let is_over = is_hopeless || self.now() >= until || self.asked_to_stop(should_stop);
            if is_over || (joining == 0 && self.bots.len() == count as usize) {
                break;
            }
            while joining < JOINING_MAX && self.bots.len() < count as usize {
                let number = self.bots.len() as u32;
                self.bots.push(GameBot::start(&mut self.recipe, number)?);
                joining += 1;
            }
            self.turn(false);
        }
        let refuses_all = self.bots.iter().find(|bot| bot.refuses_all());
        let reason = refuses_all.and_then(GameBot::why).map(str::to_owned);
        self.refuse_the_others(reason);
        if self.measured.connected > 0 {
            return Ok(());
        }
        let problems = self.measured.problems.drain(..);
        let most = problems.max_by_key(|problem: &BotProblem| problem.count);
        let reason = most.map_or_else(|| "stopped before".to_owned(), |problem| problem.reason);
        Err(BotsError::NoneJoined { count, reason })
    }

    /// Counts the bots that have not joined as refused, those that were not started too: for `reason`, or each for its
    /// own.
    fn refuse_the_others(&mut self, reason: Option<String>) {
        let count = self.recipe.settings.count as usize;
        let reason = reason.as_deref();
        for bot in &mut self.bots {
            if bot.has_joined() {
                self.measured.connected += 1;
                continue;
            }
            let why = reason.or(bot.why()).unwrap_or("it had not joined in time");
            count_problem(&mut self.measured.problems, "refused", why);
            bot.leave();
        }
        for _ in self.bots.len()..count {
            let why = reason.unwrap_or("the others took all of the time to join");
            count_problem(&mut self.measured.problems, "refused", why);
        }
    }

    /// Measures for `length`, or until no bot is left.
    fn measure(&mut self, length: Duration, should_stop: &mut dyn FnMut() -> bool) {
        let begun = self.now();
        let before = self.figures();
        let first = self.newest_tick();
        let cpu_before = thread_cpu_seconds();
        let mut turned = begun;
        while self.now() < begun + length
            && !self.asked_to_stop(should_stop)
            && self.bots.iter().any(|bot| bot.state() == GameBotState::Joined)
        {
            self.turn(true);
            let now = self.now();
            let playing = self.bots.iter().filter(|bot| bot.is_playing()).count();
            self.measured.client_seconds += playing as f64 * (now - turned).as_secs_f64();
            turned = now;
        }
        let total = self.figures();
        let cpu_after = thread_cpu_seconds();
        let ticks = self.newest_tick().zip(first);
        let measured = &mut self.measured;
        measured.seconds = (turned - begun).as_secs_f64();
        measured.window = total.zip(before, u64::saturating_sub);
        measured.total = total;
        measured.ticks = ticks.map_or(0, |(last, first)| last.since(first).max(0) as u64);
        measured.cpu_seconds = cpu_after.zip(cpu_before).map(|(after, before)| after - before);
    }

    /// Runs one turn: every bot receives and sends, and then apps are updated for what is left of the turn, and for at
    /// least as long as the first part took. So neither waits for all of the other where there is more to do than time.
    fn turn(&mut self, is_measured: bool) {
        let begun = self.now();
        for bot in &mut self.bots {
            bot.exchange(self.origin.elapsed());
        }
        let exchanged = self.now();
        let until = (begun + TURN).max(exchanged + (exchanged - begun));
        for _ in 0..self.bots.len() {
            let index = self.next_frame % self.bots.len();
            self.next_frame = index + 1;
            let measured = &mut self.measured;
            let times = is_measured.then_some((&mut measured.round_trip, &mut measured.shown_delay));
            let is_updated = self.bots[index].frame(self.origin.elapsed(), times);
            if is_updated && self.origin.elapsed() >= until {
                break;
            }
        }
        for bot in &mut self.bots {
            for reason in bot.ended.drain(..) {
                count_problem(&mut self.measured.problems, "ended", &reason);
            }
        }
        thread::sleep((begun + TURN).saturating_sub(self.now()));
    }

    fn asked_to_stop(&mut self, should_stop: &mut dyn FnMut() -> bool) -> bool {
        let now = self.now();
        if now < self.stop_asked_at + STOP_ASKED_EVERY {
            return false;
        }
        self.stop_asked_at = now;
        should_stop()
    }

    fn figures(&self) -> BotFigures {
        self.bots
            .iter()
            .map(GameBot::figures)
            .fold(BotFigures::default(), |sum, bot| sum.zip(bot, |a, b| a + b))
    }

    fn newest_tick(&self) -> Option<throng_shared::tick::Tick> {
        self.bots
            .iter()
            .filter_map(GameBot::newest_tick)
            .reduce(|a, b| if b.is_after(a) { b } else { a })
    }
}

/// Returns the CPU time of this thread in seconds, where the system says it in a file.
fn thread_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver of real sockets reads the time"
)]
fn start_clock() -> Instant {
    Instant::now()
}
