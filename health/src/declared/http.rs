//! `HTTP_GET` and `SSL_GET`: which pages are asked for, and what they must say.

use std::ops::RangeInclusive;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Pages to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Present for `SSL_GET`.
    pub tls: Option<Sni>,
    /// `http_protocol`
    pub protocol: HttpProtocol,
    /// `fast_recovery`: after a failure the pages are asked for without a pause between them.
    pub fast_recovery: bool,
    /// The pages, in their order; never empty. Each turn asks for one of them.
    pub urls: Vec<HttpUrl>,
}

/// The server's name within a TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Sni {
    /// `enable_sni`: say a name.
    pub enabled: bool,
    /// `sni_name`: this one; the page's `virtualhost` when absent.
    pub name: Option<String>,
}

/// The version a request is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum HttpProtocol {
    /// HTTP/1.0
    #[default]
    #[serde(rename = "1.0")]
    Http10,
    /// HTTP/1.0 with `Connection: close` (`1.0C`)
    #[serde(rename = "1.0C")]
    Http10Close,
    /// HTTP/1.1
    #[serde(rename = "1.1")]
    Http11,
}

/// A page, and what it must say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpUrl {
    /// `path`, from the slash on.
    pub path: String,
    /// `digest`: the MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: the codes that are as they should be; 200 to 299 by default, never empty.
    pub status: Vec<RangeInclusive<u16>>,
    /// `virtualhost`: the `Host` of the request; the address asked when absent.
    pub virtualhost: Option<String>,
    /// `regex`
    pub pattern: Option<Pattern>,
}

impl Default for HttpUrl {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            digest: None,
            status: std::iter::once(200..=299).collect(),
            virtualhost: None,
            pattern: None,
        }
    }
}

/// A regular expression over the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Pattern {
    /// `regex`
    pub text: String,
    /// `regex_no_match`: a match is a failure.
    pub no_match: bool,
    /// `regex_options`
    pub options: Vec<RegexOption>,
    /// `regex_min_offset`: a match may begin here at the earliest, in bytes of the body.
    pub min_offset: usize,
    /// `regex_max_offset`: a match may begin here at the latest; anywhere when absent.
    pub max_offset: Option<usize>,
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// The expression, ready to be used.
    ///
    /// # Errors
    /// It cannot be read, would be too large, or uses what only a backtracking matcher has (look-around, references
    /// back): a check must end in time whatever a server answers.
    pub fn compile(&self) -> Result<Regex, PatternError> {
        let has = |option| self.options.contains(&option);
        RegexBuilder::new(&self.text)
            .case_insensitive(has(RegexOption::Caseless))
            .dot_matches_new_line(has(RegexOption::Dotall))
            .ignore_whitespace(has(RegexOption::Extended))
            .multi_line(has(RegexOption::Multiline))
            .swap_greed(has(RegexOption::Ungreedy))
            .unicode(has(RegexOption::Utf) || has(RegexOption::Ucp))
            .size_limit(1 << 20)
            .build()
            .map_err(|error| PatternError(error.to_string()))
    }
}

/// An option of a regular expression, by PCRE's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegexOption {
    /// Upper and lower case are the same.
    Caseless,
    /// A dot stands for a line's end too.
    Dotall,
    /// Spaces and comments may be in the expression.
    Extended,
    /// `^` and `$` stand for the ends of each line.
    Multiline,
    /// Repetitions are short unless `?` follows.
    Ungreedy,
    /// Expression and body are UTF-8.
    Utf,
    /// Classes such as `\w` know all of Unicode.
    Ucp,
}

impl RegexOption {
    /// Every option that changes something.
    pub const ALL: [Self; 7] =
        [Self::Caseless, Self::Dotall, Self::Extended, Self::Multiline, Self::Ungreedy, Self::Utf, Self::Ucp];
    /// keepalived's options that ask for what is so anyway, or only hint at how a backtracking matcher should work.
    pub const WITHOUT_EFFECT: [&'static str; 8] = [
        "dollar_endonly",
        "never_backslash_c",
        "never_ucp",
        "never_utf",
        "no_auto_capture",
        "no_auto_possess",
        "no_dotstar_anchor",
        "no_start_optimize",
    ];
    /// keepalived's options that cannot be had here.
    pub const NOT_AVAILABLE: [&'static str; 9] = [
        "allow_empty_class",
        "alt_bsux",
        "alt_circumflex",
        "alt_verbnames",
        "auto_callout",
        "dupnames",
        "firstline",
        "match_unset_backref",
        "use_offset_limit",
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caseless => "caseless",
            Self::Dotall => "dotall",
            Self::Extended => "extended",
            Self::Multiline => "multiline",
            Self::Ungreedy => "ungreedy",
            Self::Utf => "utf",
            Self::Ucp => "ucp",
        }
    }

    /// The option of this name, if it changes something.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|option| option.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_backtracking_matcher_has_is_refused() {
        let pattern = |text: &str| Pattern { text: text.to_owned(), ..Pattern::default() };
        assert!(pattern(r"(a)\1").compile().is_err());
        assert!(pattern(r"(?=a)").compile().is_err());
        assert!(pattern(r"^status:\s+ok$").compile().is_ok());
    }

    #[test]
    fn an_option_does_what_it_says() {
        let with = |options: &[RegexOption]| {
            let pattern =
                Pattern { text: "^ok.$".to_owned(), options: options.to_vec(), ..Pattern::default() };
            pattern.compile().unwrap()
        };
        assert!(!with(&[]).is_match(b"OK!"));
        assert!(with(&[RegexOption::Caseless]).is_match(b"OK!"));
        assert!(!with(&[]).is_match(b"a\nok!\n"));
        assert!(with(&[RegexOption::Multiline]).is_match(b"a\nok!\n"));
        assert!(with(&[RegexOption::Dotall]).is_match(b"ok\n"));
    }
}
