//! Calls: functions and tables that only an attacker names, conditions as expressions, spelt-out strings.

use super::expression::Operand;
use super::token::Kind;
use super::words::Word;
use super::{Lead, Reading};
use crate::text;
use crate::verdict::Hits;

impl Reading<'_> {
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
                        // `1-sleep(5)`: the value, the call, and nothing else.
                        let whole = self.lead(index.wrapping_sub(1)) == Lead::Number
                            && self.ends(self.behind(index + 1));
                        if whole { 32 } else { 5 + lead }
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
            let nested = index == 0 && count > 1;
            let score = if whole || nested { 72 } else { 55 } + self.bonus(index);
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
}
