//! A mistake in a file, shown where it stands: file, line, column, a caret, what was expected, a suggestion.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// The file cannot be used.
    Error,
    /// The file can be used; something in it has no effect here, or not the one it may be thought to have.
    Warning,
}

/// One mistake, or something to be warned of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    weight: Weight,
    title: Box<str>,
    span: Range<usize>,
    label: Box<str>,
    also: Option<(Range<usize>, Box<str>)>,
    help: Option<Box<str>>,
}

impl Mistake {
    /// `title` says what is wrong, `label` what was expected at `span` (bytes of the file).
    pub fn new(span: Range<usize>, title: impl Into<Box<str>>, label: impl Into<Box<str>>) -> Self {
        Self { weight: Weight::Error, title: title.into(), span, label: label.into(), also: None, help: None }
    }

    /// The same as something to be warned of: the file can be used.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.weight = Weight::Warning;
        self
    }

    /// Where it begins, in bytes of the file.
    pub const fn start(&self) -> usize {
        self.span.start
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the one of `known` that `written` was probably meant to be, if there is one.
    #[must_use]
    pub fn suggesting<'a>(mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(near) = nearest(written, known) {
            self.help = Some(format!("did you mean `{near}`?").into());
        }
        self
    }

    /// Adds another place that has to do with it.
    #[must_use]
    pub fn with_also(mut self, span: Range<usize>, label: impl Into<Box<str>>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    fn render(&self, renderer: &Renderer, origin: &str, source: &str) -> String {
        let snippet = Snippet::source(source)
            .path(origin)
            .annotation(AnnotationKind::Primary.span(visible(source, &self.span)).label(&*self.label));
        let snippet = match &self.also {
            Some((span, label)) => {
                snippet.annotation(AnnotationKind::Context.span(visible(source, span)).label(&**label))
            }
            None => snippet,
        };
        let level = match self.weight {
            Weight::Error => Level::ERROR,
            Weight::Warning => Level::WARNING,
        };
        let group: Group<'_> = level.primary_title(&*self.title).element(snippet);
        let group = match &self.help {
            Some(help) => group.element(Level::HELP.message(&**help)),
            None => group,
        };
        renderer.render(&[group])
    }
}

/// What a mistake says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Its line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What it is.
    pub title: &'a str,
    /// What was expected there, or why it is so.
    pub label: &'a str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'a str>,
}

/// Every mistake of a file, or of several that belong together, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes {
    files: Vec<OfFile>,
}

/// The mistakes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfFile {
    origin: String,
    source: String,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// The mistakes in `source`, which is called `origin`.
    pub fn new(origin: &str, source: &str, list: Vec<Mistake>) -> Self {
        let mut mistakes = Self::default();
        mistakes.add(origin, source, list);
        mistakes
    }

    /// Adds those of another file.
    pub fn add(&mut self, origin: &str, source: &str, list: Vec<Mistake>) {
        if !list.is_empty() {
            self.files.push(OfFile { origin: origin.to_owned(), source: source.to_owned(), list });
        }
    }

    /// True when there is none.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Each as what it says, for programs.
    pub fn told(&self) -> impl Iterator<Item = Told<'_>> {
        self.files.iter().flat_map(|file| {
            file.list.iter().map(|mistake| {
                let before = file.source.get(..mistake.span.start.min(file.source.len())).unwrap_or_default();
                let line = before.rsplit('\n').next().unwrap_or_default();
                Told {
                    file: &file.origin,
                    line: before.matches('\n').count() + 1,
                    column: line.chars().count() + 1,
                    title: &mistake.title,
                    label: &mistake.label,
                    help: mistake.help.as_deref(),
                }
            })
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.iter().map(|file| file.list.len()).sum()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        let all = self.files.iter().flat_map(|file| file.list.iter().map(move |mistake| (file, mistake)));
        for (index, (file, mistake)) in all.enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&mistake.render(&renderer, &file.origin, &file.source))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The span, cut to the first line it touches: a caret under a whole table tells nobody anything.
fn visible(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(source.len());
    let end = span.end.min(source.len()).max(start);
    let line = source.get(start..end).and_then(|text| text.find('\n')).map_or(end, |newline| start + newline);
    start..line.max(start)
}

pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= 1 + name.len().min(written.len()) / 4)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["rr", "wrr", "wlc", "sh"];
        assert_eq!(nearest("wwr", known), Some("wrr"));
        assert_eq!(nearest("WLC", known), Some("wlc"));
        assert_eq!(nearest("round-robin", known), None);
        assert_eq!(nearest("TPC", ["TCP", "UDP"]), Some("TCP"));
    }
}
