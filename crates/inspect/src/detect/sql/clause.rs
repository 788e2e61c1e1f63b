//! Clauses where a value should stand: ORDER BY, HAVING, LIMIT, INTO, FROM, WHERE.

use super::token::Kind;
use super::words::Word;
use super::{Lead, Reading};
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
    /// ORDER BY, GROUP BY, HAVING, LIMIT, INTO, FROM, WHERE where a value should stand.
    pub(super) fn judge_clause(&self, index: usize, hits: &mut Hits) {
        let lead = self.lead(index);
        let bonus = self.bonus(index);
        let next = index + 1;
        match self.word(index) {
            Some(Word::Order) if self.word(next) == Some(Word::By) => {
                let column = self.operand(next + 1);
                let Some((operand, behind)) = column else { return };
                let list = self.is(behind, Kind::Comma)
                    || self.ends(behind)
                    || matches!(self.word(behind), Some(Word::Having | Word::Limit))
                    || self.reads(behind, "desc")
                    || self.reads(behind, "asc");
                if !list {
                    return;
                }
                let base = if operand.is_constant() || operand.is_sql() { 55 } else { 35 };
                if lead != Lead::Unknown || operand.is_sql() {
                    self.add(hits, base + bonus, "sorts or groups the statement's rows", index);
                }
            }
            Some(Word::Having) => {
                if let Some((left, right, _)) = self.comparison(next) {
                    let base = if left.is_constant() && right.is_constant() { 70 } else { 45 };
                    self.add(hits, base + bonus, "a condition on the statement's groups", index);
                } else if self.is(next, Kind::Left)
                    && self.ends(self.behind(next))
                    && self.operand(next + 1).is_some_and(|(operand, _)| operand.is_constant())
                {
                    self.add(hits, 66 + bonus, "a condition on the statement's groups", index);
                }
            }
            Some(Word::Limit)
                if matches!(lead, Lead::Broken | Lead::Escaped | Lead::Number)
                    && self.is(next, Kind::Number)
                    && (self.ends(next + 1)
                        || self.is(next + 1, Kind::Comma)
                        || self.word(next + 1) == Some(Word::Into)
                        || self.word(next + 1) == Some(Word::Tail)) =>
            {
                self.add(hits, 50 + bonus, "limits the statement's rows", index);
            }
            Some(Word::Into)
                if (self.reads(next, "outfile") || self.reads(next, "dumpfile"))
                    && (matches!(
                        self.kind(next + 1),
                        Some(Kind::Text | Kind::Open | Kind::Number | Kind::Left | Kind::Variable)
                    ) || self.word(next + 1) == Some(Word::Function)
                        || text::at(self.text(next + 1), 0) >= 0x80) =>
            {
                self.add(hits, 92, "writes a file on the database's server", index);
            }
            // `1) from users where name=`: the list of columns is closed, and the table is another.
            Some(Word::From)
                if matches!(lead, Lead::Broken | Lead::Escaped)
                    && self.table(next)
                    && self.word(next + 1) == Some(Word::Where)
                    && self.operand(next + 2).is_some_and(|(_, behind)| {
                        self.is(behind, Kind::Compare)
                            || matches!(self.word(behind), Some(Word::Compare | Word::In | Word::Is))
                    }) =>
            {
                self.add(hits, 52 + bonus, "a table and a condition of its own", index);
            }
            Some(Word::Where) => {
                if let Some((left, right, _)) = self.comparison(next) {
                    let constant = left.is_constant() && right.is_constant();
                    let aliased = self.broken
                        || matches!(lead, Lead::Number | Lead::Escaped)
                        || self.escaped_before(index);
                    if constant || aliased {
                        self.add(
                            hits,
                            if constant { 70 } else { 50 } + if aliased { 20 } else { 0 },
                            "a WHERE of its own",
                            index,
                        );
                    }
                }
            }
            Some(Word::Tail) if self.reads(index, "procedure") && self.reads(next, "analyse") => {
                self.add(hits, 85, "calls a procedure of MySQL on the result", index);
            }
            Some(Word::Tail)
                if self.reads(index, "for")
                    && self.broken
                    && (self.reads(next, "xml")
                        || self.reads(next, "json")
                        || self.reads(next, "update")) =>
            {
                self.add(hits, 50 + bonus, "a clause at the end of a statement", index);
            }
            _ => {}
        }
    }

    /// Whether a parenthesis is closed before `index` that was never opened.
    fn escaped_before(&self, index: usize) -> bool {
        (0..index.min(8)).any(|i| {
            self.is(i, Kind::Right) && self.token(i).is_some_and(|token| token.partner as usize == i)
        })
    }
}
