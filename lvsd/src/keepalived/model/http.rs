//! `HTTP_GET` and `SSL_GET`: the pages, and what they must say.

use std::ops::RangeInclusive;

use lvs_health::declared::{CheckKind, HttpCheck, HttpProtocol, HttpUrl, Pattern, RegexOption, Sni};

use super::super::reader::Word;
use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use super::server::Defaults;

impl Model<'_> {
    pub(super) fn http(&mut self, statement: &Statement, is_tls: bool, of: &Defaults) -> Option<CheckKind> {
        let mut check = HttpCheck {
            tls: is_tls.then(Sni::default),
            protocol: HttpProtocol::default(),
            fast_recovery: false,
            urls: Vec::new(),
        };
        let mut virtualhost = of.virtualhost.clone();
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("virtualhost", Some(word)) => virtualhost = Some(word.text.clone()),
                ("fast_recovery", _) => check.fast_recovery = self.boolean(inner),
                ("http_protocol", Some(word)) => {
                    check.protocol = match self.findings.choice(word, "protocol", &["1.0", "1.0C", "1.1"]) {
                        Some("1.0C") => HttpProtocol::Http10Close,
                        Some("1.1") => HttpProtocol::Http11,
                        _ => HttpProtocol::Http10,
                    };
                }
                ("enable_sni", _) => {
                    let enabled = self.boolean(inner);
                    check.tls.get_or_insert_default().enabled = enabled;
                }
                ("sni_name", Some(word)) => {
                    let tls = check.tls.get_or_insert_default();
                    (tls.enabled, tls.name) = (true, Some(word.text.clone()));
                }
                _ => {}
            }
        }
        for inner in statement.inside().iter().filter(|inner| inner.name() == "url") {
            check.urls.extend(self.url(inner, virtualhost.as_ref()));
        }
        if !self.named(statement, "url") {
            return None;
        }
        Some(CheckKind::Http(check))
    }

    fn url(&mut self, statement: &Statement, virtualhost: Option<&String>) -> Option<HttpUrl> {
        if !self.named(statement, "path") {
            return None;
        }
        let mut url = HttpUrl { virtualhost: virtualhost.cloned(), ..HttpUrl::default() };
        let mut pattern = Pattern::default();
        let (mut has_regex, mut first_option) = (None, None);
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("path", Some(word)) => url.path = self.path(word),
                ("digest", Some(word)) => url.digest = self.digest(word),
                ("status_code", _) => url.status = self.status(inner.arguments()),
                ("virtualhost", Some(word)) => url.virtualhost = Some(word.text.clone()),
                ("regex", Some(word)) => {
                    has_regex = Some(word.place);
                    pattern.text.clone_from(&word.text);
                }
                (name, _) if name.starts_with("regex_") && name != "regex_stack" => {
                    first_option.get_or_insert_with(|| inner.whole());
                    self.regex(inner, &mut pattern);
                }
                _ => {}
            }
        }
        url.pattern = self.pattern(pattern, has_regex, first_option);
        Some(url)
    }

    fn path(&mut self, word: &Word) -> String {
        if !word.text.starts_with('/') || word.text.contains(char::is_whitespace) {
            let title = format!("`{}` is no path of a page", word.text);
            self.findings.mistake(Found::new(word.place, title, "expected one such as /index.html"));
        }
        word.text.clone()
    }

    fn digest(&mut self, word: &Word) -> Option<[u8; 16]> {
        let mut digest = [0; 16];
        let is_read = word.text.len() == 32
            && word.text.is_ascii()
            && digest.iter_mut().enumerate().all(|(at, byte)| {
                let digits =
                    word.text.get(at * 2..at * 2 + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                digits.map(|read| *byte = read).is_some()
            });
        if !is_read {
            let title = format!("`{}` is no digest", word.text);
            let found = Found::new(word.place, title, "expected 32 hexadecimal digits: an MD5");
            self.findings.mistake(found.help("`curl -s URL | md5sum` makes one"));
            return None;
        }
        Some(digest)
    }

    fn status(&mut self, words: &[Word]) -> Vec<RangeInclusive<u16>> {
        let mut ranges = Vec::new();
        for word in words {
            let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) if (100..=999).contains(&first) && first <= last && last <= 999 => {
                    ranges.push(first..=last);
                }
                _ => {
                    let title = format!("`{}` is no status", word.text);
                    let expected = "expected codes of 100 to 999 or ranges such as 200-299";
                    self.findings.mistake(Found::new(word.place, title, expected));
                }
            }
        }
        ranges
    }

    fn regex(&mut self, inner: &Statement, pattern: &mut Pattern) {
        match inner.name() {
            "regex_no_match" => pattern.no_match = true,
            "regex_min_offset" => pattern.min_offset = self.number(inner, "bytes", 0..=i64::MAX).unwrap_or(0),
            "regex_max_offset" => pattern.max_offset = self.number(inner, "bytes", 0..=i64::MAX),
            "regex_options" => {
                for word in inner.arguments() {
                    self.regex_option(word, pattern);
                }
            }
            _ => {}
        }
    }

    fn regex_option(&mut self, word: &Word, pattern: &mut Pattern) {
        if let Some(option) = RegexOption::from_name(&word.text) {
            pattern.options.push(option);
        } else if RegexOption::NOT_AVAILABLE.contains(&word.text.as_str()) {
            let title = format!("the option `{}` cannot be had", word.text);
            let found = Found::new(word.place, title, "regular expressions here do without it");
            self.findings.mistake(found.help("remove it, and write the expression so that it is not needed"));
        } else if !RegexOption::WITHOUT_EFFECT.contains(&word.text.as_str()) {
            let known: Vec<&str> = RegexOption::ALL.into_iter().map(RegexOption::name).collect();
            self.findings.choice(word, "option", &known);
        }
    }

    fn pattern(&mut self, pattern: Pattern, regex: Option<Place>, option: Option<Place>) -> Option<Pattern> {
        let Some(place) = regex else {
            if let Some(place) = option {
                let found =
                    Found::new(place, "an option of a `regex` that is not there", "it has no effect alone");
                self.findings.warn(found);
            }
            return None;
        };
        if let Err(error) = pattern.compile() {
            let told = error.to_string();
            let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let found = Found::new(place, "a regular expression that cannot be used", reason);
            self.findings.mistake(found.help("look-around and references back are not to be had"));
        }
        if pattern.max_offset.is_some_and(|most| most <= pattern.min_offset) {
            let title = "`regex_max_offset` is not more than `regex_min_offset`";
            self.findings.mistake(Found::new(option.unwrap_or(place), title, "nothing can match there"));
        }
        Some(pattern)
    }
}
