//! The script language: one command per line, of words and numbers; `#` begins a comment.
//!
//! Parsing accepts any text and reports file and line of the first error.

use std::fmt;
use std::time::Duration;

use skirmish_shared::chat::{Say, TEXT_BYTES_MAX};
use skirmish_shared::input::{AXIS_MAX, PilotInput};
use throng_client::link::LinkConditions;
use throng_shared::protocol::pose::YAW_STEPS;

use crate::chat::parse_line;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScriptCommand {
    /// Waits for a time; the controls stay as they are.
    Wait(Duration),
    /// Waits until the pilot has a ship, for this time at most.
    WaitFlying(Duration),
    /// Waits until this many chat lines were received, for this time at most.
    WaitChat(u32, Duration),
    /// Sets the thrust, in hundredths of full thrust.
    Thrust(i8),
    /// Sets the turn, in hundredths of the full turn rate.
    Turn(i8),
    /// Sets the direction of the guns, in steps of the pose's yaw.
    Aim(u16),
    /// Holds or releases a button of [`PilotInput`].
    Button(u8, bool),
    /// Sets the simulated network conditions, in each direction.
    Line(LinkConditions),
    /// Sends a chat message; the recipients follow from the line, as in the game.
    Say(Say),
    /// Records an expectation: a figure must compare with a number in this way.
    Expect(Figure, Comparison, f32),
    Quit,
}

/// A measurement that an expectation can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Round trip, in milliseconds.
    Ping,
    /// Lost snapshot packets, in percent.
    Loss,
    /// The interpolation delay, in milliseconds.
    Delay,
    /// The 99th percentile of the prediction errors of the last 1,024 states of the own ship, in units.
    Error,
    Entities,
    /// Speed of the own ship, in units a second.
    Speed,
    /// Distance of the own ship from its first position, in units.
    Moved,
    /// Hull points of the own ship.
    Hull,
    /// Number of received chat lines, the own ones included.
    Chat,
}

const FIGURES: [(&str, Figure); 9] = [
    ("ping", Figure::Ping),
    ("loss", Figure::Loss),
    ("delay", Figure::Delay),
    ("error", Figure::Error),
    ("entities", Figure::Entities),
    ("speed", Figure::Speed),
    ("moved", Figure::Moved),
    ("hull", Figure::Hull),
    ("chat", Figure::Chat),
];

const BUTTONS: [(&str, u8); 4] = [
    ("boost", PilotInput::BOOST),
    ("fire", PilotInput::FIRE),
    ("launch", PilotInput::LAUNCH),
    ("mine", PilotInput::MINE),
];

/// The time that `wait flying` and `wait chat` wait by default.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// How a figure must compare with a number to meet an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The figure must be less than the number: `<`.
    Below,
    /// The figure must be greater than the number: `>`.
    Above,
}

/// A command and its line in the script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// The command to execute.
    pub(crate) command: ScriptCommand,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
}

/// An error in a script, with its file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub(crate) struct ScriptError {
    pub(crate) file: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

impl Script {
    /// Parses a script; `file` is its name in errors.
    ///
    /// # Errors
    /// A [`ScriptError`] for the first line that is not a valid command.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ScriptError> {
        let mut steps = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = words.split_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            let command = command(&words).map_err(|problem| ScriptError {
                file: file.to_owned(),
                line: index + 1,
                problem,
            })?;
            steps.push(Step {
                line: index + 1,
                command,
            });
        }
        Ok(Self { steps })
    }
}

fn command(words: &[&str]) -> Result<ScriptCommand, String> {
    match *words {
        ["wait", "flying"] => Ok(ScriptCommand::WaitFlying(DEFAULT_WAIT)),
        ["wait", "flying", within] => duration(within).map(ScriptCommand::WaitFlying),
        ["wait", "chat", lines] => count(lines).map(|lines| ScriptCommand::WaitChat(lines, DEFAULT_WAIT)),
        ["wait", "chat", lines, within] => Ok(ScriptCommand::WaitChat(count(lines)?, duration(within)?)),
        ["wait", time] => duration(time).map(ScriptCommand::Wait),
        ["thrust", value] => axis(value).map(ScriptCommand::Thrust),
        ["turn", value] => axis(value).map(ScriptCommand::Turn),
        ["aim", degrees] => aim(degrees).map(ScriptCommand::Aim),
        ["line", ref conditions_text @ ..] => line(conditions_text).map(ScriptCommand::Line),
        ["expect", figure, comparison, value] => expect(figure, comparison, value),
        ["say", ref said @ ..] => say(&said.join(" ")),
        ["quit"] => Ok(ScriptCommand::Quit),
        [button, held] if find(&BUTTONS, button).is_some() => {
            let button = find(&BUTTONS, button).unwrap_or_default();
            switch(held).map(|held| ScriptCommand::Button(button, held))
        }
        _ => Err(format!("`{}` is no command; {}", words.join(" "), commands())),
    }
}

fn commands() -> String {
    "there are: wait TIME, wait flying [TIME], wait chat N [TIME], thrust N, turn N, aim DEGREES, \
     fire|launch|boost|mine on|off, line [latency TIME] [jitter TIME] [loss PERCENT%], say WORDS, expect FIGURE <|> NUMBER, quit"
        .to_owned()
}

fn find<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, value)| *value)
}

fn axis(word: &str) -> Result<i8, String> {
    let value = word.parse::<i8>().ok();
    value
        .filter(|value| (-AXIS_MAX..=AXIS_MAX).contains(value))
        .ok_or_else(|| format!("`{word}` is not a whole number from -{AXIS_MAX} to {AXIS_MAX}"))
}

fn aim(word: &str) -> Result<u16, String> {
    let degrees = number(word)?;
    let steps = degrees / 360.0 * f32::from(YAW_STEPS);
    Ok(steps.rem_euclid(f32::from(YAW_STEPS)) as u16 % YAW_STEPS)
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{word}` is neither `on` nor `off`")),
    }
}

fn number(word: &str) -> Result<f32, String> {
    let value = word.parse::<f32>().ok();
    value
        .filter(|value| value.is_finite())
        .ok_or_else(|| format!("`{word}` is not a number"))
}

fn count(word: &str) -> Result<u32, String> {
    word.parse()
        .map_err(|_| format!("`{word}` is not a whole number from 0"))
}

fn duration(word: &str) -> Result<Duration, String> {
    let parsed = word
        .strip_suffix("ms")
        .map(|digits| (digits, 1e-3))
        .or_else(|| word.strip_suffix('s').map(|digits| (digits, 1.0)));
    let seconds = parsed.and_then(|(digits, unit)| Some(digits.parse::<f64>().ok()? * unit));
    seconds
        .filter(|seconds| (0.0..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{word}` is not a time such as 500ms or 2s, of a day at most"))
}

fn line(conditions_text: &[&str]) -> Result<LinkConditions, String> {
    let mut conditions = LinkConditions::PERFECT;
    for harm in conditions_text.chunks(2) {
        match *harm {
            ["latency", time] => conditions.latency = duration(time)?,
            ["jitter", time] => conditions.jitter = duration(time)?,
            ["loss", percent] => {
                let loss = percent.strip_suffix('%').map(number).transpose()?;
                conditions.loss = loss
                    .filter(|loss| (0.0..=100.0).contains(loss))
                    .map(|loss| f64::from(loss) / 100.0)
                    .ok_or_else(|| format!("`{percent}` is not a share such as 5%"))?;
            }
            _ => {
                return Err(format!(
                    "`{}` is not latency, jitter or loss with a value",
                    harm.join(" ")
                ));
            }
        }
    }
    Ok(conditions)
}

fn say(words: &str) -> Result<ScriptCommand, String> {
    match parse_line(words) {
        Ok(Some(say)) if say.text.len() <= TEXT_BYTES_MAX => Ok(ScriptCommand::Say(say)),
        Ok(Some(_)) => Err(format!("`say` takes {TEXT_BYTES_MAX} bytes at most")),
        Ok(None) => Err("`say` says nothing".to_owned()),
        Err(problem) => Err(problem.to_owned()),
    }
}

fn expect(figure: &str, comparison: &str, value: &str) -> Result<ScriptCommand, String> {
    let names = || FIGURES.map(|(name, _)| name).join(", ");
    let figure =
        find(&FIGURES, figure).ok_or_else(|| format!("`{figure}` is no figure; there are: {}", names()))?;
    let comparison = match comparison {
        "<" => Comparison::Below,
        ">" => Comparison::Above,
        _ => return Err(format!("`{comparison}` is neither < nor >")),
    };
    Ok(ScriptCommand::Expect(figure, comparison, number(value)?))
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FIGURES.iter().find(|(_, figure)| figure == self);
        f.write_str(name.map_or("?", |(name, _)| name))
    }
}

impl Comparison {
    /// Returns whether `value` compares with `bound` in this way.
    #[must_use]
    pub(crate) fn holds(self, value: f32, bound: f32) -> bool {
        match self {
            Self::Below => value < bound,
            Self::Above => value > bound,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "<",
            Self::Above => ">",
        })
    }
}
