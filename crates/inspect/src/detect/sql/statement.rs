//! Whole statements: behind a semicolon, and at the start of a value.

use super::Reading;
use super::token::Kind;
use super::words::Word;
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
    /// A statement of its own after a semicolon.
    pub(super) fn judge_stacked(&self, index: usize, hits: &mut Hits) {
        let statement = self.statement(index + 1);
        if statement >= 0 {
            let end = if self.ends(self.tokens.len().saturating_sub(1)) && self.mended { 5 } else { 0 };
            self.add(
                hits,
                55 + statement + end + self.bonus(index).min(20),
                "a statement of its own after a semicolon",
                index + 1,
            );
        }
    }

    /// How much of a statement begins at `index`: negative for none.
    pub(super) fn statement(&self, index: usize) -> i32 {
        let Some(word) = self.word(index) else { return -1 };
        let object = |at: usize| {
            self.word(at) == Some(Word::Object)
                || [
                    "procedure",
                    "function",
                    "user",
                    "login",
                    "index",
                    "trigger",
                    "schema",
                    "extension",
                    "role",
                    "or",
                ]
                .iter()
                .any(|name| self.reads(at, name))
        };
        let name = |at: usize| self.table(at) || self.word(at) == Some(Word::Function);
        match word {
            Word::Select => (self.query(index) + 5).max(-1),
            Word::Statement | Word::Object => {
                let text = self.text(index);
                let is = |known: &str| text.eq_ignore_ascii_case(known.as_bytes());
                let good = if is("insert") {
                    self.word(index + 1) == Some(Word::Into)
                        && name(index + 2)
                        && (self.is(index + 3, Kind::Left)
                            || self.is(index + 3, Kind::Dot)
                            || matches!(self.word(index + 3), Some(Word::Values | Word::Select | Word::Set)))
                } else if is("delete") {
                    let modified =
                        ["low_priority", "quick", "ignore"].iter().any(|m| self.reads(index + 1, m));
                    let index = index + usize::from(modified);
                    self.word(index + 1) == Some(Word::From)
                        && name(index + 2)
                        && (self.ends(index + 3)
                            || self.word(index + 3) == Some(Word::Where)
                            || self.is(index + 3, Kind::Dot))
                } else if is("update") {
                    name(index + 1)
                        && (2..5).any(|i| self.word(index + i) == Some(Word::Set))
                        && (3..9).any(|i| self.is(index + i, Kind::Compare))
                } else if is("drop") || is("alter") || is("truncate") || is("create") || is("rename") {
                    object(index + 1)
                        && (matches!(self.kind(index + 2), Some(Kind::Word(word)) if word != Word::Prose)
                            || self.is(index + 2, Kind::Variable))
                        && !self.plain(index + 2)
                        || (is("truncate") || is("drop"))
                            && name(index + 1)
                            && self.is(index + 2, Kind::Comment)
                        || is("truncate") && name(index + 1) && self.ends(index + 2)
                } else if is("grant") || is("revoke") {
                    (2..10).any(|i| self.reads(index + i, "on") || self.reads(index + i, "to"))
                        && self.ends(self.tokens.len().saturating_sub(1))
                } else if is("load") {
                    ["data", "extension", "xml"].iter().any(|known| self.reads(index + 1, known))
                        && !self.ends(index + 2)
                } else if is("handler") {
                    name(index + 1) && self.reads(index + 2, "open")
                } else if is("show") {
                    ["databases", "tables", "columns", "grants", "variables"]
                        .iter()
                        .any(|known| self.reads(index + 1, known))
                } else if is("merge") {
                    self.word(index + 1) == Some(Word::Into)
                } else if is("attach") {
                    self.word(index + 1) == Some(Word::Object)
                } else {
                    false
                };
                if good { 25 } else { -1 }
            }
            Word::Command => {
                let text = self.text(index);
                let is = |known: &str| text.eq_ignore_ascii_case(known.as_bytes());
                let good = if is("shutdown") {
                    self.ends(index + 1) || self.word(index + 1) == Some(Word::Tail)
                } else if is("declare") {
                    self.is(index + 1, Kind::Variable)
                        || self.reads(index + 2, "cursor")
                        || (2..4).any(|i| self.word(index + i) == Some(Word::Function))
                } else if is("exec") || is("execute") {
                    self.is(index + 1, Kind::Left)
                        && (matches!(self.kind(index + 2), Some(Kind::Text | Kind::Open | Kind::Variable))
                            || self.word(index + 2) == Some(Word::Function))
                        || self.word(index + 1) == Some(Word::As)
                        || self.is(index + 1, Kind::Variable)
                        || matches!(self.word(index + 1), Some(Word::System | Word::Weapon))
                        || self.is(index + 2, Kind::Dot)
                        || self.text(index + 1).contains(&b'_')
                        || self.word(index + 1) == Some(Word::Name)
                            && matches!(self.kind(index + 2), Some(Kind::Text | Kind::Open | Kind::Comment))
                } else if is("call") {
                    // "call last() on it" is a sentence.
                    matches!(self.word(index + 1), Some(Word::Name | Word::Weapon))
                        && self.is(index + 2, Kind::Left)
                        && self.ends(self.behind(index + 2))
                } else if is("copy") {
                    (1..8).any(|i| self.word(index + i) == Some(Word::From) || self.reads(index + i, "to"))
                        && (2..12).any(|i| self.is(index + i, Kind::Text))
                } else if is("begin") {
                    (1..12).any(|i| self.weapon(index + i)) || self.word(index + 1) == Some(Word::Command)
                } else if is("print") {
                    matches!(self.kind(index + 1), Some(Kind::Variable)) || self.mended
                } else {
                    // PRAGMA, PREPARE
                    (1..6).any(|i| {
                        self.reads(index + i, "from")
                            || self.is(index + i, Kind::Compare)
                            || self.is(index + i, Kind::Left)
                    })
                };
                if good { 30 } else { -1 }
            }
            Word::Weapon
                if self.reads(index, "waitfor")
                    && (self.reads(index + 1, "delay") || self.reads(index + 1, "time")) =>
            {
                30
            }
            // `benchmark(run)` is code of other languages.
            Word::Weapon
                if self.is(index + 1, Kind::Left)
                    && self.word(index + 2) == Some(Word::Name)
                    && self.is(index + 3, Kind::Right) =>
            {
                -1
            }
            // "sleep (8 hours) and exercise".
            Word::Weapon
                if self.is(index + 1, Kind::Left)
                    && self.is(index + 2, Kind::Number)
                    && matches!(self.word(index + 3), Some(Word::Name | Word::Prose)) =>
            {
                -1
            }
            // "sleep(5) hours a night".
            Word::Weapon
                if self.is(index + 1, Kind::Left)
                    && matches!(self.word(self.behind(index + 1)), Some(Word::Name | Word::Prose)) =>
            {
                -1
            }
            Word::Weapon if self.is(index + 1, Kind::Left) => 25,
            Word::System
                if self.is(index + 1, Kind::Left)
                    || self.is(index + 1, Kind::Dot)
                    || self.is(index + 1, Kind::Text) =>
            {
                25
            }
            Word::If if self.word(index + 1) == Some(Word::Prefix) && self.is(index + 2, Kind::Left) => {
                let after = self.behind(index + 2);
                let query = self.word(index + 3) == Some(Word::Select) || self.ends(index + 3);
                if query || matches!(self.word(after), Some(Word::Statement | Word::Command)) {
                    25
                } else {
                    -1
                }
            }
            Word::If
                if self.comparison(index + 1).is_some_and(|(left, right, behind)| {
                    left.is_constant()
                        && right.is_constant()
                        && matches!(self.word(behind), Some(Word::Statement | Word::Command))
                }) =>
            {
                25
            }
            Word::If
                if self.is(index + 1, Kind::Left)
                    && (self.comparison(index + 2).is_some()
                        || self.is(index + 2, Kind::Left) && self.comparison(index + 3).is_some()
                        || self.word(index + 2) == Some(Word::Select)) =>
            {
                let after = self.behind(index + 1);
                let sql = matches!(
                    self.word(after),
                    Some(Word::Select | Word::Weapon | Word::Command | Word::Statement)
                ) || (index + 2..after.min(index + 24))
                    .any(|i| matches!(self.word(i), Some(Word::Select | Word::Weapon)));
                if sql || self.broken { 25 } else { -1 }
            }
            // DO of MySQL reckons and answers nothing.
            _ if self.reads(index, "do")
                && self.is(index + 1, Kind::Left)
                && self.comparison(index + 2).is_some_and(|(left, right, behind)| {
                    left.is_constant() && right.is_constant() && self.is(behind, Kind::Right)
                })
                && self.ends(self.behind(index + 1)) =>
            {
                20
            }
            Word::Function if self.reads(index, "iif") && self.is(index + 1, Kind::Left) => 25,
            Word::Set if self.is(index + 1, Kind::Variable) && self.is(index + 2, Kind::Compare) => 25,
            Word::Tail
                if self.reads(index, "with")
                    && (2..6).any(|i| {
                        self.is(index + i, Kind::Left) && self.word(index + i + 1) == Some(Word::Select)
                    }) =>
            {
                20
            }
            _ => -1,
        }
    }

    /// Whether the rest from `index` is a run of bare words: a sentence.
    fn plain(&self, index: usize) -> bool {
        let rest = self.tokens.get(index..).unwrap_or_default();
        rest.len() > 1
            && rest
                .iter()
                .all(|token| matches!(token.kind, Kind::Word(Word::Name | Word::Prose | Word::Object)))
    }

    /// A value that is a statement.
    pub(super) fn judge_start(&self, hits: &mut Hits) {
        // `(cos(binary 'b')) --`: an expression in parentheses, and the rest hidden.
        if let [first, .., second_last, last] = self.tokens.as_slice()
            && (first.kind, second_last.kind, last.kind) == (Kind::Left, Kind::Right, Kind::Comment)
            && self.tokens.len() < 32
            && matches!(text::trim(self.text(self.tokens.len() - 1)), b"--" | b"#" | b"-- -" | b"--+")
        {
            self.add(hits, 80, "an expression in parentheses, and the rest of the statement hidden", 0);
        }
        let mut first = 0;
        while matches!(self.kind(first), Some(Kind::Left | Kind::Semicolon)) {
            first += 1;
        }
        let statement = self.statement(first);
        // "Drop Table Tennis" is a headline: bare words end no statement and hide nothing.
        let headline = self.word(first) == Some(Word::Statement)
            && self.tokens.iter().all(|token| matches!(token.kind, Kind::Word(_)));
        if statement >= 10 && !headline {
            self.add(hits, 52 + statement, "a whole statement", first);
        }
        // `(1=1)*7`: a condition reckoned with.
        if self.is(0, Kind::Left)
            && let Some((left, right, behind)) = self.comparison(1)
            && left.is_constant()
            && right.is_constant()
            && self.is(behind, Kind::Right)
            && self.is(behind + 1, Kind::Operator)
            && self.operand(behind + 2).is_some_and(|(operand, end)| operand.is_constant() && self.ends(end))
        {
            self.add(hits, 74, "reckons with a condition", 0);
        }
        // `1*1--`, `@version/*`: an expression of constants, and the rest hidden.
        if let Some((operand, behind)) = self.operand(0)
            && (operand.is_constant() && behind > 1 || self.is(0, Kind::Variable) && behind == 1)
            && behind + 1 == self.tokens.len()
            && self.is_hidden_end()
        {
            self.add(hits, 72, "an expression, and the rest of the statement hidden", 0);
        }
        // `'s' || binary(1)# and …`: as well, with what SQL alone has in it.
        if let Some((_, behind)) = self.operand(0)
            && behind > 3
            && behind + 1 == self.tokens.len()
            && behind < 12
            && self.is(behind, Kind::Comment)
            && self.is(0, Kind::Text)
            && (0..behind).any(|i| matches!(self.word(i), Some(Word::Prefix | Word::Function)))
        {
            self.add(hits, 72, "an expression, and the rest of the statement hidden", 0);
        }
        if self.is(0, Kind::Number) && self.whole.unlogged && self.mended {
            self.add(hits, 80, "hides the statement from the log of SQL Server", 0);
        }
        // `1)--`, `1))#`: the parenthesis of the statement around, closed.
        let mut at = 0;
        while matches!(self.kind(at), Some(Kind::Operator)) {
            at += 1;
        }
        if matches!(self.kind(at), Some(Kind::Number))
            && (self.is(at + 1, Kind::Right) || self.is(at + 1, Kind::Comment))
        {
            let closed = self.is(at + 1, Kind::Right);
            let mut end = at + 1;
            while self.is(end, Kind::Right) {
                end += 1;
            }
            if self.is(end, Kind::Comment)
                && matches!(text::trim(self.text(end)), b"#" | b"--" | b"-- -" | b"/*" | b"--+")
            {
                self.add(
                    hits,
                    if closed { 80 } else { 70 },
                    "closes the statement around and hides its rest",
                    at,
                );
            }
        }
    }
}
