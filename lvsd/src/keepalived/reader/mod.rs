//! From files to one stream of words: includes, conditions, definitions and repetitions are carried out here.

mod include;
mod text;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use super::line::{self, Piece, Special};
use super::source::{Findings, Found, Place, Sources};
use text::Text;

/// A word, a brace, or the end of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word of a statement.
    Word(Word),
    /// `{`
    Open(Place),
    /// `}`
    Close(Place),
    /// A line's end, which ends a statement.
    End,
}

/// A word with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) place: Place,
    pub(super) is_quoted: bool,
}

/// The words of all that was read, up to this number.
const MOST_TOKENS: usize = 16 << 20;
/// The bytes that definitions and repetitions may make in all.
const MOST_EXPANDED: usize = 512 << 20;
/// A definition may use others to this depth.
const DEEPEST: u32 = 64;

/// Reads files into words.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    sources: Sources,
    tokens: Vec<Token>,
    findings: &'a mut Findings,
    config_id: &'a str,
    reads_files: bool,
    definitions: BTreeMap<String, Text>,
    expanded: usize,
    depth: usize,
    default_check: include::Checks,
}

/// A line that waits to be read, and how many definitions it is within.
struct Waiting {
    text: Text,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// A reader for the host that `@` lines know as `config_id`; other files are left alone unless `reads_files`.
    pub(super) fn new(config_id: &'a str, reads_files: bool, findings: &'a mut Findings) -> Self {
        Self {
            sources: Sources::default(),
            tokens: Vec::new(),
            findings,
            config_id,
            reads_files,
            definitions: BTreeMap::new(),
            expanded: 0,
            depth: 0,
            default_check: include::Checks::default(),
        }
    }

    /// Reads a text that is called `origin`.
    pub(super) fn read(&mut self, origin: &str, text: String) {
        if text.len() > Sources::LONGEST {
            let place = Place::new(self.sources.add(origin, String::new()), 0, 0);
            self.findings.mistake(Found::new(place, "the file is too long", "expected less than 4 GB"));
            return;
        }
        let lines = Text::lines(&text, u32::try_from(self.sources.count()).unwrap_or(u32::MAX));
        self.sources.add(origin, text);
        let mut lines = lines.into_iter();
        while let Some(first) = lines.next() {
            let first = Self::whole(first, &mut lines);
            self.line(Waiting { text: first, depth: 0 });
        }
    }

    /// A line with those that a backslash at its end joins to it. Those of a definition stay lines.
    fn whole(first: Text, lines: &mut impl Iterator<Item = Text>) -> Text {
        let mut whole = first.without_comment();
        let mut glue = None;
        while whole.is_continued() {
            let glue = *glue.get_or_insert_with(|| Self::glue(&whole));
            whole = whole.without_continuation();
            let Some(next) = lines.next() else { break };
            whole.join(glue, &next.without_comment());
        }
        whole
    }

    /// What is put between two lines that belong together.
    fn glue(first: &Text) -> char {
        let mut at = first.as_str();
        // `@main $X= \`
        if let Ok(Some(Special::Condition { rest, .. })) = line::special(at) {
            at = at.get(rest..).unwrap_or_default();
        }
        let is_definition = matches!(line::special(at), Ok(Some(Special::Definition { .. })));
        if is_definition { '\n' } else { ' ' }
    }

    fn line(&mut self, first: Waiting) {
        let mut waiting = VecDeque::from([first]);
        while let Some(next) = waiting.pop_front() {
            if self.expanded > MOST_EXPANDED || self.tokens.len() > MOST_TOKENS {
                let place = next.text.place();
                let found =
                    Found::new(place, "the configuration grows too large", "while this was written out");
                self.findings.mistakes.push(found);
                return;
            }
            self.step(next, &mut waiting);
        }
    }

    /// Reads a line, or puts the lines it stands for in front of those that wait.
    fn step(&mut self, Waiting { mut text, depth }: Waiting, waiting: &mut VecDeque<Waiting>) {
        match line::special(text.as_str()) {
            Ok(None) => {}
            Ok(Some(Special::Condition { is_negated, id, rest })) => {
                if (id == self.config_id) != is_negated {
                    waiting.push_front(Waiting { text: text.from(rest), depth });
                }
                return;
            }
            Ok(Some(Special::Definition { name, value })) => {
                self.definitions.insert(name, text.from(value).trimmed());
                return;
            }
            Ok(Some(Special::Repetition { rounds, rest })) => {
                let rest = text.from(rest);
                for values in rounds.values.into_iter().rev() {
                    let fixed =
                        rounds.names.iter().map(String::as_str).zip(values.iter().map(String::as_str));
                    let round = rest.with(&fixed.collect::<Vec<_>>());
                    self.expanded += round.as_str().len();
                    waiting.push_front(Waiting { text: round, depth });
                }
                return;
            }
            Err(expected) => {
                self.findings.mistake(odd_line(&text, expected));
                return;
            }
        }
        if let Some((span, value)) = self.substitution(&text) {
            if depth >= DEEPEST {
                let place = text.place_of(span);
                let found =
                    Found::new(place, "a definition that uses itself", "this is written out without end");
                self.findings.mistake(found);
                return;
            }
            text = text.replace(span, &value);
            self.expanded += text.as_str().len();
            let rows = text.rows();
            // A line within a definition may define what the next one uses: each is read before the next is looked at.
            for row in rows.into_iter().rev() {
                waiting.push_front(Waiting { text: row, depth: depth + 1 });
            }
            return;
        }
        self.plain(&text);
    }

    /// The first variable of a line that is defined, and its value.
    fn substitution(&self, text: &Text) -> Option<(std::ops::Range<usize>, Text)> {
        let whole = text.as_str();
        for (at, _) in whole.match_indices('$') {
            let behind = whole.get(at + 1..)?;
            let (name, length) = if let Some(braced) = behind.strip_prefix('{') {
                let Some(end) = braced.find('}') else { continue };
                (braced.get(..end)?, end + 3)
            } else {
                let end = behind.find(|c| !line::is_name(c)).unwrap_or(behind.len());
                let is_apart = behind
                    .get(end..)
                    .is_none_or(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
                if !is_apart {
                    continue;
                }
                (behind.get(..end)?, end + 1)
            };
            if let Some(value) = self.definitions.get(name) {
                return Some((at..at + length, value.clone()));
            }
            if let Some(value) = self.predefined(name, text.place_of(at..at + length)) {
                return Some((at..at + length, value));
            }
        }
        None
    }

    fn predefined(&self, name: &str, place: Place) -> Option<Text> {
        let value = match name {
            "_PWD" => self.sources.path(place.file()).parent()?.display().to_string(),
            "_INSTANCE" => self.config_id.to_owned(),
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            _ => std::env::var(name.strip_prefix("_ENV ")?.trim()).unwrap_or_default(),
        };
        Some(Text::made(value, place))
    }

    /// A line with nothing in it that stands for something else.
    fn plain(&mut self, text: &Text) {
        match line::pieces(text.as_str()) {
            Err(at) => self.findings.mistake(
                Found::new(text.place_of(at..at + 1), "a quote that does not end", "it begins here")
                    .help("end it on the same line; a quote that is meant itself is written \\\""),
            ),
            Ok(pieces) => {
                if let Some((_, Piece::Word(first, false))) = pieces.first()
                    && (first.starts_with("include"))
                    && let Some(kind) = include::Kind::from_keyword(first)
                {
                    return self.include(kind, text);
                }
                self.take(text, pieces);
            }
        }
    }

    fn take(&mut self, text: &Text, pieces: Vec<(std::ops::Range<usize>, Piece)>) {
        if pieces.is_empty() {
            return;
        }
        for (span, piece) in pieces {
            let place = text.place_of(span);
            self.tokens.push(match piece {
                Piece::Open => Token::Open(place),
                Piece::Close => Token::Close(place),
                Piece::Word(text, is_quoted) => {
                    if !is_quoted && text.starts_with("${_RANDOM") {
                        self.findings.mistake(
                            Found::new(place, "a number drawn at random", "would be another at each reload")
                                .help("write a number"),
                        );
                    }
                    Token::Word(Word { text, place, is_quoted })
                }
            });
        }
        self.tokens.push(Token::End);
    }

    /// The texts and the words that were read.
    pub(super) fn finish(self) -> (Sources, Vec<Token>) {
        (self.sources, self.tokens)
    }

    fn base(&self, place: Place) -> std::path::PathBuf {
        self.sources.path(place.file()).parent().map(Path::to_owned).unwrap_or_default()
    }
}

fn odd_line(text: &Text, expected: &str) -> Found {
    let found = Found::new(text.place(), "this line cannot be read", format!("expected {expected}"));
    if text.as_str().trim() == "@" {
        return found.help("`!` begins a comment; `@^name` is for all hosts but `name`");
    }
    found
}
