//! Judging what stands at a hinge.

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
            let total = self.ends(behind);
            let score = match (left, right) {
                _ if left.is_sql() || right.is_sql() => 70 + bonus,
                (l, r) if l.is_constant() && r.is_constant() => {
                    // Two constants: true or false whatever the row.
                    let odd = !word && bonus < 10;
                    if odd { 55 } else { 75 + bonus }
                }
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
        match self.operand(next) {
            Some((operand, behind)) => {
                let total = self.ends(behind)
                    || matches!(
                        self.word(behind),
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
                    Operand::Call if total => {
                        let first = if index == 0 && self.is_reckoned(next + 2, behind) { 15 } else { 0 };
                        self.add(
                            hits,
                            50 + first + bonus,
                            "a logical operator before a call of a function",
                            index,
                        );
                    }
                    Operand::Select => self.add(hits, 70 + bonus, "a logical operator before a query", index),
                    Operand::Constant | Operand::Open if total && plain && (word || self.broken) => {
                        self.add(
                            hits,
                            if text { 25 } else { 50 } + bonus,
                            "a logical operator and a constant",
                            index,
                        );
                    }
                    Operand::Name if total && plain && (self.broken || number) && word => {
                        self.add(hits, 38 + bonus, "a logical operator and a column", index);
                    }
                    Operand::Foreign | Operand::Group if total && self.broken && (word || self.mended) => {
                        self.add(hits, 45 + bonus, "a logical operator and a term", index);
                    }
                    _ => {}
                }
            }
            None if self.broken
                && self.reads(next, "match")
                && (next..next + 6).any(|i| self.reads(i, "against")) =>
            {
                self.add(hits, 55 + bonus, "a logical operator before a search for words", index);
            }
            None => {
                // `' or exists(select`, `or case when`: the operand itself is judged elsewhere.
                if self.word(next) == Some(Word::Prefix) && self.is(next + 1, Kind::Left) {
                    self.add(hits, 55 + bonus, "a logical operator before a query", index);
                }
            }
        }
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
    fn lead_words(&self) -> usize {
        let end = self.token(0).map_or(0, |token| token.end);
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
    fn weapon(&self, index: usize) -> bool {
        (index..index + 4).any(|i| matches!(self.word(i), Some(Word::Weapon | Word::System)))
    }

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
        let mut score = -10;
        let mut names = 0;
        let (mut comma, mut from, mut prose) = (false, false, false);
        let end = self.tokens.len().min(index + 60);
        let mut at = index + 1;
        while at < end {
            match self.kind(at) {
                Some(Kind::Number | Kind::Text | Kind::Variable) => score += 12,
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
        if at >= self.tokens.len() && matches!(self.word(at - 1), Some(Word::Where | Word::From)) {
            score -= 16;
        }
        score.clamp(-20, 35)
    }

    fn table(&self, index: usize) -> bool {
        matches!(self.word(index), Some(Word::Name | Word::System))
            || matches!(self.kind(index), Some(Kind::Variable))
            || self.reads(index, "outfile")
            || self.reads(index, "dumpfile")
    }

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
    fn statement(&self, index: usize) -> i32 {
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
                    matches!(self.word(index + 1), Some(Word::Name | Word::Weapon))
                        && self.is(index + 2, Kind::Left)
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

    /// A query in parentheses.
    pub(super) fn judge_subselect(&self, index: usize, hits: &mut Hits) {
        let query = self.query(index + 1);
        if query > -10 {
            let first = if index == 0 && query > 5 { 10 } else { 0 };
            self.add(hits, 50 + first + query + self.bonus(index) / 2, "a query in parentheses", index);
        }
    }

    /// A function or table that only an attacker names.
    pub(super) fn judge_weapon(&self, index: usize, hits: &mut Hits) {
        let lead = self.bonus(index);
        if self.word(index) == Some(Word::Weapon) {
            if self.reads(index, "waitfor") {
                if (self.reads(index + 1, "delay") || self.reads(index + 1, "time"))
                    && matches!(
                        self.kind(index + 2),
                        Some(Kind::Text | Kind::Open | Kind::Variable | Kind::Number)
                    )
                {
                    self.add(hits, 95, "makes SQL Server wait", index);
                }
                return;
            }
            if !self.is(index + 1, Kind::Left) {
                return;
            }
            let first = self.kind(index + 2);
            let argument = matches!(
                first,
                Some(Kind::Number | Kind::Text | Kind::Word(_) | Kind::Variable | Kind::Left | Kind::Open)
            );
            if !argument {
                return;
            }
            // `sleep(5)`, `polygon(points)` and `generate_series(1, 5)` are common in code; the others are not.
            let common = [
                "sleep",
                "polygon",
                "linestring",
                "multipoint",
                "multipolygon",
                "json_keys",
                "name_const",
                "benchmark",
                "generate_series",
            ]
            .iter()
            .any(|known| self.reads(index, known));
            let before = index.checked_sub(1).and_then(|i| self.kind(i));
            let sql_before = matches!(
                before,
                Some(Kind::Word(
                    Word::Logic
                        | Word::Select
                        | Word::Union
                        | Word::When
                        | Word::Then
                        | Word::Else
                        | Word::By
                        | Word::Having
                        | Word::Where
                        | Word::Not
                        | Word::Compare
                        | Word::From
                ))
            );
            let inner = (index + 2..(index + 16).min(self.behind(index + 1))).any(|i| {
                matches!(
                    self.word(i),
                    Some(Word::Function | Word::Weapon | Word::Select | Word::System | Word::Order)
                ) || matches!(self.text(i), t if t.len() > 3 && text::starts(t, b"0x"))
            });
            let score = match (common, sql_before || inner) {
                (false, true) => 85,
                (false, false) if self.bytes.len() < 160 => 72,
                (false, false) => 65,
                (true, true) => 75,
                (true, false) => {
                    40 + if matches!(
                        before,
                        Some(Kind::Operator | Kind::Break | Kind::Left | Kind::Comma | Kind::Compare)
                    ) {
                        5 + lead
                    } else {
                        0
                    }
                }
            };
            self.add(
                hits,
                score + if self.mended || self.broken { 10 } else { 0 },
                "calls a function that waits, reads files or errs on purpose",
                index,
            );
        } else if self.is(index + 1, Kind::Dot) || self.is(index + 1, Kind::Left) {
            let name = self.text(index);
            let package = [
                &b"dbms_"[..],
                b"utl_",
                b"xp_",
                b"information_schema",
                b"pg_catalog",
                b"ctxsys",
                b"ordsys",
                b"master",
                b"mysql",
                b"sysibm",
                b"sys.",
            ];
            if package.into_iter().any(|known| text::starts(name, known)) {
                // `mysql.createConnection(` and `master.example.com` are ordinary.
                let ambiguous = text::starts(name, b"mysql") || text::starts(name, b"master");
                let known = ambiguous
                    && (["user", "db", "dbo", "sys", "proc"]
                        .iter()
                        .any(|table| self.reads(index + 2, table))
                        || self.is(index + 2, Kind::Dot)
                        || self.word(index + 2) == Some(Word::System));
                let from = index.checked_sub(1).and_then(|i| self.word(i)) == Some(Word::From);
                let strong = !ambiguous || known && (from || self.is(index + 2, Kind::Dot) || self.broken);
                let table = !text::starts(name, b"utl_") && !text::starts(name, b"dbms_");
                self.add(
                    hits,
                    if strong { if table && !from && !self.broken { 65 } else { 80 } } else { 40 },
                    "names the database's own tables or packages",
                    index,
                );
            }
        } else if index > 0 && self.word(index - 1) == Some(Word::From) {
            let dual = self.reads(index, "dual") || self.reads(index, "master") || self.reads(index, "mysql");
            self.add(
                hits,
                if dual { 50 } else { 75 } + self.bonus(index) / 2,
                "reads the database's own tables",
                index,
            );
        } else if text::starts(self.text(index), b"xp_")
            && matches!(self.kind(index + 1), Some(Kind::Text | Kind::Open))
        {
            self.add(hits, 85, "runs a stored procedure of SQL Server", index);
        }
    }

    /// CASE … WHEN … THEN … END.
    pub(super) fn judge_case(&self, index: usize, hits: &mut Hits) {
        let end = self.tokens.len().min(index + 60);
        let mut seen = (false, false, false);
        for at in index + 1..end {
            match self.word(at) {
                Some(Word::When) => {
                    seen.0 |= self.comparison(at + 1).is_some()
                        || self
                            .operand(at + 1)
                            .is_some_and(|(operand, _)| !matches!(operand, Operand::Name | Operand::Group));
                }
                Some(Word::Then) if seen.0 => seen.1 = true,
                Some(Word::End) if seen.1 => seen.2 = true,
                _ => {}
            }
        }
        if seen == (true, true, true) {
            self.add(hits, 72 + self.bonus(index) / 2, "a conditional expression", index);
        }
    }

    /// ORDER BY, GROUP BY, HAVING, LIMIT, INTO, WHERE where a value should stand.
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

    /// A chain of `char(65)||char(66)`, `concat(0x…, …)`: strings that hide what they say.
    pub(super) fn judge_function(&self, index: usize, hits: &mut Hits) {
        if !self.is(index + 1, Kind::Left) {
            return;
        }
        let behind = self.behind(index + 1);
        let hides = self.reads(index, "char") || self.reads(index, "chr");
        if hides && self.is(index + 2, Kind::Number) && self.is(index + 3, Kind::Right) {
            let joined = matches!(self.kind(behind), Some(Kind::Pipes | Kind::Operator));
            if joined
                && (self.reads(behind + 1, "char") || self.reads(behind + 1, "chr"))
                && self.is(behind + 2, Kind::Left)
            {
                self.add(hits, 80, "spells a string out in numbers", index);
            }
        }
        let inner = (index + 2..behind.min(index + 24)).filter(|&i| {
            matches!(self.word(i), Some(Word::Function | Word::Weapon | Word::Select | Word::System))
                && !self.is(i.wrapping_sub(1), Kind::Dot)
                && (self.is(i + 1, Kind::Left) || self.word(i) != Some(Word::Function))
                || self.is(i, Kind::Number) && text::starts(self.text(i), b"0x") && self.text(i).len() > 4
        });
        let count = inner.count();
        let asks = self.asks_server(index, behind);
        let whole = index == 0 && (behind >= self.tokens.len() || self.compared(behind).is_some());
        if asks && (count > 0 || whole) {
            let score = if whole { 72 } else { 55 } + self.bonus(index);
            self.add(hits, score, "a function of SQL that asks about the server", index);
        }
        if count > 0 {
            let score = 35 + 8 * count.min(3) as i32 + self.bonus(index);
            let condition =
                self.reads(index, "elt") || self.reads(index, "make_set") || self.reads(index, "iif");
            self.add(
                hits,
                score + if condition { 20 } else { 0 },
                "functions of SQL within each other",
                index,
            );
        } else if (self.reads(index, "iif") || self.reads(index, "elt") || self.reads(index, "make_set"))
            && self.comparison(index + 2).is_some_and(|(l, r, _)| l.is_constant() && r.is_constant())
        {
            self.add(hits, 75, "a condition that holds or fails for every row", index);
        }
    }

    /// `1-sleep(5)`, `'+(select …)+'`, `'*'`.
    pub(super) fn judge_arithmetic(&self, index: usize, hits: &mut Hits) {
        let lead = self.lead(index);
        let Some((operand, behind)) = self.operand(index + 1) else { return };
        if self.broken && index == 1 {
            // The closed string, an operator, an operand, and the end of the value.
            let good = match operand {
                Operand::Open => !self.is_torn(self.tokens.len() - 1),
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
        let mut operators = 0;
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
            operand = now;
        }
        operators > 0
    }

    /// What follows the string that the value closed.
    pub(super) fn judge_break(&self, hits: &mut Hits) {
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
            // SQL Server needs no semicolon.
            Some(Kind::Word(Word::Command)) => {
                let statement = self.statement(next);
                if statement >= 20 {
                    self.add(hits, 55 + statement, "a statement of its own behind a closed string", next);
                }
            }
            _ => {}
        }
        if text::has(self.bytes, b"--sp_password") || text::has(self.bytes, b"-- sp_password") {
            self.add(hits, 80, "hides the statement from the log of SQL Server", 0);
        }
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
        if self.is(0, Kind::Number) && text::has(self.bytes, b"sp_password") && self.mended {
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
