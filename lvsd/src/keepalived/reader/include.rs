//! `include` and its variants: which files are meant, and what is said when there are none.

use std::fs;
use std::path::Path;

use super::super::source::Found;
use super::{Reader, Text};

/// How deep files may include each other.
const DEEPEST: usize = 32;

/// Which of the `include` keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `include`
    Plain,
    /// `includer`
    Readable,
    /// `includem`
    Match,
    /// `includew`
    Wildcard,
    /// `includeb`
    Brace,
    /// `includea`
    All,
    /// `include_check`
    Check,
}

impl Kind {
    pub(super) fn from_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "include" => Self::Plain,
            "includer" => Self::Readable,
            "includem" => Self::Match,
            "includew" => Self::Wildcard,
            "includeb" => Self::Brace,
            "includea" => Self::All,
            "include_check" => Self::Check,
            _ => return None,
        })
    }
}

/// What is a mistake in an `include` (`include_check`); what is none is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Checks {
    /// A match that cannot be read.
    readable: bool,
    /// No match, where there are no wildcards.
    exact: bool,
    /// No match, with wildcards.
    wildcard: bool,
    /// An alternative between braces without a match.
    brace: bool,
}

impl Checks {
    const NAMES: [&'static str; 4] = ["readable", "match", "wildcard_match", "brace_match"];

    fn with(mut self, kind: Kind) -> Self {
        match kind {
            Kind::Plain | Kind::Check => {}
            Kind::Readable => self.readable = true,
            Kind::Match => (self.readable, self.exact) = (true, true),
            Kind::Wildcard => (self.readable, self.wildcard) = (true, true),
            Kind::Brace => (self.readable, self.brace) = (true, true),
            Kind::All => self = Self { readable: true, exact: true, wildcard: true, brace: true },
        }
        self
    }

    /// Takes one option of `include_check`; false when it is not known.
    fn set(&mut self, option: &str, to: bool) -> bool {
        match option {
            "readable" => self.readable = to,
            "match" => (self.readable, self.exact) = (self.readable | to, to),
            "wildcard_match" => (self.readable, self.wildcard) = (self.readable | to, to),
            "brace_match" => (self.readable, self.brace) = (self.readable | to, to),
            _ => return false,
        }
        true
    }
}

impl Reader<'_> {
    pub(super) fn include(&mut self, kind: Kind, text: &Text) {
        let line = text.as_str();
        let start = line.len() - line.trim_start().len();
        let keyword = line
            .get(start..)
            .and_then(|rest| rest.find(char::is_whitespace))
            .map_or(line.len(), |end| start + end);
        let argument = text.from(keyword).trimmed();
        if kind == Kind::Check {
            return self.include_check(&argument);
        }
        let pattern = argument.as_str().trim_matches(['"', '\'']);
        if pattern.is_empty() {
            let found = Found::new(text.place(), "an include without a file", "expected a path behind it");
            return self.findings.mistake(found);
        }
        if !self.reads_files {
            return;
        }
        if self.depth >= DEEPEST {
            let found =
                Found::new(argument.place(), "files include each other without end", "so deep is too deep");
            return self.findings.mistake(found);
        }
        let checks = self.default_check.with(kind);
        let base = self.base(argument.place());
        let alternatives = braces(pattern);
        let has_braces = alternatives.len() > 1;
        let mut total = 0;
        for alternative in alternatives {
            let is_wild = alternative.contains(['*', '?', '[']);
            let count = self.include_pattern(&base.join(&alternative), checks, &argument);
            total += count;
            if count == 0 && has_braces && checks.brace {
                self.lacking(&argument, &alternative, true);
            } else if count == 0 && !has_braces {
                self.lacking(&argument, &alternative, if is_wild { checks.wildcard } else { checks.exact });
            }
        }
        if has_braces && total == 0 && !checks.brace {
            self.lacking(&argument, pattern, false);
        }
    }

    fn include_pattern(&mut self, pattern: &Path, checks: Checks, argument: &Text) -> usize {
        let Ok(paths) = glob::glob(&pattern.to_string_lossy()) else { return 0 };
        let mut count = 0;
        for path in paths.flatten().filter(|path| !path.is_dir()) {
            count += 1;
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let before = self.default_check;
                    self.depth += 1;
                    self.read(&path.display().to_string(), text);
                    self.depth -= 1;
                    self.default_check = before;
                }
                Err(error) => {
                    let title = format!("{} cannot be read: {error}", path.display());
                    let found = Found::new(argument.place(), title, "included here");
                    if checks.readable { self.findings.mistake(found) } else { self.findings.warn(found) }
                }
            }
        }
        count
    }

    fn lacking(&mut self, argument: &Text, pattern: &str, is_mistake: bool) {
        let found = Found::new(argument.place(), format!("there is no file {pattern}"), "included here");
        if is_mistake { self.findings.mistake(found) } else { self.findings.warn(found) }
    }

    fn include_check(&mut self, argument: &Text) {
        let mut checks = Checks::default();
        let mut adds = true;
        let words: Vec<&str> = argument.as_str().split_whitespace().collect();
        if words.is_empty() {
            checks = checks.with(Kind::All);
        }
        for word in words {
            let option = match word.split_at_checked(1) {
                Some(("+", option)) => {
                    (checks, adds) = (self.default_check, true);
                    option
                }
                Some(("-", option)) => {
                    (checks, adds) = (self.default_check, false);
                    option
                }
                _ => word,
            };
            if !checks.set(option, adds) {
                let title = format!("unknown option `{option}` of include_check");
                let expected = format!("expected some of: {}", Checks::NAMES.join(", "));
                let found = Found::new(argument.place(), title, expected).suggesting(option, Checks::NAMES);
                self.findings.mistake(found);
            }
            self.default_check = checks;
        }
        self.default_check = checks;
    }
}

/// The alternatives of a pattern with braces, as the C shell writes them out.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_owned()];
    while let Some(next) = waiting.pop() {
        let Some((before, alternatives, behind)) = innermost(&next) else {
            done.push(next);
            continue;
        };
        if done.len() + waiting.len() > 1000 {
            break;
        }
        for alternative in alternatives.split(',').rev() {
            waiting.push(format!("{before}{alternative}{behind}"));
        }
    }
    done.dedup();
    done
}

/// The first pair of braces with none inside.
fn innermost(pattern: &str) -> Option<(&str, &str, &str)> {
    let close = pattern.find('}')?;
    let open = pattern.get(..close)?.rfind('{')?;
    Some((pattern.get(..open)?, pattern.get(open + 1..close)?, pattern.get(close + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_out() {
        assert_eq!(braces("a/{b,c}.conf"), ["a/b.conf", "a/c.conf"]);
        assert_eq!(braces("plain"), ["plain"]);
        let mut nested = braces("{foo/{,cat,dog},bar}");
        nested.sort();
        nested.dedup();
        assert_eq!(nested, ["bar", "foo/", "foo/cat", "foo/dog"]);
    }
}
