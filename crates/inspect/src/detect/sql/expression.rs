//! Operands and comparisons.

use super::Reading;
use super::token::Kind;
use super::words::Word;

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
const SIGNS: usize = 12;

impl Reading<'_> {
    /// The operand at `index`: what it is, and the index behind it.
    pub(super) fn operand(&self, index: usize) -> Option<(Operand, usize)> {
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
                    let kind = if of_sql || inner { Operand::Call } else { Operand::Foreign };
                    (kind, self.behind(behind))
                } else if matches!(
                    word,
                    Word::Name
                        | Word::Function
                        | Word::System
                        | Word::Prose
                        | Word::Weapon
                        | Word::Object
                        | Word::Set
                ) {
                    (Operand::Name, behind)
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        // `'a' 'b'` is one string; `'a' collate x` still is `'a'`.
        while matches!(self.kind(behind), Some(Kind::Text | Kind::Open)) && kind.is_constant() {
            behind += 1;
        }
        Some((kind, behind))
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
                if self.word(at + 1) == Some(Word::Constant) {
                    Some((Operand::Constant, at + 2))
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}
