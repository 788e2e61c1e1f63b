//! Keys in SQLite: one file that several processes share.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_engine::CredentialKind;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, named_params,
};

use super::{Imported, KeyError, KeyRow, KeyStore, MAX_APP_KEYS, Replacement, check};

/// A key store in an SQLite file (write-ahead log, every change synced). Other processes' changes are seen at
/// once.
pub struct SqliteKeys {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    connection: Connection,
    /// `PRAGMA data_version` and the version it stood for: the first tells other connections' changes cheaply.
    seen: Option<(i64, u64)>,
    /// Device and inode of the file that is open.
    file: (u64, u64),
    /// How often the file was replaced under its name.
    replaced: u64,
}

/// Marks the file as ours: `PCKY`.
const APPLICATION: i64 = 0x5043_4b59;

/// What leads from each `user_version` to the next.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE version (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL) STRICT;
    INSERT INTO version VALUES (1, 1);
    CREATE TABLE consumer (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE key (
        credential TEXT NOT NULL PRIMARY KEY,
        consumer INTEGER NOT NULL REFERENCES consumer (id),
        kind TEXT NOT NULL CHECK (kind IN ('api-key', 'app-key')),
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        scopes TEXT NOT NULL,
        networks TEXT NOT NULL,
        not_before INTEGER,
        expires INTEGER,
        revoked_at INTEGER,
        created_at INTEGER NOT NULL,
        label TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX key_consumer ON key (consumer);
"];

/// How long a writer waits for others.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries again while another process has the file to itself. While a file becomes one with a write-ahead log, SQLite
/// says that it is busy without asking its busy handler.
fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == ErrorCode::DatabaseBusy && began.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

impl SqliteKeys {
    /// Opens the store at `path`; makes it, with mode 0600, and its folder, with mode 0700, where they are
    /// missing.
    ///
    /// # Errors
    /// Where the file can be read or written by others, is no key store, was made by a newer version, or SQLite
    /// fails.
    pub fn open(path: impl Into<PathBuf>) -> Result<SqliteKeys, KeyError> {
        let path = path.into();
        let (connection, file) = Self::connect(&path).map_err(|error| failed(&path, error))?;
        Ok(SqliteKeys { path, inner: Mutex::new(Inner { connection, seen: None, file, replaced: 0 }) })
    }

    fn connect(path: &Path) -> Result<(Connection, (u64, u64)), String> {
        let io = |error: std::io::Error| format!("cannot be opened: {error}");
        let sql = |error: rusqlite::Error| format!("cannot be opened: {error}");
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        // Made here, not by SQLite: it would take the umask's word on who may read it. Its companions (write-ahead
        // log, shared memory) inherit the mode.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let metadata = file.and_then(|file| file.metadata()).map_err(io)?;
        if metadata.mode() & 0o077 != 0 {
            return Err("can be read or written by others: `chmod 600` it".to_owned());
        }
        let mut connection = Connection::open(path).map_err(sql)?;
        connection.busy_timeout(PATIENCE).map_err(sql)?;
        connection.pragma_update(None, "trusted_schema", false).map_err(sql)?;
        // In this order: one that another process is just making gets its tables and its mark together.
        let count = || connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
        let tables: i64 = patiently(count).map_err(sql)?;
        let application = || connection.pragma_query_value(None, "application_id", |row| row.get(0));
        let application: i64 = patiently(application).map_err(sql)?;
        if application != APPLICATION && (application != 0 || tables != 0) {
            return Err("is the database of another program: name another file".to_owned());
        }
        patiently(|| connection.pragma_update(None, "journal_mode", "wal")).map_err(sql)?;
        connection.pragma_update(None, "synchronous", "full").map_err(sql)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(sql)?;
        migrate(&mut connection)?;
        Ok((connection, (metadata.dev(), metadata.ino())))
    }

    /// Opens the file anew where another one has its name by now, as after a backup was restored.
    fn keep_up(&self, inner: &mut Inner) -> Result<(), KeyError> {
        let metadata = std::fs::metadata(&self.path)
            .map_err(|error| failed(&self.path, format!("is gone: {error}; restore it from a backup")))?;
        if (metadata.dev(), metadata.ino()) != inner.file {
            let (connection, file) = Self::connect(&self.path).map_err(|error| failed(&self.path, error))?;
            *inner = Inner { connection, seen: None, file, replaced: inner.replaced + 1 };
        }
        Ok(())
    }

    /// Runs `change` in a transaction that nobody else writes beside, and counts the version up where it did
    /// something.
    fn change<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<Done<T>, Fault>,
    ) -> Result<T, KeyError> {
        let mut inner = self.inner.lock();
        self.keep_up(&mut inner)?;
        // This connection's own changes do not move `data_version`.
        inner.seen = None;
        let result = (|| {
            let transaction = inner.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = match change(&transaction)? {
                Done::Nothing(value) => return Ok(value),
                Done::Changed(value) => value,
            };
            transaction.execute("UPDATE version SET version = version + 1", [])?;
            transaction.commit()?;
            Ok(value)
        })();
        result.map_err(|fault| self.error(fault))
    }

    fn read<T>(&self, read: impl FnOnce(&mut Inner) -> Result<T, Fault>) -> Result<T, KeyError> {
        let mut inner = self.inner.lock();
        self.keep_up(&mut inner)?;
        read(&mut inner).map_err(|fault| self.error(fault))
    }

    fn error(&self, fault: Fault) -> KeyError {
        match fault {
            Fault::Key(error) => error,
            Fault::Sql(error) => failed(&self.path, format!("failed: {error}")),
            Fault::Row(what) => {
                failed(&self.path, format!("holds a damaged row: {what}; restore it from a backup"))
            }
        }
    }
}

/// What a change did.
enum Done<T> {
    Changed(T),
    Nothing(T),
}

enum Fault {
    Key(KeyError),
    Sql(rusqlite::Error),
    Row(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Fault {
        Fault::Key(error)
    }
}

fn failed(path: &Path, error: String) -> KeyError {
    KeyError::Store { place: path.display().to_string(), error }
}

fn migrate(connection: &mut Connection) -> Result<(), String> {
    let sql = |error: rusqlite::Error| format!("cannot be brought up to date: {error}");
    // Asked again inside the transaction: another process may be at it too.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let version: usize =
        transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)?;
    let Some(missing) = MIGRATIONS.get(version..) else {
        return Err(format!(
            "has version {version}, made by a newer Portcullis; this one knows up to {}",
            MIGRATIONS.len()
        ));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        transaction.execute_batch(migration).map_err(sql)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(sql)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len()).map_err(sql)?;
    transaction.commit().map_err(sql)
}

const COLUMNS: &str = "SELECT credential, consumer.name, kind, digest, scopes, networks, not_before, expires, revoked_at, \
                       key.created_at, label FROM key JOIN consumer ON consumer.id = key.consumer";

impl KeyStore for SqliteKeys {
    fn create(&self, key: &KeyRow, now: u64) -> Result<(), KeyError> {
        check(key)?;
        self.change(|transaction| {
            insert(transaction, key, now)?;
            few_enough(transaction, &key.consumer, now)?;
            Ok(Done::Changed(()))
        })
    }

    fn list(&self) -> Result<Vec<KeyRow>, KeyError> {
        self.read(|inner| {
            let order = "ORDER BY consumer.name, key.created_at, credential";
            let mut statement = inner.connection.prepare_cached(&format!("{COLUMNS} {order}"))?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(key_of(row)?);
            }
            Ok(keys)
        })
    }

    fn get(&self, credential: &str) -> Result<Option<KeyRow>, KeyError> {
        self.read(|inner| find(&inner.connection, credential))
    }

    fn rotate(&self, credential: &str, new: &Replacement, now: u64) -> Result<KeyRow, KeyError> {
        self.change(|transaction| {
            let old =
                find(transaction, credential)?.ok_or_else(|| KeyError::Unknown(credential.to_owned()))?;
            if !old.is_active(now) {
                return Err(KeyError::NotActive(old.credential).into());
            }
            if new.old_until <= now {
                set(transaction, credential, "revoked_at", now)?;
            } else if old.expires.is_none_or(|expires| expires > new.old_until) {
                set(transaction, credential, "expires", new.old_until)?;
            }
            let key = KeyRow {
                credential: new.credential.clone(),
                digest: new.digest,
                not_before: None,
                expires: new.expires,
                created_at: now,
                ..old
            };
            check(&key)?;
            insert(transaction, &key, now)?;
            few_enough(transaction, &key.consumer, now)?;
            Ok(Done::Changed(key))
        })
    }

    fn revoke(&self, credential: &str, now: u64) -> Result<KeyRow, KeyError> {
        self.change(|transaction| {
            let key =
                find(transaction, credential)?.ok_or_else(|| KeyError::Unknown(credential.to_owned()))?;
            if key.revoked_at.is_some() {
                return Ok(Done::Nothing(key));
            }
            set(transaction, credential, "revoked_at", now)?;
            Ok(Done::Changed(KeyRow { revoked_at: Some(now), ..key }))
        })
    }

    fn import(&self, keys: &[KeyRow], now: u64) -> Result<Imported, KeyError> {
        keys.iter().try_for_each(check)?;
        self.change(|transaction| {
            let mut imported = Imported::default();
            for key in keys {
                match find(transaction, &key.credential)? {
                    Some(present) if present == *key => imported.unchanged += 1,
                    Some(_) => return Err(KeyError::Exists(key.credential.clone()).into()),
                    None => {
                        insert(transaction, key, now)?;
                        imported.added += 1;
                    }
                }
            }
            for key in keys {
                few_enough(transaction, &key.consumer, now)?;
            }
            Ok(if imported.added > 0 { Done::Changed(imported) } else { Done::Nothing(imported) })
        })
    }

    fn version(&self) -> Result<u64, KeyError> {
        self.read(|inner| {
            let Inner { connection, seen, replaced, .. } = inner;
            // A restored file may have any version, also the same.
            let replaced = *replaced << 40;
            let data: i64 =
                connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            if let Some((at, version)) = *seen
                && at == data
            {
                return Ok(replaced | version);
            }
            let mut statement = connection.prepare_cached("SELECT version FROM version")?;
            let version = statement.query_row([], |row| row.get::<_, u64>(0))? & ((1 << 40) - 1);
            // Asked before the version was read: a change in between is only seen twice.
            *seen = Some((data, version));
            Ok(replaced | version)
        })
    }
}

impl fmt::Debug for SqliteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteKeys").field("path", &self.path).finish_non_exhaustive()
    }
}

fn find(connection: &Connection, credential: &str) -> Result<Option<KeyRow>, Fault> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE credential = ?1"))?;
    let mut rows = statement.query([credential])?;
    rows.next()?.map(key_of).transpose()
}

fn key_of(row: &Row<'_>) -> Result<KeyRow, Fault> {
    let credential: String = row.get(0)?;
    let damaged = |what: &str| Fault::Row(format!("{what} of `{credential}`"));
    let kind = match row.get_ref(2)?.as_str() {
        Ok("api-key") => CredentialKind::ApiKey,
        Ok("app-key") => CredentialKind::AppKey,
        _ => return Err(damaged("kind")),
    };
    let digest = row.get_ref(3)?.as_blob().ok().and_then(|blob| blob.try_into().ok());
    let json = |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
    Ok(KeyRow {
        consumer: row.get(1)?,
        kind,
        digest: digest.ok_or_else(|| damaged("digest"))?,
        scopes: json(4).and_then(|text| serde_json::from_str(text).ok()).ok_or_else(|| damaged("scopes"))?,
        networks: json(5)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| damaged("networks"))?,
        not_before: row.get(6)?,
        expires: row.get(7)?,
        revoked_at: row.get(8)?,
        created_at: row.get(9)?,
        label: row.get(10)?,
        credential,
    })
}

fn insert(transaction: &Transaction<'_>, key: &KeyRow, now: u64) -> Result<(), Fault> {
    let taken = |sql: &str, value: &dyn rusqlite::ToSql| -> rusqlite::Result<bool> {
        Ok(transaction.prepare_cached(sql)?.query_row([value], |_| Ok(())).optional()?.is_some())
    };
    if taken("SELECT 1 FROM key WHERE credential = ?1", &key.credential)? {
        return Err(KeyError::Exists(key.credential.clone()).into());
    }
    if taken("SELECT 1 FROM key WHERE digest = ?1", &key.digest)? {
        return Err(KeyError::SameSecret(key.credential.clone()).into());
    }
    transaction
        .prepare_cached(
            "INSERT INTO consumer (name, created_at) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        )?
        .execute((&key.consumer, now))?;
    let kind = match key.kind {
        CredentialKind::ApiKey => "api-key",
        CredentialKind::AppKey => "app-key",
        CredentialKind::AccessToken | CredentialKind::Certificate | CredentialKind::Session => {
            return Err(Fault::Row(format!("`{}` is no key of the gateway's own", key.credential)));
        }
    };
    let json = |error: serde_json::Error| Fault::Row(error.to_string());
    transaction
        .prepare_cached(
            "INSERT INTO key (credential, consumer, kind, digest, scopes, networks, not_before, expires, revoked_at, \
             created_at, label) VALUES (:credential, (SELECT id FROM consumer WHERE name = :consumer), :kind, :digest, \
             :scopes, :networks, :not_before, :expires, :revoked_at, :created_at, :label)",
        )?
        .execute(named_params! {
            ":credential": key.credential,
            ":consumer": key.consumer,
            ":kind": kind,
            ":digest": key.digest,
            ":scopes": serde_json::to_string(&key.scopes).map_err(json)?,
            ":networks": serde_json::to_string(&key.networks).map_err(json)?,
            ":not_before": key.not_before,
            ":expires": key.expires,
            ":revoked_at": key.revoked_at,
            ":created_at": key.created_at,
            ":label": key.label,
        })?;
    Ok(())
}

fn set(
    transaction: &Transaction<'_>,
    credential: &str,
    column: &'static str,
    value: u64,
) -> Result<(), Fault> {
    let sql = format!("UPDATE key SET {column} = ?2 WHERE credential = ?1");
    transaction.prepare_cached(&sql)?.execute((credential, value))?;
    Ok(())
}

/// Whether an App ID keeps to its most keys.
fn few_enough(transaction: &Transaction<'_>, consumer: &str, now: u64) -> Result<(), Fault> {
    let sql = "SELECT count(*) FROM key JOIN consumer ON consumer.id = key.consumer \
               WHERE consumer.name = ?1 AND kind = 'app-key' AND revoked_at IS NULL AND (expires IS NULL OR expires > ?2)";
    let count: usize = transaction.prepare_cached(sql)?.query_row((consumer, now), |row| row.get(0))?;
    if count > MAX_APP_KEYS {
        return Err(KeyError::TooMany(consumer.to_owned()).into());
    }
    Ok(())
}
