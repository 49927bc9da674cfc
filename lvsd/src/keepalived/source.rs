//! The texts a configuration was read from, and places within them.

use std::path::PathBuf;

use crate::config::{Mistake, Mistakes};

/// A place in one of the texts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    file: u32,
    start: u32,
    end: u32,
}

impl Place {
    pub(super) fn new(file: u32, start: usize, end: usize) -> Self {
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { file, start: small(start), end: small(end) }
    }

    pub(super) const fn span(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) const fn file(self) -> u32 {
        self.file
    }

    pub(super) const fn is_in_file_of(self, other: Self) -> bool {
        self.file == other.file
    }

    /// From the start of this one to the end of `other`, where both are of one text.
    pub(super) fn to(self, other: Self) -> Self {
        if self.file == other.file && self.start <= other.end {
            Self { end: other.end, ..self }
        } else {
            self
        }
    }
}

/// A text and what it is called.
#[derive(Debug)]
struct Source {
    origin: String,
    text: String,
}

/// All texts of a configuration, the main one first.
#[derive(Debug, Default)]
pub(super) struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// The longest text that places can be told of.
    pub(super) const LONGEST: usize = u32::MAX as usize;

    pub(super) fn add(&mut self, origin: &str, text: String) -> u32 {
        self.list.push(Source { origin: origin.to_owned(), text });
        u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) const fn count(&self) -> usize {
        self.list.len()
    }

    /// The file's name; empty for a text that came from no file.
    pub(super) fn path(&self, file: u32) -> PathBuf {
        self.list.get(file as usize).map(|source| source.origin.clone().into()).unwrap_or_default()
    }

    /// `found`, by files and within them by place.
    pub(super) fn show(&self, mut found: Vec<Found>) -> Mistakes {
        found.sort_by_key(|found| (found.place.file, found.place.start));
        found.dedup();
        let mut shown = Mistakes::default();
        for (number, source) in self.list.iter().enumerate() {
            let of_file = found.iter().filter(|found| found.place.file as usize == number);
            shown.add(&source.origin, &source.text, of_file.map(|found| found.mistake.clone()).collect());
        }
        shown
    }
}

/// A mistake, and the text it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    place: Place,
    mistake: Mistake,
}

impl Found {
    pub(super) fn new(place: Place, title: impl Into<Box<str>>, label: impl Into<Box<str>>) -> Self {
        Self { place, mistake: Mistake::new(place.span(), title, label) }
    }

    pub(super) fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.mistake = self.mistake.with_help(help);
        self
    }

    pub(super) fn suggesting<'a>(mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.mistake = self.mistake.suggesting(written, known);
        self
    }

    /// Shows another place, if it is in the same text.
    pub(super) fn also(mut self, place: Place, label: impl Into<Box<str>>) -> Self {
        if place.is_in_file_of(self.place) {
            self.mistake = self.mistake.with_also(place.span(), label);
        }
        self
    }

    pub(super) fn warning(mut self) -> Self {
        self.mistake = self.mistake.as_warning();
        self
    }
}

/// What was found while reading: mistakes, and what to be warned of.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) mistakes: Vec<Found>,
    pub(super) warnings: Vec<Found>,
    /// What is refused, where the rest is wanted all the same; elsewhere it is a mistake.
    pub(super) left_out: Option<Vec<Found>>,
}

impl Findings {
    /// So many are told; more help nobody.
    const MOST: usize = 100;

    pub(super) fn mistake(&mut self, found: Found) {
        if self.mistakes.len() < Self::MOST {
            self.mistakes.push(found);
        }
    }

    /// A keyword that cannot be had.
    pub(super) fn refuse(&mut self, found: Found) {
        match &mut self.left_out {
            Some(left_out) => left_out.push(found.warning()),
            None => self.mistake(found),
        }
    }

    pub(super) fn warn(&mut self, found: Found) {
        if self.warnings.len() < Self::MOST {
            self.warnings.push(found.warning());
        }
    }
}
