//! From words to statements within blocks; what is known of a block's keywords tells a forgotten brace from others.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::keyword::{self, Block, Keyword};
use super::reader::{Token, Word};
use super::source::{Findings, Found, Place};

/// A keyword with its arguments and, where it has one, its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// What the table says of it; nothing for an item of a list.
    pub(super) keyword: Option<&'static Keyword>,
    /// The keyword and its arguments; never empty.
    pub(super) words: Vec<Word>,
    /// What stands between its braces.
    pub(super) block: Option<Vec<Self>>,
}

impl Statement {
    /// Its name, that of its older spellings too; empty for an item of a list.
    pub(super) fn name(&self) -> &'static str {
        self.keyword.map_or("", Keyword::meaning)
    }

    /// Where its keyword stands.
    pub(super) fn place(&self) -> Place {
        self.words.first().map_or_else(|| Place::new(0, 0, 0), |word| word.place)
    }

    /// Where it stands with its arguments.
    pub(super) fn whole(&self) -> Place {
        self.words.last().map_or_else(|| self.place(), |last| self.place().to(last.place))
    }

    /// Its arguments.
    pub(super) fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// An argument, counted from 0.
    pub(super) fn argument(&self, place: usize) -> Option<&Word> {
        self.words.get(place + 1)
    }

    /// What stands in its block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Blocks within blocks, up to this depth.
const DEEPEST: usize = 16;

/// Reads the whole of a configuration.
pub(super) fn parse(tokens: Vec<Token>, findings: &mut Findings) -> Vec<Statement> {
    let is_whole = findings.mistakes.is_empty();
    let tokens = tokens.into_iter().peekable();
    let mut parser = Parser { tokens, findings, within: vec![Block::Top], told_unclosed: false };
    let mut all = Vec::new();
    loop {
        all.extend(parser.statements(Block::Top, None));
        match parser.tokens.next() {
            None => return all,
            // Where something could not be read, its brace is missed too.
            Some(Token::Close(place)) if is_whole => parser.findings.mistake(
                Found::new(place, "a brace that closes nothing", "no block is open here")
                    .help("remove it, or look for a `{` that is missing above"),
            ),
            Some(_) => {}
        }
    }
}

struct Parser<'a> {
    tokens: Peekable<IntoIter<Token>>,
    findings: &'a mut Findings,
    /// The blocks around what is read, the file itself first.
    within: Vec<Block>,
    told_unclosed: bool,
}

impl Parser<'_> {
    /// The statements up to the brace that closes the block, which is left, or to the end.
    fn statements(&mut self, block: Block, opened: Option<&Word>) -> Vec<Statement> {
        let mut done = Vec::new();
        loop {
            match self.tokens.peek() {
                None | Some(Token::Close(_)) => return done,
                Some(Token::End) => {
                    self.tokens.next();
                }
                Some(&Token::Open(place)) => {
                    self.tokens.next();
                    self.findings.mistake(
                        Found::new(place, "a block without a name", "expected a keyword in front of `{`")
                            .help("a keyword that opens no block may stand in front of it"),
                    );
                    self.block(Block::Unknown, None, place);
                }
                Some(Token::Word(_)) => done.extend(self.statement(block, opened)),
            }
        }
    }

    fn statement(&mut self, block: Block, opened: Option<&Word>) -> Option<Statement> {
        let mut words = Vec::new();
        while let Some(Token::Word(_)) = self.tokens.peek() {
            if let Some(Token::Word(word)) = self.tokens.next() {
                words.push(word);
            }
        }
        let brace = self.brace(words.first(), block);
        let first = words.first()?;
        let keyword = keyword::find(block, &first.text);
        if keyword.is_none() && !block.is_list() {
            self.unknown(block, first, opened, brace.is_some());
        }
        let known = keyword.or_else(|| if block.is_list() { None } else { keyword::elsewhere(&first.text) });
        let inner = known.and_then(Keyword::opens).unwrap_or(Block::Unknown);
        let first = first.clone();
        let mut statement = Statement { keyword, words, block: None };
        if let Some(place) = brace {
            statement.block = Some(self.block(inner, Some(&first), place));
            if keyword.is_some_and(|keyword| !keyword.may_have_block()) {
                let title = format!("`{}` opens no block", first.text);
                self.findings.mistake(Found::new(place, title, "expected no `{` here"));
            }
        } else if keyword.is_some_and(|keyword| keyword.opens().is_some()) {
            let title = format!("`{}` without its block", first.text);
            self.findings.mistake(Found::new(first.place, title, "expected `{` behind it"));
        }
        Some(statement)
    }

    /// The brace that opens a block, behind the words or on the next line.
    fn brace(&mut self, first: Option<&Word>, block: Block) -> Option<Place> {
        if matches!(self.tokens.peek(), Some(Token::End)) {
            self.tokens.next();
            let opens = first
                .is_some_and(|first| keyword::find(block, &first.text).is_none_or(Keyword::may_have_block));
            while opens && matches!(self.tokens.peek(), Some(Token::End)) {
                self.tokens.next();
            }
        }
        let &Token::Open(place) = self.tokens.peek()? else { return None };
        self.tokens.next();
        Some(place)
    }

    /// What stands between a brace that was read and the one that closes it.
    fn block(&mut self, block: Block, opened: Option<&Word>, brace: Place) -> Vec<Statement> {
        if self.within.len() > DEEPEST {
            self.findings.mistake(Found::new(
                brace,
                "blocks within blocks within blocks",
                "so deep is too deep",
            ));
            self.skip();
            return Vec::new();
        }
        self.within.push(block);
        let inside = self.statements(block, opened);
        self.within.pop();
        match self.tokens.next() {
            Some(Token::Close(_)) => {}
            _ if self.told_unclosed => {}
            _ => {
                self.told_unclosed = true;
                let name = opened.map_or("this block", |word| word.text.as_str());
                let place = opened.map_or(brace, |word| word.place);
                self.findings.mistake(
                    Found::new(place, format!("`{name}` is not closed"), "opened here, and the file ends")
                        .help("add `}` where it ends"),
                );
            }
        }
        inside
    }

    /// Leaves out what stands up to the brace that closes the block.
    fn skip(&mut self) {
        let mut open = 1_usize;
        for token in self.tokens.by_ref() {
            match token {
                Token::Open(_) => open += 1,
                Token::Close(_) => open -= 1,
                Token::Word(_) | Token::End => {}
            }
            if open == 0 {
                return;
            }
        }
    }

    fn unknown(&mut self, block: Block, word: &Word, opened: Option<&Word>, opens: bool) {
        if block == Block::Unknown {
            return;
        }
        let written = word.text.as_str();
        // A block that only stands elsewhere: one before it was not closed.
        let elsewhere = keyword::elsewhere(written);
        let around = self.within.split_last().map_or(&[][..], |(_, around)| around);
        let is_outer = elsewhere.is_some_and(|keyword| around.contains(&keyword.block));
        if let (Some(outer), true, true, Some(opened)) = (elsewhere, opens, is_outer, opened) {
            self.told_unclosed = true;
            let title = format!("`{written}` cannot stand in {}", block.name());
            let label = format!("expected {}", outer.place());
            self.findings.mistake(
                Found::new(word.place, title, label)
                    .also(opened.place, "opened here, and not closed before it")
                    .help(format!("add the `}}` of `{}` in front of it", opened.text)),
            );
            return;
        }
        let title = format!("unknown keyword `{written}`");
        let label = if block == Block::Top {
            "expected a block such as `vrrp_instance` or `virtual_server`".to_owned()
        } else {
            format!("{} has no such keyword", block.name())
        };
        let mut found = Found::new(word.place, title, label);
        if let Some(outer) = elsewhere {
            found = found.help(format!("it belongs {}", outer.place()));
        }
        self.findings.mistake(found.suggesting(written, keyword::names(block)));
    }
}
