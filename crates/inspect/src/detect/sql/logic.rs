//! AND, OR and their kin: a condition that holds or fails for every row.

use super::expression::Operand;
use super::token::Kind;
use super::words::Word;
use super::{Lead, Reading};
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
    /// What follows AND, OR and the like.
    pub(super) fn judge_logic(&self, index: usize, hits: &mut Hits) {
        let bonus = self.bonus(index);
        let word = self.word(index).is_some();
        let mut next = index + 1;
        // `or not`, `or (`, `or ((`: how deep does not matter.
        while self.comparison(next).is_none()
            && self.is(next, Kind::Left)
            && self.word(next + 1) != Some(Word::Select)
        {
            next += 1;
        }
        if self.is(index, Kind::Pipes) && !word {
            // `'||'`: joins what it closed to what it opens again.
            if self.broken
                && index == 1
                && self.operand(index + 1).is_some()
                && (self.mended || self.joins(index + 1))
                && !self.opens_quotation()
            {
                self.add(hits, 85, "joins the string that it closed to another", index);
            }
        }
        if let Some((left, right, behind)) = self.comparison(next) {
            let total = self.ends(behind)
                || matches!(self.word(behind), Some(Word::Having | Word::Limit | Word::Union))
                || self.word(behind) == Some(Word::Order) && self.word(behind + 1) == Some(Word::By);
            let score = match (left, right) {
                _ if left.is_sql() || right.is_sql() => 70 + bonus,
                (l, r) if l.is_constant() && r.is_constant() => {
                    // Two constants: true or false whatever the row.
                    let odd = !word && bonus < 10;
                    if odd { 55 } else { 75 + bonus }
                }
                // `current_user = x`.
                _ if self.is_niladic(next) || self.is_niladic(behind - 1) => 60 + bonus,
                // Only SQL has `is null` and variables that begin with `@`.
                (l, _) if l.is_constant() && self.is(behind - 1, Kind::Variable) => 65 + bonus,
                (Operand::Name, Operand::Constant) if total && self.is_null(next) => 60 + bonus,
                (Operand::Name, Operand::Constant) if total && self.is_wildcard(behind - 1) => 55 + bonus,
                (Operand::Name, Operand::Name) if self.same(next, behind) => 65 + bonus,
                (Operand::Foreign, _) | (_, Operand::Foreign) => 45 + bonus,
                _ if total => 45 + bonus,
                _ => 35 + bonus,
            };
            let score = if word || self.broken || self.is_null(next) { score } else { score - 15 };
            // `len(x) == 2` is code of other languages.
            let code = !self.broken && !self.mended && (next..behind).any(|i| self.text(i) == b"==");
            let score = if code { score - 20 } else { score };
            self.add(hits, score, "a condition that holds or fails for every row", index);
            return;
        }
        if self.broken && self.reads(next, "match") && (next..next + 6).any(|i| self.reads(i, "against")) {
            self.add(hits, 55 + bonus, "a logical operator before a search for words", index);
            return;
        }
        // `"and white"`: a phrase in quotation marks, and a word before it.
        let phrase = if self.broken && self.lead_words() > 0 && self.opens_quotation() { 20 } else { 0 };
        match self.operand(next) {
            Some((operand, behind)) => {
                // `1 or ((1) or 1)`: what closes here says nothing about what follows.
                let mut after = behind;
                while self.is(after, Kind::Right) {
                    after += 1;
                }
                let total = self.ends(behind)
                    || matches!(
                        self.word(after),
                        Some(Word::Logic | Word::Order | Word::Limit | Word::Union)
                    );
                let number = self.lead(index) == Lead::Number && self.is_hidden_end();
                let plain = matches!(self.lead(index), Lead::Broken | Lead::Escaped) || self.mended;
                // `kids' and "Disney:`: a string in the middle of a text, and no comparison.
                let text = self.broken && operand == Operand::Open && self.lead_words() > 1;
                match operand {
                    Operand::Call if self.weapon(next) && !self.is(behind.wrapping_sub(2), Kind::Left) => {
                        self.add(
                            hits,
                            75 + bonus,
                            "a logical operator before a call that waits, reads or errs on purpose",
                            index,
                        );
                    }
                    // `and char(124)+user+char(124)=0`, its plus signs lost.
                    Operand::Call if self.spells(next) => {
                        self.add(
                            hits,
                            66 + bonus,
                            "a logical operator before a string spelt in numbers",
                            index,
                        );
                    }
                    Operand::Call if total => {
                        let first = if index == 0 && self.is_reckoned(next + 2, behind) { 15 } else { 0 };
                        self.add(
                            hits,
                            50 + first + bonus,
                            "a logical operator before a call of a function",
                            index,
                        );
                    }
                    // Without parentheses it is no statement of anyone's, unless it is a query by itself.
                    Operand::Select if self.word(next) == Some(Word::Select) => {
                        self.add(
                            hits,
                            45 + self.query(next) + bonus,
                            "a logical operator before a query",
                            index,
                        );
                    }
                    Operand::Select => self.add(hits, 70 + bonus, "a logical operator before a query", index),
                    Operand::Constant | Operand::Open if total && plain && (word || self.broken) => {
                        self.add(
                            hits,
                            if text { 25 } else { 50 } + bonus - phrase,
                            "a logical operator and a constant",
                            index,
                        );
                    }
                    Operand::Name if total && plain && (self.broken || number) && word => {
                        self.add(hits, 38 + bonus - phrase, "a logical operator and a column", index);
                    }
                    Operand::Foreign | Operand::Group if total && self.broken && (word || self.mended) => {
                        self.add(hits, 45 + bonus, "a logical operator and a term", index);
                    }
                    _ => {}
                }
            }
            None => {
                // `' or exists(select`, `or case when`: the operand itself is judged elsewhere.
                if self.word(next) == Some(Word::Prefix) && self.is(next + 1, Kind::Left) {
                    self.add(hits, 55 + bonus, "a logical operator before a query", index);
                }
            }
        }
    }

    /// Whether a character by its number is called for at `index`, and again further on.
    fn spells(&self, index: usize) -> bool {
        let one = |i: usize| {
            (self.reads(i, "char") || self.reads(i, "chr"))
                && self.is(i + 1, Kind::Left)
                && self.is(i + 2, Kind::Number)
                && self.is(i + 3, Kind::Right)
        };
        one(index) && (index + 4..index + 12).any(one)
    }

    /// Whether the token at `index` is a pattern of LIKE that everything fits.
    fn is_wildcard(&self, index: usize) -> bool {
        let text = self.text(index);
        self.is(index, Kind::Text)
            && text.len() > 2
            && text.iter().all(|b| matches!(b, b'\'' | b'"' | b'%' | b'_'))
    }

    /// Whether the comparison at `index` is `… is null` or `… is not 2`.
    fn is_null(&self, index: usize) -> bool {
        self.operand(index).is_some_and(|(_, operator)| self.word(operator) == Some(Word::Is))
    }

    /// How many words stand before the quotation mark that the value closed.
    pub(super) fn lead_words(&self) -> usize {
        let end = self.token(0).map_or(0, |token| token.end);
        self.looked.set(self.looked.get() + end.min(160));
        text::slice(self.bytes, end.saturating_sub(160), end.saturating_sub(1))
            .split(|&b| text::is_space(b))
            .filter(|w| !w.is_empty())
            .count()
    }

    /// Whether the value ends in a comment that says nothing: it only hides the rest of the statement.
    pub(super) fn is_hidden_end(&self) -> bool {
        let last = self.tokens.len().wrapping_sub(1);
        self.is(last, Kind::Comment)
            && matches!(
                text::trim(self.text(last)),
                b"#" | b"--" | b"-- -" | b"/*" | b"--+" | b"--+-" | b"-- a" | b"-- -a"
            )
    }

    /// Whether the operand at `index` is joined on to something more.
    fn joins(&self, index: usize) -> bool {
        self.operand(index)
            .is_some_and(|(operand, behind)| operand.is_sql() || self.ends(behind) && self.mended)
    }

    /// Whether a comparison from `index` to `behind` has the same name on both sides.
    fn same(&self, index: usize, behind: usize) -> bool {
        behind == index + 3 && self.text(index).eq_ignore_ascii_case(self.text(index + 2))
    }

    /// Whether the word at `index` (behind signs) is a function only an attacker calls.
    pub(super) fn weapon(&self, index: usize) -> bool {
        (index..index + 4).any(|i| matches!(self.word(i), Some(Word::Weapon | Word::System)))
    }
}
