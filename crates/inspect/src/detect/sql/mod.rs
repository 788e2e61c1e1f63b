//! SQL: whether a value, put where a statement expects a number, a string or a name, becomes statement.
//!
//! The value is read three times at most: as it is, and as the rest of a string that the statement around opened with
//! `'` or with `"`. In each reading the tokens are parsed at their hinges (a logical operator, `UNION`, a
//! semicolon, a closed string) and judged by how much of a statement follows, and how little of it prose would have.

mod call;
mod clause;
mod expression;
mod logic;
mod query;
mod quote;
mod statement;
mod token;
mod words;

use std::cell::Cell;

use smallvec::{SmallVec, smallvec};

use self::expression::Operand;
use self::token::{Context, Kind, Token, Tokens, tokens};
use self::words::Word;
use crate::class::Class;
use crate::detect::View;
use crate::text::{self, at, is_space, slice};
use crate::verdict::Hits;

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if !hits.spend(bytes.len() + bytes.len().min(1024) * 2) {
        return;
    }
    let whole = Whole {
        document: view.document,
        ideographs: ideographs(bytes),
        unlogged: text::has(bytes, b"sp_password"),
    };
    for context in [Context::Bare, Context::Quoted(b'\''), Context::Quoted(b'"'), Context::Quoted(b'`')] {
        if let Context::Quoted(quote) = context
            && !bytes.contains(&quote)
        {
            continue;
        }
        if !hits.spend(bytes.len() * 2) {
            return;
        }
        // A long value is read in stretches that overlap, each as if it began there.
        let mut start = 0;
        loop {
            let (reading, behind) = Reading::new(text::from(bytes, start), context, whole);
            if !hits.spend(reading.tokens.len() * TOKEN) {
                return;
            }
            reading.judge(start, hits);
            if hits.sure() || hits.budget.is_out() {
                return;
            }
            if start + behind >= bytes.len() {
                break;
            }
            start += behind.saturating_sub(OVERLAP).max(1);
        }
    }
}

/// As many bytes of a stretch are read again with the next.
const OVERLAP: usize = 512;

/// Steps for looking at a token.
const LOOK: usize = 1;

/// Steps for reading a token: most are words, and looked up.
const TOKEN: usize = 8;

/// What all readings of a value share.
#[derive(Debug, Clone, Copy)]
struct Whole {
    /// The text is long and full of prose or code: what a person would write about SQL.
    document: bool,
    ideographs: usize,
    /// `sp_password` stands in it, which keeps SQL Server from logging the statement.
    unlogged: bool,
}

/// One reading of a value.
#[derive(Debug)]
struct Reading<'a> {
    bytes: &'a [u8],
    tokens: Tokens,
    context: Context,
    /// The value closed the string that the statement around had opened, and what follows may follow a string.
    broken: bool,
    /// The value ends by hiding the rest of the statement, or by opening the string that it had closed.
    mended: bool,
    /// Where what could be the expected value ends, and what it is.
    first_hinge: (usize, Lead),
    /// Where an expression ends with which the value begins, and that could be the expected value.
    hinges: SmallVec<[usize; 8]>,
    /// What stands before the closed string's end is no code.
    plain_lead: bool,
    whole: Whole,
    /// How many words of prose there are.
    prose: usize,
    /// How many words there are that statements are made of.
    statements: usize,
    /// How many comments stood between tokens: a way to spell blanks.
    comments: usize,
    /// What operands begin at each token, once that was asked.
    known: SmallVec<[Known; 48]>,
    /// Tokens looked at since they were last paid for.
    looked: Cell<usize>,
}

/// What begins at a token, once it is known.
#[derive(Debug, Clone, Default)]
struct Known {
    factor: Cell<Memo>,
    operand: Cell<Memo>,
}

type Memo = Option<Option<(Operand, u32)>>;

impl<'a> Reading<'a> {
    /// Reads `bytes`; answers also where the last token ends that was read.
    fn new(bytes: &'a [u8], context: Context, whole: Whole) -> (Reading<'a>, usize) {
        let (tokens, comments, behind) = tokens(bytes, context);
        let broken = tokens.first().is_some_and(|token| token.kind == Kind::Break);
        // What is opened again at the end is what was closed at the beginning.
        let mended = tokens.last().is_some_and(|token| match (token.kind, context) {
            (Kind::Open, Context::Quoted(quote)) => at(bytes, token.start) == quote,
            // `1/2" button`: inches.
            (Kind::Open, Context::Bare) => {
                !(token.start > 0
                    && at(bytes, token.start - 1).is_ascii_digit()
                    && is_space(at(bytes, token.start + 1)))
            }
            // `#342` is the number of an issue.
            (Kind::Comment, _) => {
                !(at(bytes, token.start) == b'#' && at(bytes, token.start + 1).is_ascii_digit())
            }
            _ => false,
        });
        let lead_end = tokens.first().map_or(0, |token| token.end);
        let plain_lead =
            !slice(bytes, 0, lead_end).iter().any(|b| matches!(b, b'(' | b'{' | b'[' | b';' | b'<' | b'\n'))
                && !is_assignment(slice(bytes, 0, lead_end));
        let first_hinge = first_hinge(&tokens, broken);
        let prose = tokens.iter().filter(|token| token.kind == Kind::Word(Word::Prose)).count();
        let statements = tokens
            .iter()
            .filter(|token| {
                matches!(
                    token.kind,
                    Kind::Variable
                        | Kind::Word(
                            Word::Select
                                | Word::From
                                | Word::Where
                                | Word::Statement
                                | Word::Command
                                | Word::Object
                                | Word::Set
                                | Word::If
                                | Word::Into
                                | Word::Values
                                | Word::Function
                                | Word::System
                                | Word::Weapon
                        )
                )
            })
            .count();
        let known = smallvec![Known::default(); tokens.len()];
        let mut reading = Reading {
            bytes,
            tokens,
            context,
            broken,
            mended,
            first_hinge,
            hinges: SmallVec::new(),
            plain_lead,
            whole,
            prose: prose + whole.ideographs / 3,
            statements,
            comments,
            known,
            looked: Cell::new(0),
        };
        reading.hinges = reading.expressions();
        (reading, behind)
    }

    fn token(&self, index: usize) -> Option<&Token> {
        // Whoever asks for a token pays for it, without having to think of it.
        self.looked.set(self.looked.get() + 1);
        self.tokens.get(index)
    }

    fn kind(&self, index: usize) -> Option<Kind> {
        self.token(index).map(|token| token.kind)
    }

    fn word(&self, index: usize) -> Option<Word> {
        match self.kind(index) {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, index: usize, kind: Kind) -> bool {
        self.kind(index) == Some(kind)
    }

    fn text(&self, index: usize) -> &'a [u8] {
        self.token(index).map_or(&[], |token| slice(self.bytes, token.start, token.end))
    }

    fn reads(&self, index: usize, word: &str) -> bool {
        // To compare is more than to look.
        self.looked.set(self.looked.get() + 1);
        self.text(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The index behind the parenthesis that `index` opens; the end where nothing closes it.
    fn behind(&self, index: usize) -> usize {
        match self.token(index) {
            Some(token) if token.partner as usize > index => token.partner as usize + 1,
            _ => self.tokens.len(),
        }
    }

    /// What is left before the hinge at `index`: whether it could be the value that the statement expected.
    fn lead(&self, index: usize) -> Lead {
        match self.first_hinge {
            (hinge, lead) if hinge == index => lead,
            (hinge, lead) if index > hinge && self.hinges.contains(&index) => lead,
            _ if index == 0 && !self.broken => Lead::Nothing,
            _ => Lead::Unknown,
        }
    }

    /// How much the place of the hinge at `index` adds.
    fn bonus(&self, index: usize) -> i32 {
        let lead = match self.lead(index) {
            Lead::Broken | Lead::Escaped => 25,
            Lead::Number => 20,
            Lead::Nothing | Lead::Text => 10,
            Lead::Name => 5,
            Lead::Unknown => 0,
        };
        lead + if self.mended { 15 } else { 0 }
    }

    fn add(&self, hits: &mut Hits, score: i32, why: &'static str, from: usize) {
        // A long text that talks about SQL has all of this and means nothing: there, only what is certain counts.
        // Not where a closed string and a hidden end say that it is no text after all.
        // Nor where comments stand between all its words, or a statement behind a short value.
        let torn = self.comments > 8 && self.prose < 3
            || self.broken && self.is(1, Kind::Semicolon) && self.lead_words() < 3;
        let statement = torn || self.is_script() || self.broken && self.is_hidden_end();
        let text = self.whole.document && !statement;
        let code = self.context == Context::Quoted(b'`') && self.opens_quotation();
        let discount = if text { 30 } else { 0 }
            + if code { 25 } else { 0 }
            + match self.prose {
                0..=2 => 0,
                3..=6 => 10,
                _ => 20,
            };
        // Code closes strings all the time; what a client sends for a value seldom has a call or an assignment first.
        let discount = discount
            + match (
                self.broken && !self.plain_lead,
                self.is(self.tokens.len().wrapping_sub(1), Kind::Comment),
            ) {
                (false, _) => 0,
                (true, true) => 15,
                (true, false) => 30,
            };
        let score = (score.min(98) - discount).clamp(0, 100);
        let start = self.token(from).map_or(0, |token| token.start);
        hits.add(Class::Sql, score as u8, why, start, self.bytes.len());
    }

    /// Whether a long value is statements and nothing else: many words of SQL, and hardly one of a language.
    fn is_script(&self) -> bool {
        self.statements * 4 > self.tokens.len() && self.prose * 25 < self.tokens.len()
    }

    /// Judges what was read; `offset` is where it begins in the value.
    fn judge(&self, offset: usize, hits: &mut Hits) {
        let before = hits.best;
        self.judge_tokens(hits);
        // What was found is told by its place in the value.
        if let Some(best) =
            hits.best.as_mut().filter(|best| before.is_none_or(|before| before.score < best.score))
        {
            best.start += offset;
            best.end += offset;
        }
    }

    fn judge_tokens(&self, hits: &mut Hits) {
        if self.broken && self.is_quoted_prose() {
            if self.is_bare_operator() {
                self.add(hits, 74, "an operator between two strings", 1);
            }
            return;
        }
        if self.broken {
            self.judge_break(hits);
        } else {
            self.judge_start(hits);
        }
        for index in 0..self.tokens.len() {
            if !hits.spend(self.looked.take() * LOOK) {
                return;
            }
            if self.first_hinge.0 == index {
                self.judge_escaped(index, hits);
            }
            match self.kind(index) {
                Some(Kind::Word(Word::Logic) | Kind::Pipes) => self.judge_logic(index, hits),
                Some(Kind::Operator) if matches!(self.text(index), b"|" | b"&" | b"^") => {
                    self.judge_logic(index, hits);
                }
                Some(Kind::Word(Word::Union)) => self.judge_union(index, hits),
                Some(Kind::Semicolon) => self.judge_stacked(index, hits),
                Some(Kind::Left) if self.word(index + 1) == Some(Word::Select) => {
                    self.judge_subselect(index, hits);
                }
                Some(Kind::Word(Word::Weapon | Word::System)) => self.judge_weapon(index, hits),
                Some(Kind::Word(Word::Case)) => self.judge_case(index, hits),
                Some(Kind::Word(
                    Word::Order
                    | Word::Having
                    | Word::Limit
                    | Word::Into
                    | Word::From
                    | Word::Where
                    | Word::Tail,
                )) => {
                    self.judge_clause(index, hits);
                }
                Some(Kind::Word(Word::Function | Word::Object)) => self.judge_function(index, hits),
                Some(Kind::Operator | Kind::Word(Word::Arithmetic)) => self.judge_arithmetic(index, hits),
                Some(
                    Kind::Compare
                    | Kind::Word(Word::Compare | Word::In | Word::Between | Word::Is | Word::Not),
                ) => {
                    self.judge_compare(index, hits);
                }
                _ => {}
            }
            if hits.best.is_some_and(|best| best.score >= 95) {
                return;
            }
        }
        hits.spend(self.looked.take() * LOOK);
    }

    /// Where the expressions end with which the value begins, the shortest first.
    fn expressions(&self) -> SmallVec<[usize; 8]> {
        let mut found = SmallVec::new();
        let mut at = usize::from(self.broken);
        while self.broken && self.is(at, Kind::Text) {
            at += 1;
        }
        if !self.broken {
            let Some((_, behind)) = self.operand(at) else { return found };
            at = behind;
        }
        for _ in 0..16 {
            while self.is(at, Kind::Right) {
                at += 1;
            }
            found.push(at);
            let next = match self.kind(at) {
                Some(Kind::Operator | Kind::Pipes | Kind::Word(Word::Arithmetic | Word::Logic)) => {
                    self.operand(at + 1).map(|(_, behind)| behind)
                }
                Some(
                    Kind::Compare
                    | Kind::Word(Word::Compare | Word::In | Word::Between | Word::Is | Word::Not),
                ) => self.compared(at).map(|(_, behind)| behind),
                _ => None,
            };
            match next {
                Some(behind) if behind > at => at = behind,
                _ => break,
            }
        }
        found
    }

    /// Whether the quotation mark that the value is said to close begins a quotation in a text, or code in Markdown:
    /// it follows a blank or an opening sign.
    fn opens_quotation(&self) -> bool {
        let Context::Quoted(quote) = self.context else { return false };
        let end = self.token(0).map_or(0, |token| token.end);
        let lead = slice(self.bytes, 0, end.saturating_sub(1));
        match lead.last() {
            None => quote == b'`',
            Some(&last) => {
                is_space(last) && lead.len() > 1 || matches!(last, b'(' | b'[' | b',' | b':' | b'`' | b'{')
            }
        }
    }

    /// Whether the words of SQL stand in the rest of a sentence: the value closed an apostrophe or put a word in
    /// quotation marks, as people do.
    fn is_quoted_prose(&self) -> bool {
        let Context::Quoted(quote) = self.context else { return false };
        let end = self.token(0).map_or(0, |token| token.end);
        let lead = slice(self.bytes, 0, end.saturating_sub(1));
        // Inches: `16" or 18"`.
        if quote == b'"' && lead.last().is_some_and(u8::is_ascii_digit) && lead.len() > 1 {
            return !self.tokens.iter().any(|token| {
                matches!(token.kind, Kind::Compare | Kind::Comment | Kind::Pipes | Kind::Word(Word::Select))
            });
        }
        // Feet: `6'-8'`.
        let feet = quote == b'\''
            && lead.last().is_some_and(u8::is_ascii_digit)
            && self.lead_words() > 1
            && self.tokens.last().is_some_and(|last| {
                last.kind == Kind::Open && at(self.bytes, last.start.saturating_sub(1)).is_ascii_digit()
            })
            && self
                .tokens
                .iter()
                .all(|token| matches!(token.kind, Kind::Break | Kind::Open | Kind::Number | Kind::Operator));
        if feet {
            return true;
        }
        let word = self.tokens.len() == 3 && self.is(2, Kind::Open);
        if !word {
            return false;
        }
        // A word in quotation marks: `"LIKE" stamp`, `the 'or' operator`.
        let text = self.text(1);
        let tight = self.token(1).is_some_and(|token| token.start == end)
            && self.token(2).is_some_and(|token| token.start == end + text.len());
        let apart = |byte: u8| byte == 0 || is_space(byte) || byte.is_ascii_punctuation();
        let outside = apart(lead.last().copied().unwrap_or(0))
            && self.token(2).is_some_and(|token| apart(at(self.bytes, token.start + 1)));
        match (quote, self.kind(1)) {
            _ if !outside => false,
            (b'"', _) => true,
            (_, Some(Kind::Word(word))) => tight && word != Word::Arithmetic,
            _ => false,
        }
    }

    /// Whether the end of the value is reached at `index`, save for what hides or goes on with the statement.
    fn ends(&self, index: usize) -> bool {
        let mut index = index;
        while matches!(self.kind(index), Some(Kind::Right | Kind::Semicolon)) {
            index += 1;
        }
        matches!(self.kind(index), None | Some(Kind::Comment | Kind::Open))
    }

    fn last_byte(&self) -> u8 {
        at(self.bytes, self.bytes.len().wrapping_sub(1))
    }
}

/// Whether `lead` assigns, as code does: `x = '`.
fn is_assignment(lead: &[u8]) -> bool {
    lead.windows(2).any(|pair| matches!(pair, b" =" | b"= "))
}

/// How many Chinese, Japanese and Korean characters there are, of the first ones: each is as good as a word.
fn ideographs(bytes: &[u8]) -> usize {
    let head = slice(bytes, 0, 1024);
    let encoded = head.windows(3).filter(|three| {
        at(three, 0) == b'%'
            && at(three, 1) | 0x20 == b'e'
            && matches!(at(three, 2), b'3'..=b'9' | b'a'..=b'd' | b'A'..=b'D')
    });
    head.iter().filter(|&&b| (0xe3..=0xed).contains(&b)).count() + encoded.count()
}

/// Where the tokens of what could be the expected value end.
fn first_hinge(tokens: &Tokens, broken: bool) -> (usize, Lead) {
    let kind = |index: usize| tokens.get(index).map(|token| token.kind);
    let mut at = usize::from(broken);
    if broken {
        // Strings next to each other are one.
        while kind(at) == Some(Kind::Text) {
            at += 1;
        }
        // Between the closed string and the hinge only closing parentheses.
        while kind(at) == Some(Kind::Right) {
            at += 1;
        }
        return (at, Lead::Broken);
    }
    while matches!(kind(at), Some(Kind::Operator | Kind::Left)) {
        at += 1;
    }
    let signs = at;
    let first = kind(at);
    if matches!(
        first,
        Some(Kind::Number | Kind::Text | Kind::Variable | Kind::Word(Word::Constant | Word::Name))
    ) {
        at += 1;
    }
    let operand = at > signs;
    let mut closed = 0;
    while kind(at) == Some(Kind::Right) {
        at += 1;
        closed += 1;
    }
    let lead = match first {
        _ if closed > signs => Lead::Escaped,
        Some(Kind::Number | Kind::Variable) if operand => Lead::Number,
        Some(Kind::Word(_)) if operand => Lead::Name,
        _ if at == 0 => Lead::Nothing,
        _ => Lead::Text,
    };
    (at, lead)
}

/// What stands before a hinge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// A string that the value closed, and perhaps parentheses.
    Broken,
    /// More parentheses closed than opened.
    Escaped,
    Number,
    Name,
    Text,
    Nothing,
    /// More than a value.
    Unknown,
}
