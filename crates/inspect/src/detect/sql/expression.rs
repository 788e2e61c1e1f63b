//! Operands and comparisons.

use std::cell::Cell;

use super::token::Kind;
use super::words::Word;
use super::{Known, Memo, Reading};
use crate::text;

/// What an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// A number, a string, NULL, TRUE.
    Constant,
    /// A string that the value leaves open.
    Open,
    /// A column or a variable.
    Name,
    /// A call of a function that SQL has.
    Call,
    /// A call of something else.
    Foreign,
    /// A SELECT in parentheses.
    Select,
    /// A parenthesis with something else.
    Group,
}

impl Operand {
    pub(super) fn is_constant(self) -> bool {
        matches!(self, Operand::Constant | Operand::Open)
    }

    /// Whether prose and formulas seldom have it.
    pub(super) fn is_sql(self) -> bool {
        matches!(self, Operand::Call | Operand::Select)
    }
}

/// Longest run of signs and prefixes before an operand.
const SIGNS: usize = 24;

impl Reading<'_> {
    /// The operand at `index`: what it is, and the index behind it.
    pub(super) fn operand(&self, index: usize) -> Option<(Operand, usize)> {
        self.once(index, |known| &known.operand, || self.read_operand(index))
    }

    /// What `read` answers for `index`, asked once: the same place is looked at from many hinges.
    fn once(
        &self,
        index: usize,
        cell: impl Fn(&Known) -> &Cell<Memo>,
        read: impl FnOnce() -> Option<(Operand, usize)>,
    ) -> Option<(Operand, usize)> {
        let known = self.known.get(index)?;
        let memo = cell(known).get().unwrap_or_else(|| {
            let memo = read().map(|(operand, behind)| (operand, behind as u32));
            cell(known).set(Some(memo));
            memo
        });
        self.looked.set(self.looked.get() + 1);
        memo.map(|(operand, behind)| (operand, behind as usize))
    }

    fn read_operand(&self, index: usize) -> Option<(Operand, usize)> {
        let (mut kind, mut index) = self.factor(index)?;
        // Arithmetic and concatenation: the first operand names the kind, unless a later one says more.
        for _ in 0..SIGNS {
            let joined = match self.kind(index) {
                Some(Kind::Operator) => true,
                Some(Kind::Pipes) => self.text(index) == b"||",
                Some(Kind::Word(Word::Arithmetic)) => true,
                _ => false,
            };
            if !joined {
                break;
            }
            let Some((next, behind)) = self.factor(index + 1) else { break };
            if next.is_sql() || kind == Operand::Constant && !next.is_constant() {
                kind = next;
            }
            if next == Operand::Open {
                kind = if kind == Operand::Constant { Operand::Open } else { kind };
            }
            index = behind;
        }
        Some((kind, index))
    }

    fn factor(&self, index: usize) -> Option<(Operand, usize)> {
        self.once(index, |known| &known.factor, || self.read_factor(index))
    }

    fn read_factor(&self, index: usize) -> Option<(Operand, usize)> {
        let mut index = index;
        for _ in 0..SIGNS {
            match self.kind(index) {
                Some(Kind::Operator) if !matches!(self.text(index), b"*" | b"/" | b"%" | b"^" | b"&") => {
                    index += 1;
                }
                Some(Kind::Word(Word::Not | Word::Prefix)) => index += 1,
                _ => break,
            }
        }
        let (kind, mut behind) = match self.kind(index)? {
            Kind::Number | Kind::Text | Kind::Word(Word::Constant) => (Operand::Constant, index + 1),
            Kind::Open => (Operand::Open, index + 1),
            Kind::Variable => (Operand::Name, index + 1),
            Kind::Left => {
                let select = matches!(self.word(index + 1), Some(Word::Select | Word::Values | Word::Case))
                    || self.is(index + 1, Kind::Left) && self.word(index + 2) == Some(Word::Select);
                let behind = self.behind(index);
                let kind = if select {
                    Operand::Select
                } else if self.calls(index + 1, behind) > 1 {
                    Operand::Call
                } else if self.is_reckoned(index + 1, behind) {
                    Operand::Constant
                } else if behind <= index + 3
                    && matches!(self.kind(index + 1), Some(Kind::Number | Kind::Text | Kind::Open))
                {
                    if self.is(index + 1, Kind::Open) { Operand::Open } else { Operand::Constant }
                } else {
                    Operand::Group
                };
                (kind, behind)
            }
            Kind::Word(Word::Case) => {
                let end = (index + 1..self.tokens.len().min(index + 40))
                    .find(|&i| self.word(i) == Some(Word::End))?;
                (Operand::Call, end + 1)
            }
            Kind::Word(Word::Select) => (Operand::Select, self.tokens.len()),
            Kind::Word(Word::Function) if self.is_niladic(index) && !self.is(index + 1, Kind::Left) => {
                (Operand::Constant, index + 1)
            }
            Kind::Word(word) => {
                let mut behind = index + 1;
                while self.is(behind, Kind::Dot)
                    && matches!(self.kind(behind + 1), Some(Kind::Word(_) | Kind::Operator))
                {
                    behind += 2;
                }
                let of_sql =
                    matches!(word, Word::Function | Word::Weapon | Word::System | Word::If | Word::Values);
                if self.is(behind, Kind::Left) {
                    let inner = matches!(self.word(behind + 1), Some(Word::Select));
                    let end = self.behind(behind);
                    let kind = if of_sql || inner {
                        Operand::Call
                    } else if word == Word::Math && (end == behind + 2 || self.is_reckoned(behind + 1, end)) {
                        Operand::Constant
                    } else {
                        Operand::Foreign
                    };
                    (kind, end)
                } else if matches!(
                    word,
                    Word::Name
                        | Word::Function
                        | Word::System
                        | Word::Prose
                        | Word::Weapon
                        | Word::Object
                        | Word::Set
                        | Word::Math
                ) {
                    (Operand::Name, behind)
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        // `'a' 'b'` is one string; `'a' collate x` still is `'a'`.
        let text = self.is(behind - 1, Kind::Text);
        while matches!(self.kind(behind), Some(Kind::Text | Kind::Open)) && text {
            behind += 1;
        }
        Some((kind, behind))
    }

    /// How many functions of SQL are called from `index` to `end`.
    pub(super) fn calls(&self, index: usize, end: usize) -> usize {
        (index..end.min(index + 24))
            .filter(|&i| {
                matches!(self.word(i), Some(Word::Function | Word::Weapon))
                    && self.is(i + 1, Kind::Left)
                    && !self.is(i.wrapping_sub(1), Kind::Dot)
            })
            .count()
    }

    /// Whether what stands from `index` up to the parenthesis before `end` is reckoned from constants alone.
    pub(super) fn is_reckoned(&self, index: usize, end: usize) -> bool {
        let inner = index..end.saturating_sub(1).min(index + 24);
        !inner.is_empty()
            && inner
                .clone()
                .any(|i| matches!(self.kind(i), Some(Kind::Number | Kind::Text | Kind::Word(Word::Math))))
            && inner.clone().all(|i| {
                matches!(
                    self.kind(i),
                    Some(
                        Kind::Number
                            | Kind::Text
                            | Kind::Operator
                            | Kind::Left
                            | Kind::Right
                            | Kind::Comma
                            | Kind::Word(Word::Math | Word::Constant)
                    )
                )
            })
    }

    /// A function that is called without parentheses.
    pub(super) fn is_niladic(&self, index: usize) -> bool {
        [
            "current_user",
            "session_user",
            "system_user",
            "current_date",
            "current_time",
            "current_timestamp",
            "utc_date",
        ]
        .iter()
        .any(|known| self.reads(index, known))
    }

    /// Whether what tells about the server or its user is asked for from `index` to `end`.
    pub(super) fn asks_server(&self, index: usize, end: usize) -> bool {
        (index..end.min(index + 24)).any(|i| {
            self.is(i, Kind::Variable) && text::starts(self.text(i), b"@@")
                || matches!(self.word(i), Some(Word::Function | Word::Object))
                    && (self.is_niladic(i)
                        || self.is(i + 1, Kind::Left)
                            && self.is(i + 2, Kind::Right)
                            && [
                                "version",
                                "user",
                                "database",
                                "schema",
                                "connection_id",
                                "sqlite_version",
                                "db_name",
                                "user_name",
                            ]
                            .iter()
                            .any(|known| self.reads(i, known)))
        })
    }

    /// The comparison at `index`: its two operands, and the index behind it.
    pub(super) fn comparison(&self, index: usize) -> Option<(Operand, Operand, usize)> {
        let (left, operator) = self.operand(index)?;
        let (right, behind) = self.compared(operator)?;
        Some((left, right, behind))
    }

    /// What follows a comparison's left operand: operator, operand, and the index behind it.
    pub(super) fn compared(&self, operator: usize) -> Option<(Operand, usize)> {
        let mut at = operator;
        if self.word(at) == Some(Word::Not) {
            at += 1;
        }
        match self.kind(at)? {
            Kind::Compare => {
                // `>all(…)`, `= any (…)`.
                let at = if matches!(self.word(at + 1), Some(Word::Quantity | Word::Prefix)) {
                    at + 1
                } else {
                    at
                };
                self.operand(at + 1)
            }
            Kind::Word(Word::Compare) => {
                let at = if matches!(self.word(at + 1), Some(Word::Compare | Word::Prefix | Word::Prose)) {
                    at + 1
                } else {
                    at
                };
                self.operand(at + 1)
            }
            Kind::Word(Word::In) if self.is(at + 1, Kind::Left) => {
                Some((Operand::Constant, self.behind(at + 1)))
            }
            Kind::Word(Word::Between) => {
                let (_, and) = self.operand(at + 1)?;
                if self.word(and) != Some(Word::Logic) {
                    return None;
                }
                self.operand(and + 1)
            }
            Kind::Word(Word::Is) => {
                let at = if self.word(at + 1) == Some(Word::Not) { at + 1 } else { at };
                let negated = self.word(at) == Some(Word::Not);
                if self.word(at + 1) == Some(Word::Constant) || negated && self.is(at + 1, Kind::Number) {
                    Some((Operand::Constant, at + 2))
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}
