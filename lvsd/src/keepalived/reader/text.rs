//! A line as it is read, that knows of each of its parts where it was written.

use std::ops::Range;

use super::super::line;
use super::super::source::Place;

/// A line, or the lines of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    text: String,
    parts: Vec<Part>,
}

/// From `at` on, to the next part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    at: usize,
    place: Place,
    /// True when the text is the one at the place, letter by letter; else it was made of what is there.
    is_copy: bool,
}

impl Text {
    /// The lines of a file.
    pub(super) fn lines(text: &str, file: u32) -> Vec<Self> {
        let mut start = 0;
        let line = |whole: &str| {
            let place = Place::new(file, start, start + whole.len());
            start += whole.len();
            let text = whole.trim_end_matches(['\n', '\r']).to_owned();
            Self { text, parts: vec![Part { at: 0, place, is_copy: true }] }
        };
        text.split_inclusive('\n').map(line).collect()
    }

    /// A text that was made of what stands at `place`.
    pub(super) fn made(text: String, place: Place) -> Self {
        Self { text, parts: vec![Part { at: 0, place, is_copy: false }] }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where all of it, but for the space around it, was written.
    pub(super) fn place(&self) -> Place {
        let start = self.text.len() - self.text.trim_start().len();
        self.place_of(start..self.text.trim_end().len().max(start))
    }

    /// Where a part of it was written.
    pub(super) fn place_of(&self, span: Range<usize>) -> Place {
        let start = self.end_place(span.start, false);
        if span.is_empty() { start } else { start.to(self.end_place(span.end, true)) }
    }

    fn end_place(&self, at: usize, is_end: bool) -> Place {
        let inside = if is_end { at.saturating_sub(1) } else { at };
        let index = self.parts.partition_point(|part| part.at <= inside).saturating_sub(1);
        let Some(part) = self.parts.get(index) else { return Place::new(0, 0, 0) };
        if !part.is_copy {
            return part.place;
        }
        let start = part.place.span().start + (inside - part.at.min(inside));
        let end = if is_end { start + 1 } else { start };
        Place::new(part.place.file(), start, end.max(start))
    }

    /// A part of it.
    fn slice(&self, span: Range<usize>) -> Self {
        let text = self.text.get(span.clone()).unwrap_or_default().to_owned();
        let first = self.parts.partition_point(|part| part.at <= span.start).saturating_sub(1);
        let parts =
            self.parts.get(first..).unwrap_or_default().iter().take_while(|part| part.at < span.end.max(1));
        let parts = parts.map(|part| {
            let cut = span.start.saturating_sub(part.at);
            let place = part.place;
            let place = if part.is_copy {
                Place::new(place.file(), place.span().start + cut, place.span().end)
            } else {
                place
            };
            Part { at: part.at.saturating_sub(span.start), place, ..*part }
        });
        Self { text, parts: parts.collect() }
    }

    /// From a place in it to its end.
    pub(super) fn from(&self, start: usize) -> Self {
        self.slice(start..self.text.len())
    }

    pub(super) fn without_comment(self) -> Self {
        let end = line::comment(&self.text);
        if end == self.text.len() { self } else { self.slice(0..end) }
    }

    pub(super) fn trimmed(&self) -> Self {
        let start = self.text.len() - self.text.trim_start_matches([' ', '\t']).len();
        self.slice(start..self.text.trim_end().len().max(start))
    }

    /// True when the next line belongs to it.
    pub(super) fn is_continued(&self) -> bool {
        let end = self.text.trim_end();
        let slashes = end.len() - end.trim_end_matches('\\').len();
        slashes % 2 == 1
    }

    pub(super) fn without_continuation(&self) -> Self {
        self.slice(0..self.text.trim_end().len().saturating_sub(1))
    }

    /// Puts another text behind it.
    pub(super) fn join(&mut self, glue: char, other: &Self) {
        self.text.push(glue);
        self.append(other);
    }

    fn append(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.parts.extend(other.parts.iter().map(|part| Part { at: part.at + shift, ..*part }));
    }

    /// `value` in the place of a part. What is written on one line is told of where it is used, the lines of a
    /// longer definition where they stand.
    pub(super) fn replace(&self, span: Range<usize>, value: &Self) -> Self {
        let mut whole = self.slice(0..span.start);
        if whole.text.is_empty() {
            whole.parts.clear();
        }
        let used = self.place_of(span.clone());
        if value.text.contains('\n') {
            whole.append(value);
        } else {
            whole.append(&Self::made(value.text.clone(), used));
        }
        if span.end < self.text.len() {
            whole.append(&self.from(span.end));
        }
        whole
    }

    /// The text with `${NAME}` and `$NAME` written out for these names.
    pub(super) fn with(&self, values: &[(&str, &str)]) -> Self {
        let mut whole = self.clone();
        let mut at = 0;
        while let Some(found) = whole.text.get(at..).and_then(|rest| rest.find('$')).map(|skip| at + skip) {
            let behind = whole.text.get(found + 1..).unwrap_or_default();
            let braced = behind
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .map(|(name, _)| (name, name.len() + 3));
            let end = behind.find(|c| !line::is_name(c)).unwrap_or(behind.len());
            let (name, length) = braced.unwrap_or_else(|| (behind.get(..end).unwrap_or_default(), end + 1));
            let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if let Some(value) = value {
                let place = whole.place_of(found..found + length);
                whole = whole.replace(found..found + length, &Self::made(value.to_owned(), place));
                at = found + value.len();
            } else {
                at = found + 1;
            }
        }
        whole
    }

    /// Its lines.
    pub(super) fn rows(self) -> Vec<Self> {
        if !self.text.contains('\n') {
            return vec![self];
        }
        let mut start = 0;
        let row = |row: &str| {
            let span = start..start + row.len();
            start += row.len() + 1;
            self.slice(span)
        };
        self.text.split('\n').map(row).collect()
    }
}
