//! What is watched: files, processes, scripts, interfaces' delays, and the lists that name them.

use std::time::Duration;

use lvs_vrrp::declared::{Command, InitialNumber, LinkDelay, Script, Track, TrackFile, TrackProcess, Weight};

use super::super::reader::Word;
use super::super::source::Found;
use super::super::tree::Statement;
use super::{Model, WatchedFile};

impl Model<'_> {
    pub(super) fn track_file(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        if !self.named(statement, "file") {
            return;
        }
        let (mut path, mut weight, mut initial, mut place) = (None, (1, false), None, statement.whole());
        for inner in statement.inside() {
            match inner.name() {
                "file" => path = Self::name(inner).map(|word| word.text.clone()),
                "weight" => {
                    weight = self.file_weight(inner).unwrap_or((1, false));
                    place = inner.whole();
                }
                "init_file" => initial = self.initial(inner),
                _ => {}
            }
        }
        let Some(path) = path else { return };
        let file = WatchedFile { path: path.clone().into(), weight: weight.0, reverse: weight.1 };
        if self.files.insert(name.text.clone(), file).is_some() {
            let title = format!("two track files of the name {}", name.text);
            self.findings.mistake(Found::new(name.place, title, "again here"));
        }
        let value = i16::try_from(weight.0.clamp(-254, 254)).unwrap_or(0);
        if i32::from(value) != weight.0 {
            // It may be meant for real servers alone; for routers it cannot be.
            let found =
                Found::new(place, "a weight over 254", "254 is meant where a virtual router looks at it");
            self.findings.warn(found);
        }
        let weight = Weight { value, is_reversed: weight.1 };
        let file = TrackFile { name: name.text.clone(), path: path.into(), weight, initial };
        self.declared.vrrp.files.push(file);
    }

    fn initial(&mut self, inner: &Statement) -> Option<InitialNumber> {
        let mut initial = InitialNumber { number: 0, overwrites: false };
        for word in inner.arguments() {
            if word.text == "overwrite" {
                initial.overwrites = true;
            } else {
                initial.number = self.findings.number(word, "a number", i64::MIN..=i64::MAX)?;
            }
        }
        Some(initial)
    }

    pub(super) fn track_process(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        if !self.named(statement, "process") {
            return;
        }
        let mut process = TrackProcess {
            name: name.text.clone(),
            process: String::new(),
            arguments: None,
            weight: Weight::default(),
            quorum: 1,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        };
        for inner in statement.inside() {
            let delay = |this: &mut Self| this.seconds(inner, 0..=3600).unwrap_or_default();
            match inner.name() {
                "process" => {
                    if let Some((program, arguments)) = inner.arguments().split_first() {
                        process.process.clone_from(&program.text);
                        let arguments: Vec<String> = arguments.iter().map(|word| word.text.clone()).collect();
                        process.arguments = (!arguments.is_empty()).then_some(arguments);
                    }
                }
                "weight" => process.weight = self.weight(inner, 254),
                "quorum" => process.quorum = self.number(inner, "processes", 1..=65_535).unwrap_or(1),
                "quorum_max" => process.quorum_max = self.number(inner, "processes", 0..=65_535),
                "fork_delay" => process.fork_delay = delay(self),
                "terminate_delay" => process.terminate_delay = delay(self),
                "delay" => {
                    process.fork_delay = delay(self);
                    process.terminate_delay = process.fork_delay;
                }
                _ => {}
            }
        }
        self.declared.vrrp.processes.push(process);
    }

    pub(super) fn vrrp_script(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        if !self.named(statement, "script") {
            return;
        }
        let mut script = Script::new(name.text.clone(), Command { argv: Vec::new(), user: None });
        for inner in statement.inside() {
            match inner.name() {
                "script" => {
                    let argv = Self::name(inner).and_then(|word| self.findings.argv(word));
                    script.command.argv = argv.unwrap_or_default();
                }
                "interval" => script.interval = self.seconds(inner, 0..=86_400).unwrap_or(script.interval),
                "timeout" => script.timeout = self.seconds(inner, 0..=86_400),
                "weight" => script.weight = self.weight(inner, 253),
                "rise" => script.rise = self.number(inner, "times", 1..=2_147_483_647).unwrap_or(1),
                "fall" => script.fall = self.number(inner, "times", 1..=2_147_483_647).unwrap_or(1),
                "user" => script.command.user = self.findings.runs_as(inner.arguments()).map(Into::into),
                "init_fail" => script.starts_down = true,
                _ => {}
            }
        }
        if let Some(first) = self.declared.vrrp.scripts.iter().find(|other| other.name == script.name) {
            let title = format!("two scripts of the name {}", first.name);
            self.findings.mistake(Found::new(name.place, title, "again here"));
        }
        self.declared.vrrp.scripts.push(script);
    }

    /// `NUMBER [reverse]`
    fn weight(&mut self, inner: &Statement, most: i64) -> Weight {
        let value = self.number(inner, "a weight", -most..=most).unwrap_or(0);
        let is_reversed = match inner.argument(1) {
            Some(word) => self.findings.choice(word, "option", &["reverse"]).is_some(),
            None => false,
        };
        Weight { value, is_reversed }
    }

    /// The items of a `track_..` block: `NAME [weight NUMBER [reverse|noreverse]]`.
    pub(super) fn tracks(&mut self, statement: &Statement, most: i64) -> Vec<Track> {
        let vrrp = &self.declared.vrrp;
        let known: Option<(&str, Vec<String>)> = match statement.name() {
            "track_script" => {
                Some(("vrrp_script", vrrp.scripts.iter().map(|script| script.name.clone()).collect()))
            }
            "track_file" => Some(("track_file", vrrp.files.iter().map(|file| file.name.clone()).collect())),
            "track_process" => {
                let names = vrrp.processes.iter().map(|process| process.name.clone());
                Some(("vrrp_track_process", names.collect()))
            }
            _ => None,
        };
        if let Some((noun, names)) = known {
            for word in statement.inside().iter().filter_map(|item| item.words.first()) {
                self.known(word, noun, &names);
            }
        }
        statement.inside().iter().filter_map(|item| self.track(item, most)).collect()
    }

    /// Tells of a name that nothing has.
    pub(super) fn known(&mut self, word: &Word, noun: &str, names: &[String]) {
        if self.is_whole && !names.contains(&word.text) {
            let title = format!("there is no {noun} `{}`", word.text);
            let found = Found::new(word.place, title, format!("expected the name of a {noun}"));
            self.findings.mistake(found.suggesting(&word.text, names.iter().map(String::as_str)));
        }
    }

    fn track(&mut self, item: &Statement, most: i64) -> Option<Track> {
        let (name, options) = item.words.split_first()?;
        let mut track = Track { name: name.text.clone(), weight: None };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match self.findings.choice(option, "option", &["weight", "reverse", "noreverse"])? {
                "weight" => {
                    let Some(number) = options.next() else {
                        let found = Found::new(
                            option.place,
                            "a weight without its number",
                            "expected `weight NUMBER`",
                        );
                        self.findings.mistake(found);
                        return None;
                    };
                    let value = self.findings.number(number, "a weight", -most..=most)?;
                    track.weight.get_or_insert_default().value = value;
                }
                option => track.weight.get_or_insert_default().is_reversed = option == "reverse",
            }
        }
        Some(track)
    }

    /// `INTERFACE DOWN [UP]`
    pub(super) fn link_delays(&mut self, items: &[Statement]) {
        for item in items {
            let Some((name, delays)) = item.words.split_first() else { continue };
            let Some(down) = delays.first() else {
                let found = Found::new(
                    name.place,
                    "an interface without its delay",
                    "expected `INTERFACE DOWN [UP]`",
                );
                self.findings.mistake(found);
                continue;
            };
            if let Some(extra) = delays.get(2) {
                let title = format!("`{}` is one too many", extra.text);
                self.findings.mistake(Found::new(extra.place, title, "expected `INTERFACE DOWN [UP]`"));
            }
            let (Some(interface), Some(down)) =
                (self.findings.interface(name), self.findings.seconds(down, 0..=255))
            else {
                continue;
            };
            let up = delays.get(1).and_then(|up| self.findings.seconds(up, 0..=255)).unwrap_or(down);
            self.declared.vrrp.link_delays.push(LinkDelay { interface, down, up });
        }
    }
}
