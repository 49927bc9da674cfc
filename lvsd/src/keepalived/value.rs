//! Arguments as what they mean: numbers, times, addresses, programs; what cannot be read is told with its place.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::reader::Word;
use super::source::{Findings, Found};
use super::tree::Statement;

/// A program with its arguments, and who it runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) argv: Vec<String>,
    pub(super) user: Option<RunsAs>,
}

/// A user and, where it is not the user's own, a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunsAs {
    pub(super) user: String,
    pub(super) group: Option<String>,
}

impl From<RunsAs> for lvs_vrrp::declared::RunAs {
    fn from(run: RunsAs) -> Self {
        Self { user: run.user, group: run.group }
    }
}

impl From<RunsAs> for lvs_health::declared::User {
    fn from(run: RunsAs) -> Self {
        Self { name: run.user, group: run.group }
    }
}

impl From<Program> for lvs_vrrp::declared::Command {
    fn from(program: Program) -> Self {
        Self { argv: program.argv, user: program.user.map(Into::into) }
    }
}

impl From<Program> for lvs_health::declared::Script {
    fn from(program: Program) -> Self {
        Self { command: program.argv, user: program.user.map(Into::into) }
    }
}

/// Where a program is looked for that is written without its path.
const PLACES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const BOOLEANS: [&str; 6] = ["on", "off", "true", "false", "yes", "no"];

impl Findings {
    /// A whole number in decimal, or in hexadecimal behind `0x`.
    pub(super) fn number<T>(&mut self, word: &Word, noun: &str, range: RangeInclusive<i64>) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        let text = word.text.as_str();
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let Some(number) = number else {
            let expected = format!("expected {noun}, {} to {}", range.start(), range.end());
            self.mistake(Found::new(word.place, format!("`{text}` is no whole number"), expected));
            return None;
        };
        if range.contains(&number)
            && let Ok(number) = T::try_from(number)
        {
            return Some(number);
        }
        self.out_of_range(word, noun, &range);
        None
    }

    fn out_of_range(&mut self, word: &Word, noun: &str, range: &RangeInclusive<impl Display>) {
        let expected = format!("expected {noun}, {} to {}", range.start(), range.end());
        self.mistake(Found::new(word.place, format!("`{}` is out of range", word.text), expected));
    }

    /// Seconds with a fraction of up to six digits, that is, microseconds.
    pub(super) fn seconds(&mut self, word: &Word, range: RangeInclusive<u32>) -> Option<Duration> {
        let text = word.text.as_str();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let read = || {
            if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
                return None;
            }
            let seconds = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
            let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
            Some(Duration::new(seconds, padded.parse::<u32>().ok()? * 1000))
        };
        let Some(time) = read() else {
            let expected =
                format!("expected seconds, {} to {}, such as 3 or 0.5", range.start(), range.end());
            self.mistake(Found::new(word.place, format!("`{text}` is no time"), expected));
            return None;
        };
        let within =
            Duration::from_secs(u64::from(*range.start()))..=Duration::from_secs(u64::from(*range.end()));
        if !within.contains(&time) {
            self.out_of_range(word, "seconds", &range);
            return None;
        }
        Some(time)
    }

    /// `on`, `off` and their like; on when there is no argument.
    pub(super) fn boolean(&mut self, statement: &Statement) -> Option<bool> {
        let Some(word) = statement.argument(0) else { return Some(true) };
        match word.text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => Some(true),
            "off" | "false" | "no" => Some(false),
            _ => {
                self.choice(word, "answer", &BOOLEANS);
                None
            }
        }
    }

    /// One of some names, in upper or lower case.
    pub(super) fn choice<'a>(&mut self, word: &Word, noun: &str, known: &[&'a str]) -> Option<&'a str> {
        let found = known.iter().find(|name| name.eq_ignore_ascii_case(&word.text)).copied();
        if found.is_none() {
            let title = format!("unknown {noun} `{}`", word.text);
            let expected = format!("expected one of: {}", known.join(", "));
            let found = Found::new(word.place, title, expected);
            self.mistake(found.suggesting(&word.text, known.iter().copied()));
        }
        found
    }

    /// An address, or whatever else is written as the example shows.
    pub(super) fn parsed<T: FromStr>(&mut self, word: &Word, expected: &str) -> Option<T> {
        let parsed = word.text.parse().ok();
        if parsed.is_none() {
            let title = format!("`{}` cannot be read", word.text);
            self.mistake(Found::new(word.place, title, format!("expected {expected}")));
        }
        parsed
    }

    pub(super) fn address(&mut self, word: &Word) -> Option<IpAddr> {
        self.parsed(word, "an address such as 192.0.2.10 or 2001:db8::10")
    }

    /// The name of an interface.
    pub(super) fn interface(&mut self, word: &Word) -> Option<String> {
        let text = word.text.as_str();
        let is_name =
            !text.is_empty() && text.len() < 16 && !text.contains(|c: char| c == '/' || c.is_whitespace());
        if !is_name {
            let title = format!("`{text}` is no name of an interface");
            self.mistake(Found::new(
                word.place,
                title,
                "expected 1 to 15 characters without spaces or slashes",
            ));
            return None;
        }
        Some(text.to_owned())
    }

    /// A program in one word, and behind it the user and group it runs as.
    pub(super) fn program(&mut self, statement: &Statement) -> Option<Program> {
        let (script, user) = statement.arguments().split_first()?;
        Some(Program { argv: self.argv(script)?, user: self.runs_as(user) })
    }

    /// The arguments of a program: spaces part them, and `'` keeps spaces in one.
    pub(super) fn argv(&mut self, word: &Word) -> Option<Vec<String>> {
        let mut argv = Vec::new();
        let mut current: Option<String> = None;
        let mut is_quoted = false;
        for c in word.text.chars() {
            if c == '\'' {
                is_quoted = !is_quoted;
                current.get_or_insert_default();
            } else if c.is_whitespace() && !is_quoted {
                argv.extend(current.take());
            } else {
                current.get_or_insert_default().push(c);
            }
        }
        argv.extend(current);
        let wrong = |title: &str, label: &str| Found::new(word.place, title, label);
        if is_quoted {
            self.mistake(wrong("a quote that does not end", "expected another `'` in it"));
            return None;
        }
        let Some(program) = argv.first_mut().filter(|program| !program.is_empty()) else {
            self.mistake(wrong("no program", "expected one, with its arguments"));
            return None;
        };
        if program.starts_with('/') {
            return Some(argv);
        }
        if program.contains('/') {
            self.mistake(wrong(
                "a path from somewhere",
                "expected the whole path, from `/` on, or a name alone",
            ));
            return None;
        }
        let found =
            PLACES.iter().map(|place| format!("{place}/{program}")).find(|path| Path::new(path).exists());
        if let Some(path) = found {
            *program = path;
        } else {
            let label = format!("it is in none of {}", PLACES.join(", "));
            self.warn(Found::new(word.place, format!("there is no program `{program}`"), label));
        }
        Some(argv)
    }

    /// `USER [[:]GROUP]`
    pub(super) fn runs_as(&mut self, words: &[Word]) -> Option<RunsAs> {
        let (user, group) = words.split_first()?;
        let group = group.first().and_then(|group| {
            if group.text.starts_with(':') {
                let title = "a program has its user's own group and no others";
                self.mistake(Found::new(
                    group.place,
                    title,
                    "expected a group's name without `:`, or nothing",
                ));
            }
            Some(group.text.clone()).filter(|name| !name.is_empty())
        });
        Some(RunsAs { user: user.text.clone(), group })
    }
}
