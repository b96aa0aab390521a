//! The flags of a program of bots.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use super::recipe::{BOTS_MAX, BotsSettings};
use crate::link::{parse_milliseconds, parse_probability};

/// The text that `--help` prints.
pub(super) const HELP: &str = "\
Lets bots play on a server, and prints what they measured.

  --server ADDRESS   the server's HTTP address
  --count N          how many bots join
  --seconds N        how long they are measured, after they have joined
  --loss P           share of datagrams that each bot's line loses, each way: 0.05 or 5%
  --latency MS       delay of each bot's line, each way
  --jitter MS        longest extra delay of each bot's line, each way
  --name NAME        beginning of the bots' names
  --seed N           seed of loss, jitter and reconnection
  --json FILE        also write the figures to this file
  --help             print this
";

/// What the flags ask for besides the settings of the run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BotsFlags {
    /// Print the help and do nothing else.
    pub(super) wants_help: bool,
    /// File for the figures.
    pub(super) json: Option<PathBuf>,
}

impl BotsFlags {
    /// Reads flags into `settings`: `--flag value` or `--flag=value`.
    ///
    /// # Errors
    /// A text that names the flag and what it takes.
    pub(super) fn read(
        words: impl IntoIterator<Item = String>,
        settings: &mut BotsSettings,
    ) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if matches!(flag, "--help" | "-h") {
                flags.wants_help = true;
                continue;
            }
            let is_known = |line: &str| line.split_whitespace().next() == Some(flag);
            if !flag.starts_with("--") || !HELP.lines().any(is_known) {
                return Err(format!("`{word}` is not a flag of the bots; --help lists them"));
            }
            let value = attached.or_else(|| words.next());
            let value = value.ok_or_else(|| format!("{flag} needs a value"))?;
            flags
                .set(flag, &value, settings)
                .map_err(|problem| format!("{flag} {value}: {problem}"))?;
        }
        Ok(flags)
    }

    fn set(&mut self, flag: &str, value: &str, settings: &mut BotsSettings) -> Result<(), String> {
        match flag {
            "--server" => value.clone_into(&mut settings.server),
            "--name" => value.clone_into(&mut settings.name),
            "--json" => self.json = Some(value.into()),
            "--count" => settings.count = number(value, 1..=BOTS_MAX)?,
            "--seconds" => settings.seconds = number(value, 1..=86_400)?,
            "--seed" => settings.seed = number(value, 0..=u64::MAX)?,
            "--loss" => settings.line.loss = parse_probability(value)?,
            "--latency" => settings.line.latency = parse_milliseconds(value)?,
            _ => settings.line.jitter = parse_milliseconds(value)?,
        }
        Ok(())
    }
}

fn number<T: FromStr + PartialOrd + Display>(text: &str, range: RangeInclusive<T>) -> Result<T, String> {
    let parsed = text.parse().ok().filter(|value| range.contains(value));
    parsed.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(line: &str) -> Result<(BotsFlags, BotsSettings), String> {
        let mut settings = BotsSettings::new(7);
        let flags = BotsFlags::read(line.split_whitespace().map(str::to_owned), &mut settings)?;
        Ok((flags, settings))
    }

    #[test]
    fn every_flag_of_the_help_is_read() {
        let (flags, settings) = read(
            "--server 10.0.0.1:80 --count 50 --seconds 9 --loss 5% --latency=75 --jitter 2.5 --name ann --seed 3 \
             --json out.json",
        )
        .unwrap();
        assert_eq!((settings.count, settings.seconds, settings.seed), (50, 9, 3));
        assert_eq!(
            (settings.server.as_str(), settings.name.as_str()),
            ("10.0.0.1:80", "ann")
        );
        assert_eq!(settings.line.loss, 0.05);
        assert_eq!(settings.line.latency, Duration::from_millis(75));
        assert_eq!(settings.line.jitter, Duration::from_micros(2_500));
        assert_eq!(flags.json, Some("out.json".into()));
        assert!(!flags.wants_help && read("-h").unwrap().0.wants_help);
        assert_eq!(
            read("").unwrap().1.count,
            7,
            "what the program says stays without a flag"
        );
        assert_eq!(read("--loss 0.05").unwrap().1.line.loss, 0.05);
    }

    #[test]
    fn wrong_flags_are_refused_with_the_flag_and_what_it_takes() {
        for (line, parts) in [
            ("--cuont 5", ["`--cuont`", "--help"]),
            ("50", ["`50`", "--help"]),
            ("Lets", ["`Lets`", "not a flag"]),
            ("--count", ["--count", "needs a value"]),
            ("--count 0", ["--count 0", "1 to 10000"]),
            ("--count ten", ["--count ten", "whole number"]),
            ("--seconds 0", ["--seconds 0", "1 to 86400"]),
            ("--loss 5", ["--loss 5", "0% to 100%"]),
            ("--loss=nan", ["--loss nan", "probability"]),
            ("--latency -1", ["--latency -1", "0 to 10000"]),
            ("--jitter x", ["--jitter x", "milliseconds"]),
        ] {
            let problem = read(line).unwrap_err();
            assert!(
                parts.iter().all(|part| problem.contains(part)),
                "{line}: {problem}"
            );
        }
    }
}
