//! The grammar of one line: comments, conditions, definitions, repetitions, quotes, escapes and braces.

use std::ops::Range;

use winnow::LocatingSlice;
use winnow::ModalResult;
use winnow::ascii::{hex_digit1, space0};
use winnow::combinator::{alt, delimited, eof, fail, opt, preceded, repeat, separated, terminated};
use winnow::prelude::*;
use winnow::token::{any, none_of, one_of, rest, take_till, take_while};

type Input<'a> = LocatingSlice<&'a str>;

/// A word of a line, or a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word without its quotes and escapes, and whether it had any.
    Word(String, bool),
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A line that is no statement, or more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Special {
    /// `@id REST`, `@^id REST`
    Condition {
        /// True for `@^id`.
        is_negated: bool,
        /// What this host's name is compared with.
        id: String,
        /// Where what depends on it begins.
        rest: usize,
    },
    /// `$NAME=VALUE`
    Definition {
        /// Its name.
        name: String,
        /// Where its value begins.
        value: usize,
    },
    /// `~SEQ(..) REST`, `~LST(..) REST`
    Repetition {
        /// What changes from round to round.
        rounds: Rounds,
        /// Where what is repeated begins.
        rest: usize,
    },
}

/// The variables of a repetition, and their values round by round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rounds {
    pub(super) names: Vec<String>,
    pub(super) values: Vec<Vec<String>>,
}

/// The most rounds of one repetition.
const MOST_ROUNDS: i64 = 100_000;

/// Where a line's comment begins, or its end: quotes and a backslash hide `#` and `!`.
pub(super) fn comment(line: &str) -> usize {
    if !line.contains(['#', '!']) {
        return line.len();
    }
    let plain = || take_while(1.., |c| !matches!(c, '#' | '!' | '"' | '\'' | '\\')).void();
    let escaped = || ('\\', opt(any)).void();
    let quoted = |quote: char| {
        let inside = alt((escaped(), none_of([quote, '\\']).void()));
        (quote, repeat::<_, _, (), _, _>(0.., inside), opt(quote)).void()
    };
    let mut text = repeat::<_, _, (), _, _>(0.., alt((plain(), escaped(), quoted('"'), quoted('\''))));
    let mut input = Input::new(line);
    let read: ModalResult<Range<usize>> = text.by_ref().span().parse_next(&mut input);
    read.map_or(line.len(), |span| span.end)
}

/// What a line is, if it is no plain one.
///
/// # Errors
/// It begins as such a line and does not go on as one; what was expected.
pub(super) fn special(line: &str) -> Result<Option<Special>, &'static str> {
    let mut input = Input::new(line);
    let (parsed, expected) = match line.trim_start().chars().next() {
        Some('@') => {
            (preceded(space0, condition).parse_next(&mut input), "a name, as in `@main` or `@^main`")
        }
        Some('$') => return Ok(preceded(space0, definition).parse_next(&mut input).ok()),
        Some('~') => (
            preceded(space0, alt((sequence, list))).parse_next(&mut input),
            "`~SEQ(NAME, START, STEP, END)` or `~LST(NAME, VALUE, ..)`",
        ),
        Some(_) | None => return Ok(None),
    };
    parsed.map(Some).map_err(|_| expected)
}

fn condition(input: &mut Input<'_>) -> ModalResult<Special> {
    let (is_negated, id, rest) = preceded(
        '@',
        (
            opt('^').map(|found| found.is_some()),
            take_till(1.., char::is_whitespace),
            preceded(space0, rest.span()),
        ),
    )
    .parse_next(input)?;
    Ok(Special::Condition { is_negated, id: id.to_owned(), rest: rest.start })
}

fn name<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    (one_of(|c: char| c.is_ascii_alphabetic() || c == '_'), take_while(0.., is_name)).take().parse_next(input)
}

pub(super) const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn definition(input: &mut Input<'_>) -> ModalResult<Special> {
    let (name, value) =
        preceded('$', (terminated(name, '='), preceded(space0, rest.span()))).parse_next(input)?;
    Ok(Special::Definition { name: name.to_owned(), value: value.start })
}

fn comma(input: &mut Input<'_>) -> ModalResult<()> {
    (space0, ',', space0).void().parse_next(input)
}

fn number(input: &mut Input<'_>) -> ModalResult<i64> {
    let hex = preceded(alt(("0x", "0X")), hex_digit1).try_map(|digits| i64::from_str_radix(digits, 16));
    let decimal = take_while(1.., |c: char| c.is_ascii_digit()).try_map(str::parse::<i64>);
    let (minus, size) = (opt('-'), alt((hex, decimal))).parse_next(input)?;
    Ok(if minus.is_some() { -size } else { size })
}

fn sequence(input: &mut Input<'_>) -> ModalResult<Special> {
    let inside = (terminated(name, comma), separated(1..=3, number, comma));
    let (is_hex, (name, numbers)): (Option<char>, (&str, Vec<i64>)) =
        preceded("~SEQ", (opt('x'), delimited(('(', space0), inside, (space0, ')')))).parse_next(input)?;
    let rest = preceded(space0, rest.span()).parse_next(input)?;
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (if end > 0 { 1 } else { -1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return fail.parse_next(input),
    };
    let step = step.unwrap_or(if end >= start { 1 } else { -1 });
    let rounds = if step == 0 {
        0
    } else {
        end.saturating_sub(start).checked_div(step).unwrap_or(0).saturating_add(1)
    };
    if !(0..=MOST_ROUNDS).contains(&rounds) || step == 0 {
        return fail.parse_next(input);
    }
    let text = |value: i64| if is_hex.is_some() { format!("{value:x}") } else { value.to_string() };
    let values =
        (0..rounds).map(|round| vec![text(start.saturating_add(round.saturating_mul(step)))]).collect();
    Ok(Special::Repetition { rounds: Rounds { names: vec![name.to_owned()], values }, rest: rest.start })
}

fn value(input: &mut Input<'_>) -> ModalResult<String> {
    let text = take_till(1.., |c| matches!(c, ',' | ')' | '{' | '}'));
    text.map(|text: &str| text.trim().to_owned()).parse_next(input)
}

fn braced<T>(
    input: &mut Input<'_>,
    item: impl FnMut(&mut Input<'_>) -> ModalResult<T>,
) -> ModalResult<Vec<T>> {
    delimited(('{', space0), separated(1.., item, comma), (space0, '}')).parse_next(input)
}

fn many(input: &mut Input<'_>) -> ModalResult<(Vec<String>, Vec<Vec<String>>)> {
    let names = braced(input, |input| name.map(str::to_owned).parse_next(input))?;
    comma.parse_next(input)?;
    let values = separated(1.., |input: &mut Input<'_>| braced(input, value), comma).parse_next(input)?;
    Ok((names, values))
}

fn one(input: &mut Input<'_>) -> ModalResult<(Vec<String>, Vec<Vec<String>>)> {
    let name = terminated(name, comma).parse_next(input)?;
    let values = separated(1.., value.map(|value| vec![value]), comma).parse_next(input)?;
    Ok((vec![name.to_owned()], values))
}

fn list(input: &mut Input<'_>) -> ModalResult<Special> {
    let (names, values) =
        preceded("~LST", delimited(('(', space0), alt((many, one)), (space0, ')'))).parse_next(input)?;
    let rest = preceded(space0, rest.span()).parse_next(input)?;
    if values.iter().any(|round| round.len() != names.len()) {
        return fail.parse_next(input);
    }
    Ok(Special::Repetition { rounds: Rounds { names, values }, rest: rest.start })
}

/// The words and braces of a line with their places.
///
/// # Errors
/// Where a quote begins that does not end.
pub(super) fn pieces(line: &str) -> Result<Vec<(Range<usize>, Piece)>, usize> {
    let mut input = Input::new(line);
    let mut found = Vec::new();
    let mut read = || -> ModalResult<bool> {
        take_while(0.., char::is_whitespace).parse_next(&mut input)?;
        if opt(eof).parse_next(&mut input)?.is_some() {
            return Ok(false);
        }
        let ((text, is_quoted), span) = word.with_span().parse_next(&mut input)?;
        push(&mut found, span, text, is_quoted);
        Ok(true)
    };
    loop {
        match read() {
            Ok(true) => {}
            Ok(false) => return Ok(found),
            Err(_) => return Err(unclosed(line)),
        }
    }
}

/// Splits the braces off that stand at a word's ends.
fn push(found: &mut Vec<(Range<usize>, Piece)>, span: Range<usize>, text: String, is_quoted: bool) {
    if is_quoted || !text.contains(['{', '}']) {
        found.push((span, Piece::Word(text, is_quoted)));
        return;
    }
    let mut start = 0;
    let mut end = text.len();
    let brace = |found: &mut Vec<_>, at: usize, is_open: bool| {
        let place = span.start + at;
        found.push((place..place + 1, if is_open { Piece::Open } else { Piece::Close }));
    };
    while let Some(first @ ('{' | '}')) = text[start..].chars().next() {
        brace(found, start, first == '{');
        start += 1;
    }
    let mut behind = Vec::new();
    loop {
        let left = &text[start..end];
        let is_open = left.ends_with('{') && !left.ends_with("${");
        let is_close = left.ends_with('}') && !left.contains('{');
        if !is_open && !is_close {
            break;
        }
        end -= 1;
        behind.push((end, is_open));
    }
    if start < end {
        found.push((span.start + start..span.start + end, Piece::Word(text[start..end].to_owned(), false)));
    }
    for (at, is_open) in behind.into_iter().rev() {
        brace(found, at, is_open);
    }
}

fn word(input: &mut Input<'_>) -> ModalResult<(String, bool)> {
    let mut text = String::new();
    let mut is_quoted = false;
    loop {
        let plain: &str = take_while(0.., |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'))
            .parse_next(input)?;
        text.push_str(plain);
        match opt(one_of(['"', '\'', '\\'])).parse_next(input)? {
            Some('\\') => {
                is_quoted = true;
                text.extend(escaped.parse_next(input)?);
            }
            Some(quote) => {
                is_quoted = true;
                quoted(quote, &mut text, input)?;
            }
            None => return Ok((text, is_quoted)),
        }
    }
}

fn quoted(quote: char, text: &mut String, input: &mut Input<'_>) -> ModalResult<()> {
    loop {
        let plain: &str = take_while(0.., |c: char| c != quote && c != '\\').parse_next(input)?;
        text.push_str(plain);
        if any.parse_next(input)? == quote {
            return Ok(());
        }
        text.extend(escaped.parse_next(input)?);
    }
}

/// What stands for one character behind a backslash, as in the shell; nothing at the line's end.
fn escaped(input: &mut Input<'_>) -> ModalResult<Option<char>> {
    let octal = take_while(1..=3, |c| matches!(c, '0'..='7'))
        .map(|digits| u32::from_str_radix(digits, 8).ok().and_then(char::from_u32));
    let hex = preceded('x', take_while(1..=2, |c: char| c.is_ascii_hexdigit()))
        .map(|digits| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32));
    let control = preceded('c', any).map(|c: char| char::from_u32(u32::from(c) & 0x1f));
    let other = any.map(|c: char| {
        Some(match c {
            'a' => '\x07',
            'b' => '\x08',
            'E' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            other => other,
        })
    });
    alt((octal, hex, control, other, eof.value(None))).parse_next(input)
}

/// Where the quote begins that does not end.
fn unclosed(line: &str) -> usize {
    let mut open = None;
    let mut is_escaped = false;
    for (at, c) in line.char_indices() {
        match (c, open) {
            _ if is_escaped => is_escaped = false,
            ('\\', _) => is_escaped = true,
            ('"' | '\'', None) => open = Some((c, at)),
            (c, Some((quote, _))) if c == quote => open = None,
            _ => {}
        }
    }
    open.map_or(0, |(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let text = |piece| match piece {
            Piece::Word(text, _) => text,
            Piece::Open => "{".to_owned(),
            Piece::Close => "}".to_owned(),
        };
        pieces(line).unwrap().into_iter().map(|(_, piece)| text(piece)).collect()
    }

    #[test]
    fn quotes_join_and_spaces_part() {
        assert_eq!(words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(words(r#"abcd "efg h jkl" mnop"#), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(words(r#"a ' b "c" ' "" d"#), ["a", " b \"c\" ", "", "d"]);
        assert_eq!(pieces("a \"b"), Err(2));
        assert_eq!(pieces("a 'b\" \\'"), Err(2));
    }

    #[test]
    fn escapes_are_those_of_the_shell() {
        assert_eq!(words(r"\x41\x4a \101\7 a\ b \\x20"), ["AJ", "A\x07", "a b", "\\x20"]);
        assert_eq!(words(r#""\"\t\cA\E""#), ["\"\t\x01\x1b"]);
        assert_eq!(words("a\\"), ["a"]);
    }

    #[test]
    fn braces_stand_alone_also_where_they_touch_a_word() {
        assert_eq!(words("VI_1{"), ["VI_1", "{"]);
        assert_eq!(words("{ a }"), ["{", "a", "}"]);
        assert_eq!(words("{}}"), ["{", "}", "}"]);
        assert_eq!(words("{10.0.0.1}"), ["{", "10.0.0.1", "}"]);
        assert_eq!(words("eth0.${NUM}"), ["eth0.${NUM}"]);
        assert_eq!(words("\"{\""), ["{"]);
        assert!(matches!(&pieces("\"{\"").unwrap()[0].1, Piece::Word(..)));
    }

    #[test]
    fn a_comment_begins_outside_of_quotes() {
        let text = |line: &str| line[..comment(line)].to_owned();
        assert_eq!(text("priority 100#x"), "priority 100");
        assert_eq!(text("a ! b"), "a ");
        assert_eq!(text("a \"#!\" \\# # b"), "a \"#!\" \\# ");
        assert_eq!(text("a '# b"), "a '# b");
    }

    #[test]
    fn sequences_and_lists_are_written_out() {
        let rounds = |line| match special(line).unwrap() {
            Some(Special::Repetition { rounds, rest }) => (rounds, line[rest..].to_owned()),
            other => panic!("{other:?}"),
        };
        let flat = |rounds: &Rounds| rounds.values.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        let (subnets, rest) = rounds("~SEQ(SUBNET, 0, 3) ip_address");
        assert_eq!((subnets.names[0].as_str(), rest.as_str()), ("SUBNET", "ip_address"));
        assert_eq!(flat(&subnets), "0 1 2 3");
        assert_eq!(flat(&rounds("~SEQ(A,3) x").0), "1 2 3");
        assert_eq!(flat(&rounds("~SEQx(A, 0x90, 0x10, 0xc0) x").0), "90 a0 b0 c0");
        assert_eq!(flat(&rounds("~SEQx(A,0x12, -2, 0x0c) x").0), "12 10 e c");
        assert_eq!(flat(&rounds("~LST(IP, 1, 20,x) y").0), "1 20 x");
        let (pairs, _) = rounds("~LST({IP, IP1}, {10,1},{20,4}) z");
        assert_eq!((pairs.names.len(), flat(&pairs).as_str()), (2, "10 1 20 4"));
        for wrong in
            ["~SEQ(A) x", "~SEQ(A,1,0,5) x", "~SEQ(A,1,1,9999999) x", "~LST({A,B},{1}) x", "~X(1)", "@"]
        {
            assert!(special(wrong).is_err(), "{wrong}");
        }
        assert_eq!(special("$PATH/x").unwrap(), None);
    }
}
