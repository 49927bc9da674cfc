//! Values with a short form: a text or a list for those that need no more, a table for the rest.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What its short form stands for.
pub(in crate::config) trait Short: Sized {
    /// What is expected, in the words of a message.
    const EXPECTED: &'static str;

    /// Out of a text; nothing where a text is no form of it.
    fn of_text(_text: &str) -> Option<Self> {
        None
    }

    /// Out of a list; nothing where a list is no form of it.
    fn of_list(_list: Vec<String>) -> Option<Self> {
        None
    }
}

/// A value that was written in short or as a table.
#[derive(Debug, Clone)]
pub(in crate::config) struct Brief<T>(pub(in crate::config) T);

impl<'de, T: Short + Deserialize<'de>> Deserialize<'de> for Brief<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Short + Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = Brief<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Brief<T>, E> {
        T::of_text(text).map(Brief).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Brief<T>, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        T::of_list(words).map(Brief).ok_or_else(|| A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Brief<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Brief)
    }
}

/// A time in seconds, with a fraction or without: 0 to 30 days.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Time(pub(in crate::config) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// 30 days.
        const LONGEST: Duration = Duration::from_hours(720);
        let super::health::Seconds(seconds) = Deserialize::deserialize(deserializer)?;
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
        time.map(Self).ok_or_else(|| {
            let seconds = serde::de::Unexpected::Float(seconds);
            D::Error::invalid_value(seconds, &"seconds, 0 to 2592000")
        })
    }
}

/// A program: a list of its name and arguments, or a table that also says who it runs as.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Program {
    pub(in crate::config) command: Vec<String>,
    /// `USER` or `USER:GROUP`
    pub(in crate::config) user: Option<String>,
}

impl Short for Program {
    const EXPECTED: &'static str =
        "a program with its arguments in a list, or a table of `command` and `user`";

    fn of_list(command: Vec<String>) -> Option<Self> {
        Some(Self { command, user: None })
    }
}
