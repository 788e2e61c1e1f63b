//! What follows a string that the value closed: an operator, a comparison, a comment.

use super::expression::Operand;
use super::token::{Context, Kind};
use super::words::Word;
use super::{Lead, Reading};
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
    /// `1-sleep(5)`, `'+(select …)+'`, `'*'`.
    pub(super) fn judge_arithmetic(&self, index: usize, hits: &mut Hits) {
        let lead = self.lead(index);
        let Some((operand, behind)) = self.operand(index + 1) else { return };
        if self.broken && index == 1 {
            // The closed string, an operator, an operand, and the end of the value.
            let good = match operand {
                // What is opened is what was closed, or nothing goes on.
                Operand::Open => self.mended && !self.is_torn(self.tokens.len() - 1),
                Operand::Constant | Operand::Group | Operand::Foreign => {
                    self.mended && (self.ends(behind) || self.compared(behind).is_some())
                }
                Operand::Call | Operand::Select => true,
                Operand::Name => false,
            };
            if good {
                let quoted = if self.opens_quotation() && !operand.is_sql() { 20 } else { 0 };
                let sure = if operand.is_sql() { 30 } else { 15 } - quoted;
                self.add(hits, 58 + sure, "reckons with the string that it closed", index);
            }
        } else if self.reads(index.wrapping_sub(1), "null")
            && self.reads(index + 1, "null")
            && (self.mended || self.is(0, Kind::Variable))
        {
            self.add(hits, 72, "reckons with nothing but NULL", index);
        } else if operand.is_sql()
            && matches!(lead, Lead::Number | Lead::Nothing | Lead::Broken | Lead::Escaped)
        {
            let nested = if self.calls(index + 1, behind) > 1 || operand == Operand::Select { 10 } else { 0 };
            let spells = if (index + 1..behind).any(|i| matches!(self.kind(i), Some(Kind::Text | Kind::Open)))
            {
                8
            } else {
                0
            };
            self.add(
                hits,
                45 + nested.max(spells) + self.bonus(index),
                "reckons with the result of a call",
                index,
            );
        }
    }

    /// `1') * x --`: out of the string or the parentheses that it stood in, an expression goes on, and the rest of the
    /// statement is hidden.
    pub(super) fn judge_escaped(&self, index: usize, hits: &mut Hits) {
        let out = match self.lead(index) {
            Lead::Broken => self.plain_lead && self.lead_words() < 3,
            Lead::Escaped => true,
            _ => false,
        };
        if out
            && self.prose == 0
            && self.tokens.len() < 16
            && self.is_hidden_end()
            && matches!(
                self.kind(index),
                Some(
                    Kind::Operator
                        | Kind::Compare
                        | Kind::Pipes
                        | Kind::Word(
                            Word::Arithmetic
                                | Word::Compare
                                | Word::Logic
                                | Word::Having
                                | Word::In
                                | Word::Is
                                | Word::Between
                                | Word::Not
                                | Word::Limit
                        )
                )
            )
            && self
                .compared(index)
                .or_else(|| self.operand(index + 1))
                .is_some_and(|(_, behind)| self.ends(behind))
        {
            self.add(hits, 74, "goes on with the statement around and hides its rest", index);
        }
    }

    /// `'='`, `' like '%`, `1 in (1)`.
    pub(super) fn judge_compare(&self, index: usize, hits: &mut Hits) {
        if self.broken && (self.lead(index) == Lead::Broken) {
            if let Some((operand, behind)) = self.compared(index) {
                let good = operand == Operand::Open
                    || operand.is_constant() && self.ends(behind)
                    || operand.is_sql();
                if good {
                    // `<'` and `'>` are markup as well.
                    let markup = matches!(self.text(index), b"<" | b">") && !operand.is_sql();
                    let quoted = if self.opens_quotation() && !operand.is_sql() { 20 } else { 0 };
                    self.add(
                        hits,
                        if markup { 55 } else { 78 } - quoted,
                        "compares the string that it closed",
                        index,
                    );
                }
            }
            return;
        }
        // `1=1`, `1 = (select …)`, where the value should be `1`.
        if (self.lead(index) == Lead::Number || self.lead(index) == Lead::Escaped)
            && let Some((operand, behind)) = self.compared(index)
        {
            if operand.is_sql() {
                self.add(hits, 55 + self.bonus(index), "compares the value to a query", index);
            } else if operand.is_constant() && self.ends(behind) && self.mended {
                self.add(hits, 60, "compares two constants", index);
            } else if operand.is_constant()
                && self.word(behind) == Some(Word::Logic)
                && self.operand(behind + 1).is_some_and(|(more, end)| more.is_constant() && self.ends(end))
            {
                self.add(hits, 74, "a condition of constants alone", index);
            }
        }
    }

    /// Whether the string at `index` is a row of quotation marks: nobody's statement goes on like that.
    fn is_torn(&self, index: usize) -> bool {
        let text = self.text(index);
        text.len() > 4 && text.iter().all(|b| matches!(b, b'\'' | b'"' | b'`'))
    }

    /// Whether what follows the closed string is one expression that ends in a string opened again: operands and
    /// operators in turn, as in `'*@a is null - '`.
    fn is_expression(&self) -> bool {
        if !self.plain_lead
            || self.tokens.len() < 3
            || self.tokens.len() > 16
            || !self.is(self.tokens.len() - 1, Kind::Open)
            || !self.mended
            || self.is_torn(self.tokens.len() - 1)
        {
            return false;
        }
        let mut operand = true;
        let (mut operators, mut valued) = (0, false);
        for token in self.tokens.iter().skip(1) {
            let now = match token.kind {
                Kind::Number
                | Kind::Text
                | Kind::Open
                | Kind::Variable
                | Kind::Word(Word::Constant | Word::Name | Word::Function) => true,
                Kind::Operator | Kind::Compare | Kind::Pipes => false,
                Kind::Word(
                    Word::Logic
                    | Word::Compare
                    | Word::Is
                    | Word::Arithmetic
                    | Word::Not
                    | Word::Prefix
                    | Word::In
                    | Word::Between,
                ) => false,
                Kind::Left | Kind::Right => continue,
                _ => return false,
            };
            if now && operand {
                return false;
            }
            operators += usize::from(!now);
            valued |= now && !matches!(token.kind, Kind::Open | Kind::Word(Word::Name));
            operand = now;
        }
        // `"/a-b-and": {`: names and signs alone are a path or a key.
        operators > 0 && (valued || operators == 1 || self.context != Context::Quoted(b'"'))
    }

    /// Whether the value is an operator between two strings of a letter or two, or of none: `A '=' B`, `'xor'`. Longer
    /// ones are words about an operator.
    pub(super) fn is_bare_operator(&self) -> bool {
        let [first, middle @ .., last] = self.tokens.as_slice() else { return false };
        let short = |text: &[u8]| {
            let text = text::trim(text);
            text.len() < 3 && text.iter().all(|&b| text::is_word(b))
        };
        let operator = match middle {
            [one] => matches!(
                one.kind,
                Kind::Compare
                    | Kind::Operator
                    | Kind::Pipes
                    | Kind::Word(
                        Word::Logic | Word::Compare | Word::Arithmetic | Word::In | Word::Is | Word::Between
                    )
            ),
            [not, one] => {
                matches!(not.kind, Kind::Word(Word::Not | Word::Compare | Word::Is))
                    && matches!(one.kind, Kind::Word(Word::Compare | Word::In | Word::Between | Word::Not))
            }
            _ => false,
        };
        operator
            && self.context == Context::Quoted(b'\'')
            && self.mended
            && last.kind == Kind::Open
            && short(text::slice(self.bytes, 0, first.end.saturating_sub(1)))
            && short(text::from(self.bytes, last.start + 1))
            // `'-'`, `'+'`: signs in quotation marks.
            && (first.end > 1 || matches!(middle, [one, ..] if matches!(one.kind, Kind::Word(_))))
    }

    /// What follows the string that the value closed.
    pub(super) fn judge_break(&self, hits: &mut Hits) {
        if self.is_bare_operator() {
            self.add(hits, 74, "an operator between two strings", 1);
        }
        let quoted = if self.opens_quotation() { 20 } else { 0 };
        if self.is_expression() {
            let text = self.lead_words() > 1 && self.word(1) == Some(Word::Logic);
            self.add(
                hits,
                if text { 55 } else { 78 } - quoted,
                "an expression between the string that it closed and one that it opens",
                1,
            );
        }
        let mut next = 1;
        while self.is(next, Kind::Right) {
            next += 1;
        }
        let closed = next - 1;
        let quoted = self.token(0).map_or(0, |token| token.end);
        match self.kind(next) {
            Some(Kind::Comment) => {
                let comment = self.text(next);
                let tight = self.token(next).is_some_and(|token| token.start == quoted + closed);
                // `#` and `--` at the very end, or a parenthesis closed before: nothing else was meant.
                let bare =
                    matches!(text::trim(comment), b"#" | b"--" | b"-- -" | b"--+" | b"--+-" | b"--a" | b"/*");
                // `soap no 1 '#`: words before, and a blank.
                let words = comment.starts_with(b"#") && self.lead_words() > 2;
                let score = if bare && words {
                    60
                } else if bare {
                    if tight { 85 } else { 75 }
                } else if closed > 0 {
                    72
                } else if tight && (comment.starts_with(b"--") || comment.starts_with(b"/*")) {
                    60
                } else {
                    35
                };
                self.add(hits, score, "closes a string and hides the rest of the statement", next);
            }
            Some(Kind::Semicolon) if self.ends(next) => {
                let score = if self.is(self.tokens.len() - 1, Kind::Comment) {
                    88
                } else if self.last_byte() == b';' && closed > 0 {
                    55
                } else {
                    40
                };
                self.add(hits, score, "closes a string and ends the statement", next);
            }
            Some(Kind::Semicolon) if closed == 0 && self.is_hidden_end() => {
                self.add(hits, 78, "closes a string, ends the statement and hides its rest", next);
            }
            // `' in boolean mode) …`: the end of a search for words, of MySQL.
            Some(Kind::Word(Word::In))
                if (self.reads(next + 1, "boolean") || self.reads(next + 1, "natural"))
                    && (next + 2..next + 5).any(|i| self.reads(i, "mode") && self.is(i + 1, Kind::Right)) =>
            {
                self.add(hits, 78, "closes the string and the search that it stands in", next);
            }
            // `x' find_in_set(a, 'b') and '1`: the sign before the call was a plus, which forms read as a blank.
            Some(Kind::Word(Word::Function | Word::Weapon))
                if self.is(next + 1, Kind::Left)
                    && self.mended
                    && self.prose == 0
                    && self.lead_words() < 2
                    && matches!(
                        self.kind(self.behind(next + 1)),
                        Some(Kind::Compare | Kind::Word(Word::Logic | Word::Compare))
                    ) =>
            {
                self.add(hits, 74, "a call behind the string that it closed", next);
            }
            // SQL Server needs no semicolon.
            Some(Kind::Word(Word::Command)) => {
                let statement = self.statement(next);
                if statement >= 20 {
                    self.add(hits, 55 + statement, "a statement of its own behind a closed string", next);
                }
            }
            _ => {}
        }
        if self.whole.unlogged
            && (text::has(self.bytes, b"--sp_password") || text::has(self.bytes, b"-- sp_password"))
        {
            self.add(hits, 80, "hides the statement from the log of SQL Server", 0);
        }
    }
}
