//! The shop's state: one in-memory database, who is logged in, and how often something was tried.

use crate::Mode;
use crate::exchange::{Fault, Request};
use crate::seed;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, ToSql};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A database row as the JSON object it would be.
pub(crate) type Row = Map<String, Value>;

/// One shop with its own data; as many as wanted live in one process.
#[derive(Debug)]
pub struct Shop {
    pub(crate) mode: Mode,
    db: Mutex<Connection>,
    /// SHA-256 of a session token -> its user and end (fixed twin only; the weak one keeps nothing).
    pub(crate) sessions: Mutex<HashMap<[u8; 32], (i64, Instant)>>,
    attempts: Mutex<HashMap<String, (u32, Instant)>>,
    /// Where the shop's partners and its cloud's metadata service listen.
    pub(crate) backstage: OnceLock<SocketAddr>,
    /// Where the shipping partner is, if not backstage; always on this machine's loopback.
    pub(crate) partner: OnceLock<SocketAddr>,
}

impl Shop {
    /// A shop with its seed data.
    ///
    /// # Errors
    /// When the in-memory database or the system's randomness cannot be had.
    pub fn new(mode: Mode) -> std::io::Result<Self> {
        let mut db = Connection::open_in_memory().map_err(std::io::Error::other)?;
        seed::fill(&mut db, mode)?;
        Ok(Self {
            mode,
            db: Mutex::new(db),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            backstage: OnceLock::new(),
            partner: OnceLock::new(),
        })
    }

    /// Whether this is the fixed twin.
    pub(crate) fn fixed(&self) -> bool {
        self.mode == Mode::Fixed
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rows of a query.
    pub(crate) fn rows(&self, sql: &str, params: impl Params) -> Result<Vec<Row>, Fault> {
        let read = || -> rusqlite::Result<Vec<Row>> {
            let db = self.db();
            let mut statement = db.prepare(sql)?;
            let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
            let mut cursor = statement.query(params)?;
            let mut rows = Vec::new();
            while let Some(row) = cursor.next()? {
                let mut object = Row::new();
                for (index, name) in names.iter().enumerate() {
                    object.insert(name.clone(), to_json(row.get_ref(index)?));
                }
                rows.push(object);
            }
            Ok(rows)
        };
        read().map_err(|error| sql_fault(&error, sql))
    }

    /// The first row of a query.
    pub(crate) fn row(&self, sql: &str, params: impl Params) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, params)?.into_iter().next())
    }

    /// A statement that changes rows; how many.
    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Result<usize, Fault> {
        self.db().execute(sql, params).map_err(|error| sql_fault(&error, sql))
    }

    /// An insert; the new row's number.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> Result<i64, Fault> {
        let db = self.db();
        db.execute(sql, params).map_err(|error| sql_fault(&error, sql))?;
        Ok(db.last_insert_rowid())
    }

    /// A stored picture.
    pub(crate) fn blob(&self, sql: &str, id: &dyn ToSql) -> Result<Option<(String, Vec<u8>)>, Fault> {
        match self.db().query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))) {
            Ok(found) => Ok(Some(found)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(sql_fault(&error, sql)),
        }
    }

    /// The shop's own calendar: a minute passes with everything that is written. It makes recordings repeatable.
    pub(crate) fn now(&self) -> Result<String, Fault> {
        self.run("UPDATE calendar SET minutes = minutes + 1", [])?;
        let row = self.row(
            "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', '2026-01-15 09:00:00', minutes || ' minutes') AS now FROM calendar",
            [],
        )?;
        Ok(row.map(|row| text(&row, "now").to_owned()).unwrap_or_default())
    }

    /// Counts one attempt under `key`; refuses it when `most` were made within a minute. The weak twin never does.
    pub(crate) fn attempt(&self, key: String, most: u32) -> Result<(), Fault> {
        if !self.fixed() {
            return Ok(());
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        attempts.retain(|_, (_, since)| now.duration_since(*since) < Duration::from_secs(60));
        let (count, _) = attempts.entry(key).or_insert((0, now));
        *count += 1;
        if *count > most { Err(Fault::too_many()) } else { Ok(()) }
    }

    /// Forgets the attempts under `key`, after a success.
    pub(crate) fn forget_attempts(&self, key: &str) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn sql_fault(error: &rusqlite::Error, sql: &str) -> Fault {
    Fault::broken(format!("SQLite error: {error} in: {sql}"))
}

fn to_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

/// A text column; empty where it is none.
pub(crate) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A number column; 0 where it is none.
pub(crate) fn number(row: &Row, column: &str) -> i64 {
    row.get(column).and_then(Value::as_i64).unwrap_or_default()
}

/// The row without the columns that only the shop should know. The weak twin shows them all (API3).
pub(crate) fn public(shop: &Shop, mut row: Row, secret: &[&str]) -> Value {
    if shop.fixed() {
        row.retain(|column, _| !secret.contains(&column.as_str()));
    }
    Value::Object(row)
}

/// An id from the path.
pub(crate) fn id(segment: &str, what: &str) -> Result<i64, Fault> {
    segment
        .parse()
        .ok()
        .filter(|id| *id > 0)
        .ok_or_else(|| Fault::bad(format!("a {what} id is a whole number")))
}

/// One page of a list, as `limit` and `offset` ask. The weak twin takes any limit (API4).
pub(crate) fn page(request: &Request, items: Vec<Value>) -> Result<Value, Fault> {
    let limit = request.number("limit", 20, (1, 100))?;
    let offset = request.number("offset", 0, (0, 10_000))?;
    let total = items.len();
    let skip = usize::try_from(offset).unwrap_or_default();
    let take = usize::try_from(limit).unwrap_or_default();
    let items: Vec<Value> = items.into_iter().skip(skip).take(take).collect();
    Ok(serde_json::json!({ "items": items, "total": total, "limit": limit, "offset": offset }))
}
