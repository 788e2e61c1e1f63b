//! Compares versions as the audit of dependencies does, for a comparison with other programs: lines of `ECOSYSTEM`, a tab,
//! a version, a tab, a version on standard input; `<`, `=`, `>` or `?` a line on standard output.

use std::cmp::Ordering;
use std::io::{self, BufRead, BufWriter, Write as _};

use portcullis_audit::dependencies::version::{Ecosystem, compare};

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split('\t');
        let ecosystem = words.next().and_then(|name| name.parse::<Ecosystem>().ok());
        let order = match (ecosystem, words.next(), words.next()) {
            (Some(ecosystem), Some(a), Some(b)) => compare(ecosystem, a, b).ok(),
            _ => None,
        };
        let word = match order {
            Some(Ordering::Less) => "<",
            Some(Ordering::Equal) => "=",
            Some(Ordering::Greater) => ">",
            None => "?",
        };
        writeln!(out, "{word}")?;
    }
    out.flush()
}
