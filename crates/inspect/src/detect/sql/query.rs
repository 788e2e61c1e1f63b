//! UNION and SELECT: a query of the value's own.

use super::token::Kind;
use super::words::Word;
use super::{Lead, Reading};
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
    /// UNION and its kin.
    pub(super) fn judge_union(&self, index: usize, hits: &mut Hits) {
        let mut next = index + 1;
        let mut sure = 0;
        while matches!(self.word(next), Some(Word::Quantity | Word::Prefix)) {
            next += 1;
            sure = 10;
        }
        while self.is(next, Kind::Left) {
            next += 1;
            sure = 10;
        }
        let query = match self.word(next) {
            Some(Word::Select) => self.query(next),
            Some(Word::Values) | Some(Word::Object) if self.is(next + 1, Kind::Left) || self.broken => 15,
            // `union%a0select`, `union/*`: cut off, in a value that broke out.
            None if self.ends(next)
                && (self.broken && next >= self.tokens.len()
                    || self.lead(index) == Lead::Number
                        && (self.comments > 0
                            || self.is(0, Kind::Operator)
                            || self.is(0, Kind::Variable))) =>
            {
                0
            }
            _ => return,
        };
        let hidden = self.comments.min(2) as i32 * 8;
        self.add(
            hits,
            55 + sure + query + hidden + self.bonus(index),
            "a second query joined to the first",
            index,
        );
    }

    /// How much of a query begins with the SELECT at `index`: from -20 for what may be prose to 35.
    pub(super) fn query(&self, index: usize) -> i32 {
        // `select(User).order_by(…)` calls a method.
        if self.is(index + 1, Kind::Left) && self.is(self.behind(index + 1), Kind::Dot) {
            return -20;
        }
        // `select(*)` asks no table.
        if self.is(index + 1, Kind::Left)
            && self.text(index + 2) == b"*"
            && self.is(index + 3, Kind::Right)
            && self.ends(index + 4)
        {
            return -20;
        }
        let mut score = -10;
        let mut names = 0;
        let (mut comma, mut from, mut prose) = (false, false, false);
        let end = self.tokens.len().min(index + 60);
        let mut at = index + 1;
        while at < end {
            match self.kind(at) {
                Some(Kind::Number | Kind::Text | Kind::Variable) => score += 12,
                // `**bold**` of Markdown.
                Some(Kind::Operator)
                    if self.text(at) == b"*" && (self.text(at + 1) == b"*" || self.text(at - 1) == b"*") =>
                {
                    prose = true;
                }
                Some(Kind::Operator) => score += if self.text(at) == b"*" { 20 } else { 5 },
                Some(Kind::Comma) => comma = true,
                Some(Kind::Comment | Kind::Semicolon | Kind::Compare) => score += 10,
                Some(Kind::Dot) => score += 3,
                Some(Kind::Open) if self.broken => score += 10,
                Some(Kind::Left) => {
                    if matches!(self.word(at - 1), Some(Word::Function | Word::Weapon | Word::If)) {
                        score += 20;
                    }
                    if self.word(at + 1) == Some(Word::Select) {
                        score += 20;
                    }
                }
                Some(Kind::Word(word)) => match word {
                    Word::Constant | Word::System | Word::Weapon => score += 15,
                    Word::From => from = true,
                    Word::Case
                    | Word::When
                    | Word::Where
                    | Word::Limit
                    | Word::Having
                    | Word::Union
                    | Word::Select => score += 8,
                    Word::Order if self.word(at + 1) == Some(Word::By) => score += 8,
                    Word::Into if self.table(at + 1) => score += 8,
                    // `select a from b`: the article is a column there.
                    Word::Prose
                        if self.text(at).len() == 1
                            && matches!(self.kind(at - 1), Some(Kind::Comma | Kind::Word(Word::Select)))
                            && (self.word(at + 1) == Some(Word::From) || self.is(at + 1, Kind::Comma)) =>
                    {
                        names += 1;
                    }
                    Word::Prose => prose = true,
                    // A word in Chinese, Japanese or Korean names no column.
                    Word::Name if (0xe3..=0xed).contains(&text::at(self.text(at), 0)) => prose = true,
                    Word::Name => {
                        names += 1;
                        if self.text(at).contains(&b'_') {
                            score += 12;
                        }
                    }
                    _ => {}
                },
                Some(Kind::Other) => score -= 5,
                _ => {}
            }
            at += 1;
            if score > 60 {
                break;
            }
        }
        if from {
            score += if comma { 15 } else { 10 };
        }
        if from && names <= 3 {
            score += 10;
        }
        if prose {
            score -= 30;
        }
        // A run of names and nothing else is a sentence.
        if names > 4 && !from {
            score -= 20;
        }
        if names == 0 && !from && at == index + 1 {
            score += 5;
        }
        // `select 1`, `select null, version()`, and nothing else.
        let whole =
            names == 0 && !from && !prose && at >= self.tokens.len() && self.operand(index + 1).is_some();
        if whole {
            score += 15;
        }
        // `select @version x`: a variable by another name.
        let variable = self.is(index + 1, Kind::Variable)
            && names <= 1
            && !from
            && !prose
            && self.ends(index + 2 + names)
            && at >= self.tokens.len();
        if variable && !whole {
            score += 15;
        }
        if at >= self.tokens.len() && matches!(self.word(at - 1), Some(Word::Where | Word::From)) {
            score -= 16;
        }
        score.clamp(-20, 35)
    }

    pub(super) fn table(&self, index: usize) -> bool {
        matches!(self.word(index), Some(Word::Name | Word::System))
            || matches!(self.kind(index), Some(Kind::Variable))
            || self.reads(index, "outfile")
            || self.reads(index, "dumpfile")
    }

    /// A query in parentheses.
    pub(super) fn judge_subselect(&self, index: usize, hits: &mut Hits) {
        let query = self.query(index + 1);
        if query > -10 {
            let first = if index == 0 && query > 5 { 10 } else { 0 };
            self.add(hits, 50 + first + query + self.bonus(index) / 2, "a query in parentheses", index);
        }
    }
}
