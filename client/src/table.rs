//! A table of figures for people: groups of rows of aligned figures in a frame, and errors in red.
//!
//! The tables of bots and of the swarm are drawn with it, so that they look alike.

use std::fmt::Write;
use std::io::{self, IsTerminal};

/// Number of columns inside the frame.
const WIDTH: usize = 78;
/// Number of columns for the label of a row.
const LABEL: usize = 18;

/// Returns whether escape sequences may be written: standard output is a terminal and `NO_COLOR` is not set.
#[must_use]
pub fn stdout_is_colourful() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// One piece of a line. Its width does not include escape sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableCell {
    /// The title of a table.
    Strong(String),
    /// A label or a name.
    Dim(String),
    /// A value.
    Plain(String),
    /// A value that is an error.
    Alarm(String),
}

impl TableCell {
    fn text(&self) -> &str {
        match self {
            Self::Strong(text) | Self::Dim(text) | Self::Plain(text) | Self::Alarm(text) => text,
        }
    }

    fn escape(&self) -> &'static str {
        match self {
            Self::Strong(_) => "\x1b[1m",
            Self::Dim(_) => "\x1b[2m",
            Self::Plain(_) => "",
            Self::Alarm(_) => "\x1b[1;31m",
        }
    }
}

/// A table that is drawn row by row.
#[derive(Debug)]
pub struct Table {
    text: String,
    colours: bool,
}

impl Table {
    /// Begins a table with its title, such as the server's address and its scene.
    #[must_use]
    pub fn new(title: &str, colours: bool) -> Self {
        let mut table = Self {
            text: String::new(),
            colours,
        };
        table.rule('╭', '╮');
        table.line(&[TableCell::Strong(title.to_owned())]);
        table
    }

    /// Begins the next group of rows.
    pub fn group(&mut self) {
        self.rule('├', '┤');
    }

    /// Ends the table and returns its text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.rule('╰', '╯');
        self.text
    }

    /// Appends a text of any length below a label, broken between words.
    pub fn note(&mut self, label: &str, text: &str) {
        let (mut label, mut line) = (label, String::new());
        for word in text.split_whitespace() {
            let used = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && used > WIDTH - 2 - LABEL {
                self.note_line(std::mem::take(&mut label), &std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.note_line(label, &line);
    }

    fn note_line(&mut self, label: &str, text: &str) {
        self.line(&[
            TableCell::Dim(format!("{label:<LABEL$}")),
            TableCell::Plain(text.to_owned()),
        ]);
    }

    fn rule(&mut self, left: char, right: char) {
        self.text.push(left);
        self.text.extend(std::iter::repeat_n('─', WIDTH));
        self.text.push(right);
        self.text.push('\n');
    }

    /// Appends a row with a label and figures in columns of equal width.
    pub fn row(&mut self, label: &str, figures: &[[TableCell; 2]]) {
        let column = (WIDTH - 2 - LABEL) / 3;
        let mut cells = vec![TableCell::Dim(format!("{label:<LABEL$}"))];
        for [name, value] in figures {
            let used = name.text().chars().count() + 1 + value.text().chars().count();
            cells.push(TableCell::Dim(format!("{} ", name.text())));
            cells.push(match value {
                TableCell::Alarm(text) => TableCell::Alarm(text.clone()),
                other => TableCell::Plain(other.text().to_owned()),
            });
            cells.push(TableCell::Plain(" ".repeat(column.saturating_sub(used).max(1))));
        }
        self.line(&cells);
    }

    /// Appends a row with a client's traffic in one direction.
    pub fn traffic(&mut self, label: &str, bytes_per_s: f64, datagrams_per_s: f64) {
        self.row(
            label,
            &[
                figure("bytes", &per_second(bytes_per_s)),
                figure("datagrams", &format!("{datagrams_per_s:.1}/s")),
            ],
        );
    }

    /// Appends a row with what a client sees: the mean number of entities, their updates, and the bytes of each.
    pub fn seen(&mut self, entities: f64, updates_per_s: f64, bytes_per_update: f64) {
        self.row(
            "seen, per client",
            &[
                figure("entities", &format!("{entities:.1}")),
                figure("updates", &per_second(updates_per_s)),
                figure("each", &format!("{bytes_per_update:.2} B")),
            ],
        );
    }

    /// Appends a row with the median and the 99th percentile of a time, in milliseconds.
    pub fn quantiles(&mut self, label: &str, p50: f64, p99: f64) {
        self.row(label, &[figure("p50", &ms(p50)), figure("p99", &ms(p99))]);
    }

    fn line(&mut self, cells: &[TableCell]) {
        let used: usize = cells.iter().map(|cell| cell.text().chars().count()).sum();
        self.text.push_str("│ ");
        for cell in cells {
            let escape = if self.colours { cell.escape() } else { "" };
            if escape.is_empty() {
                self.text.push_str(cell.text());
            } else {
                // Writing to a `String` cannot fail.
                let _ = write!(self.text, "{escape}{}\x1b[0m", cell.text());
            }
        }
        self.text
            .extend(std::iter::repeat_n(' ', (WIDTH - 1).saturating_sub(used)));
        self.text.push_str("│\n");
    }
}

/// Returns a figure: a name and a value.
#[must_use]
pub fn figure(name: &str, value: &str) -> [TableCell; 2] {
    [
        TableCell::Dim(name.to_owned()),
        TableCell::Plain(value.to_owned()),
    ]
}

/// Returns a figure for a count that should be zero.
#[must_use]
pub fn alarm(name: &str, count: u64) -> [TableCell; 2] {
    let value = grouped(count);
    [
        TableCell::Dim(name.to_owned()),
        if count == 0 {
            TableCell::Plain(value)
        } else {
            TableCell::Alarm(value)
        },
    ]
}

fn per_second(amount: f64) -> String {
    format!("{}/s", grouped(amount.round() as u64))
}

/// Formats a time in milliseconds.
#[must_use]
pub fn ms(value: f64) -> String {
    // About four significant digits at any size.
    match value {
        value if value < 1.0 => format!("{value:.3} ms"),
        value if value < 100.0 => format!("{value:.2} ms"),
        value => format!("{value:.0} ms"),
    }
}

/// Formats a number in groups of three digits, `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown: Vec<String> = [0, 12, 999, 1_000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn long_notes_are_broken_between_words_and_every_line_is_equally_wide() {
        let mut table = Table::new("title", false);
        table.group();
        table.note(
            "refused 3",
            "this client speaks one protocol, and the server "
                .repeat(4)
                .trim(),
        );
        table.row("clients", &[figure("connected", "5,000"), alarm("ended", 0)]);
        let drawn = table.finish();
        assert_eq!(drawn.matches("refused 3").count(), 1);
        assert_eq!(drawn.matches("server").count(), 4);
        for line in drawn.lines() {
            assert_eq!(line.chars().count(), WIDTH + 2, "{line}");
        }
    }
}
