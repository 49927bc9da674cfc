//! The Call-ID of a SIP message, found where the kernel finds it (`ip_vs_sip_fill_param`, `ct_sip_get_header`).
//!
//! Lines end with CR, LF or both. The first line is no header, but all others are looked at, those of the body
//! included: what was found once must be found again, and by either kind of director.

/// The longest Call-ID that is kept (`IP_VS_PEDATA_MAXLEN`).
const LONGEST: usize = 255;
/// The header's name, and its compact form.
const NAME: &[u8] = b"call-id";
const COMPACT: u8 = b'i';

/// A look at the headers from some place on.
enum Look {
    /// A value begins at the first place and ends before the second.
    Value(usize, usize),
    /// Where a value would begin that is none.
    NoValue(usize),
}

/// The Call-ID of `message`; `None` for a message without one that could be kept.
pub(super) fn call_id(message: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    loop {
        match look(message, from)? {
            // The kernel adds up the places it has found no value at, and so may pass one by.
            Look::NoValue(at) => from += at,
            Look::Value(begin, end) => {
                let is_ended = message.get(end).is_some_and(|&octet| is_line_end(octet));
                return message.get(begin..end).filter(|value| is_ended && value.len() <= LONGEST);
            }
        }
    }
}

/// Looks for the header at the beginning of lines. One that begins so and has no colon ends the search.
fn look(message: &[u8], from: usize) -> Option<Look> {
    let mut at = from;
    while let Some(&octet) = message.get(at) {
        if is_line_end(octet) {
            at = next_line(message, at);
            let line = message.get(at..).filter(|line| !line.is_empty())?;
            // A continued line is its header's, and begins with a blank.
            if let Some(name) = name(line) {
                let begin = value(message, at + name)?;
                let len = word_at_domain(message.get(begin..).unwrap_or_default());
                return Some(if len == 0 { Look::NoValue(begin) } else { Look::Value(begin, begin + len) });
            }
        }
        at += 1;
    }
    None
}

/// Octets of the header's name at the beginning of `line`. The compact form is no letter's beginning.
fn name(line: &[u8]) -> Option<usize> {
    if line.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME)) {
        return Some(NAME.len());
    }
    match line {
        [first, next, ..] if first.eq_ignore_ascii_case(&COMPACT) && !is_letter(*next) => Some(1),
        _ => None,
    }
}

/// Where the value begins of the header whose name ends at `at`: behind a colon, with blanks on either side.
fn value(message: &[u8], at: usize) -> Option<usize> {
    let colon = skip_blanks(message, at)?;
    if message.get(colon) != Some(&b':') || colon + 1 >= message.len() {
        return None;
    }
    skip_blanks(message, colon + 1)
}

/// The place behind blanks, of which one line end may be part if the next line is a continued one.
fn skip_blanks(message: &[u8], at: usize) -> Option<usize> {
    let end = behind_blanks(message, at);
    if !message.get(end).is_some_and(|&octet| is_line_end(octet)) {
        return Some(end);
    }
    let line = next_line(message, end);
    message.get(line).is_some_and(|&octet| is_blank(octet)).then(|| behind_blanks(message, line))
}

fn behind_blanks(message: &[u8], at: usize) -> usize {
    let rest = message.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|&&octet| is_blank(octet)).count()
}

/// Where the line begins behind the line end at `at`.
fn next_line(message: &[u8], at: usize) -> usize {
    let is_pair = message.get(at..at + 2) == Some(b"\r\n");
    at + if is_pair { 2 } else { 1 }
}

/// Octets of `word` or `word@word` (RFC 3261, section 25.1) at the beginning; 0 where there is none, or no word
/// behind the `@`.
fn word_at_domain(text: &[u8]) -> usize {
    let word = word(text);
    match text.get(word..) {
        Some([b'@', domain @ ..]) if word > 0 => match self::word(domain) {
            0 => 0,
            domain => word + 1 + domain,
        },
        _ => word,
    }
}

fn word(text: &[u8]) -> usize {
    text.iter().take_while(|&&octet| is_word(octet)).count()
}

const fn is_word(octet: u8) -> bool {
    matches!(
        octet,
        b'!' | b'"'
            | b'%'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'/'
            | b':'
            | b'<'
            | b'>'
            | b'?'
            | b'['
            | b'\\'
            | b']'
            | b'_'
            | b'`'
            | b'{'
            | b'}'
            | b'~'
            | b'0'..=b'9'
    ) || is_letter(octet)
}

/// Letters as the kernel's `isalpha` has them: Latin-1's, too.
const fn is_letter(octet: u8) -> bool {
    octet.is_ascii_alphabetic() || (octet >= 0xc0 && octet != 0xd7 && octet != 0xf7)
}

const fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(message: &str) -> Option<&str> {
        call_id(message.as_bytes()).map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn the_header_is_found_in_either_form_and_with_any_line_end() {
        for (message, id) in [
            (
                "INVITE sip:b SIP/2.0\r\nVia: x\r\nCall-ID: a84b4c76e66710@pc33\r\nCSeq: 1\r\n\r\n",
                "a84b4c76e66710@pc33",
            ),
            ("OPTIONS x\r\ni: short@a\r\n", "short@a"),
            ("OPTIONS x\r\nI: short@a\r\n", "short@a"),
            ("OPTIONS x\nCALL-id:lf\n", "lf"),
            ("OPTIONS x\rcall-id\t :cr\r", "cr"),
            ("\r\nCall-ID: behind an empty line\r\n".replace(" an empty line", "").as_str(), "behind"),
            ("x\r\nCall-ID:\r\n folded@a\r\n", "folded@a"),
            ("x\r\nCall-ID\r\n\t: folded@b\r\n", "folded@b"),
            ("x\r\nSubject: a\r\n\r\ni: in the body\r\n".replace(" the body", "").as_str(), "in"),
            ("x\r\nIdentity: no\r\nCall-ID: first\r\nCall-ID: second\r\n", "first"),
            ("x\r\nCall-ID: !\"%()*+:<>?[\\]_`{}~-./'\r\n", "!\"%()*+:<>?[\\]_`{}~-./'"),
        ] {
            assert_eq!(found(message), Some(id), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_call_id_is_not_found() {
        for message in [
            "",
            "\r",
            "\r\n",
            "no message",
            "Call-ID: first@line\r\n\r\n",
            "x\r\n Call-ID: continued@a\r\n",
            "x\r\nCall-ID: cut@off",
            "x\r\nCall-ID: blank@a \r\n",
            "x\r\nCall-ID: two@at@a\r\n",
            "x\r\nCall-ID: a,b\r\n",
            "x\r\nCall-ID: a@;b\r\n",
            "x\r\nCall-ID:",
            "x\r\nCall-ID",
            "x\r\nCall-ID: ",
            "x\r\nCall-ID-Other: no\r\nCall-ID: third@a\r\n",
            "x\r\n\r\ni=a line of SDP\r\nCall-ID: later@a\r\n",
            "x\r\nCall-ID: \r\nCall-ID: again@a\r\n",
        ] {
            assert_eq!(found(message), None, "{message:?}");
        }
    }

    #[test]
    fn a_value_that_is_none_is_passed_by() {
        assert_eq!(found("x\r\nCall-ID: ;bad\r\ni: good@a\r\n"), Some("good@a"));
        // The second search goes on further behind than the first one ended.
        assert_eq!(found("\nCall-ID: ;;\nCall-ID: @@\ni: passed@a\n"), None);
        let far = format!("\nCall-ID: ;;\nCall-ID: @@\n{}\ni: reached@a\n", "x".repeat(100));
        assert_eq!(found(&far), Some("reached@a"));
    }

    #[test]
    fn the_longest_call_id_has_255_octets() {
        let message = |len: usize| format!("x\r\nCall-ID: {}\r\n", "a".repeat(len));
        assert_eq!(found(&message(255)).map(str::len), Some(255));
        assert_eq!(found(&message(256)), None);
    }

    #[test]
    fn no_octets_are_too_odd_to_be_looked_at() {
        // Every short message of the octets that mean something here.
        let octets = b"\r\n i:;@a";
        let mut message = [0; 6];
        for number in 0..octets.len().pow(6) {
            let mut rest = number;
            for octet in &mut message {
                *octet = octets[rest % octets.len()];
                rest /= octets.len();
            }
            for len in 0..=message.len() {
                if let Some(id) = call_id(&message[..len]) {
                    assert!(!id.is_empty() && id.iter().all(|octet| b"@ai:".contains(octet)), "{message:?}");
                }
            }
        }
    }
}
