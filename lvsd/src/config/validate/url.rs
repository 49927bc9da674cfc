//! A page to be fetched, out of the file.

use std::ops::RangeInclusive;

use lvs_health::declared::{HttpUrl, Pattern, RegexOption};
use toml::Spanned;

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::health::Url;
use crate::config::schema::{Ports, Text};

impl Check {
    pub(super) fn url(&mut self, written: &Url) -> Option<HttpUrl> {
        if !written.path.as_ref().starts_with('/') {
            let title = format!("`{}` is no path", written.path.as_ref());
            self.mistakes.push(Mistake::new(written.path.span(), title, "expected one that begins with /"));
        }
        let status: Vec<_> = written.status.iter().filter_map(|status| self.status(status)).collect();
        let default = HttpUrl::default();
        Some(HttpUrl {
            path: written.path.as_ref().clone(),
            digest: match &written.digest {
                Some(text) => Some(self.digest(text)?),
                None => None,
            },
            status: if status.is_empty() { default.status } else { status },
            virtualhost: written.virtualhost.as_ref().map(|host| host.as_ref().clone()),
            pattern: match &written.regex {
                Some(text) => Some(self.pattern(written, text)?),
                None => None,
            },
        })
    }

    /// A status, or a range of them.
    fn status(&mut self, text: &Spanned<Ports>) -> Option<RangeInclusive<u16>> {
        let Ports(written) = text.as_ref();
        let (first, last) = written.split_once('-').unwrap_or((written, written));
        let codes = (first.trim().parse().ok(), last.trim().parse().ok());
        match codes {
            (Some(first), Some(last)) if (100..=last).contains(&first) && last <= 999 => Some(first..=last),
            _ => {
                let title = format!("`{written}` is no status");
                let expected = "expected one from 100 to 999, or a range such as \"200-299\"";
                self.mistakes.push(Mistake::new(text.span(), title, expected));
                None
            }
        }
    }

    fn digest(&mut self, text: &Text) -> Option<[u8; 16]> {
        let written = text.as_ref();
        let byte = |at: usize| u8::from_str_radix(written.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..written.len()).step_by(2).map(byte).collect();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        if digest.is_none() {
            let title = format!("`{written}` is no MD5 digest");
            self.mistakes.push(Mistake::new(text.span(), title, "expected 32 hexadecimal digits"));
        }
        digest
    }

    fn pattern(&mut self, written: &Url, text: &Text) -> Option<Pattern> {
        let known = RegexOption::ALL.map(RegexOption::name);
        let mut options = Vec::new();
        for option in &written.regex_options {
            let option = self.one_of(option, "option of an expression", &known)?;
            options.extend(RegexOption::from_name(option));
        }
        let range = 0..=i64::MAX;
        let least = self.optional(written.regex_min_offset.as_ref(), "bytes", range.clone());
        let pattern = Pattern {
            text: text.as_ref().clone(),
            no_match: written.regex_no_match,
            options,
            min_offset: least.unwrap_or_default(),
            max_offset: self.optional(written.regex_max_offset.as_ref(), "bytes", range),
        };
        if let Err(error) = pattern.compile() {
            // The last line of the library's says what is wrong; the others draw it.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.mistakes.push(Mistake::new(text.span(), "an expression that cannot be used", why));
            return None;
        }
        Some(pattern)
    }
}
