//! `authentication` and `auth_hmac`: what adverts carry as proof.

use lvs_vrrp::declared::{AntiReplay, Authentication, HmacKey, HmacMode, HmacSettings};

use super::super::reader::Word;
use super::super::source::Found;
use super::super::tree::Statement;
use super::Model;

/// A password's characters that count.
const LONGEST: usize = 8;

impl Model<'_> {
    /// `authentication { auth_type PASS auth_pass .. }`
    pub(super) fn password(&mut self, statement: &Statement) -> Authentication {
        let (mut password, mut kind) = (None, None);
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("auth_type", Some(word)) => {
                    kind = self.findings.choice(word, "kind of authentication", &["PASS", "AH"]);
                    if kind == Some("AH") {
                        let found =
                            Found::new(word.place, "`auth_type AH` cannot be had", "RFC 3768 took it away");
                        self.findings.mistake(found.help("use `auth_hmac`, or `auth_type PASS`"));
                    }
                }
                ("auth_pass", Some(word)) => password = Some(word),
                _ => {}
            }
        }
        match (kind, password) {
            (Some("PASS"), Some(word)) => {
                if word.text.len() > LONGEST {
                    let found =
                        Found::new(word.place, "a password longer than 8 characters", "the first 8 count");
                    self.findings.warn(found);
                }
                let end = (0..=LONGEST).rev().find(|&end| word.text.is_char_boundary(end)).unwrap_or(0);
                Authentication::Password(word.text.get(..end).unwrap_or(&word.text).to_owned())
            }
            (Some("PASS"), None) => {
                self.named(statement, "auth_pass");
                Authentication::None
            }
            _ => {
                self.named(statement, "auth_type");
                Authentication::None
            }
        }
    }

    /// `auth_hmac { key .. active_key .. }`
    pub(super) fn hmac(&mut self, statement: &Statement) -> Authentication {
        let mut settings = HmacSettings {
            keys: Vec::new(),
            active_key: 0,
            mode: HmacMode::default(),
            anti_replay: AntiReplay::default(),
            window: None,
        };
        if !self.named(statement, "key") {
            return Authentication::None;
        }
        for inner in statement.inside() {
            match (inner.name(), Self::name(inner)) {
                ("key", Some(id)) => {
                    let id = self.findings.number(id, "a key's number", 1..=255);
                    let secret = inner.argument(1).and_then(|word| self.secret(word));
                    settings.keys.extend(id.zip(secret).map(|(id, secret)| HmacKey { id, secret }));
                }
                ("active_key", _) => {
                    settings.active_key = self.number(inner, "a key's number", 1..=255).unwrap_or(0);
                }
                ("anti_replay", Some(word)) => {
                    let named = self.findings.choice(word, "way", &["time", "monotonic"]);
                    settings.anti_replay =
                        if named == Some("monotonic") { AntiReplay::Monotonic } else { AntiReplay::Time };
                }
                ("time_window", _) => settings.window = self.seconds(inner, 1..=300),
                ("mode", Some(word)) => {
                    settings.mode = match self.findings.choice(
                        word,
                        "mode",
                        &["enforce", "permissive", "receive-only"],
                    ) {
                        Some("permissive") => HmacMode::Permissive,
                        Some("receive-only") => HmacMode::ReceiveOnly,
                        _ => HmacMode::Enforce,
                    };
                }
                _ => {}
            }
        }
        if settings.active_key == 0 && self.named(statement, "active_key") {
            return Authentication::None;
        }
        Authentication::Hmac(settings)
    }

    /// `hex:` bytes, `file:` a file with either, or the characters themselves.
    fn secret(&mut self, word: &Word) -> Option<Vec<u8>> {
        let mut text = word.text.clone();
        if let Some(path) = text.strip_prefix("file:") {
            match std::fs::read_to_string(path) {
                Ok(read) => read.trim_end_matches(['\n', '\r']).clone_into(&mut text),
                Err(error) => {
                    let title = format!("the key cannot be read: {error}");
                    self.findings.mistake(Found::new(word.place, title, "expected a file"));
                    return None;
                }
            }
        }
        let secret = match text.strip_prefix("hex:") {
            Some(digits) => bytes(digits),
            None => Some(text.into_bytes()),
        };
        let secret = secret.filter(|secret| (32..=64).contains(&secret.len()));
        if secret.is_none() {
            let found = Found::new(word.place, "a key of another length", "expected 32 to 64 bytes");
            self.findings.mistake(found.help("`openssl rand -hex 32` makes one: write it behind `hex:`"));
        }
        secret
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
