use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const NOW: u64 = 1_800_000_000;

fn key(credential: &str, kind: CredentialKind) -> KeyRow {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(credential.bytes().cycle()) {
        *to = from;
    }
    digest[31] = credential.len() as u8;
    KeyRow {
        credential: credential.to_owned(),
        consumer: "shop app \u{fc}".to_owned(),
        kind,
        digest,
        scopes: vec!["orders:read".to_owned(), "orders:write".to_owned()],
        networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        not_before: Some(NOW - 5),
        expires: Some(NOW + 1_000),
        revoked_at: None,
        created_at: NOW,
        label: "the shop's".to_owned(),
    }
}

fn replacement(credential: &str, old_until: u64) -> Replacement {
    let digest = key(credential, CredentialKind::AppKey).digest;
    Replacement { credential: credential.to_owned(), digest, expires: Some(NOW + 5_000), old_until }
}

/// What every store must do. `open` opens the same store once more, as another process would.
fn suite(open: &dyn Fn() -> Box<dyn KeyStore>) {
    use CredentialKind::{ApiKey, AppKey};
    let (store, other) = (open(), open());
    let (mut here, mut there) = (Changes::default(), Changes::default());
    let mut look = |expected: bool| {
        assert_eq!(here.changed(&*store).unwrap(), expected);
        assert_eq!(there.changed(&*other).unwrap(), expected);
        assert!(!here.changed(&*store).unwrap() && !there.changed(&*other).unwrap());
    };
    look(true);
    assert!(store.list().unwrap().is_empty());

    let first = key("key-1", ApiKey);
    store.create(&first, NOW).unwrap();
    look(true);
    assert_eq!(other.get("key-1").unwrap().as_ref(), Some(&first));
    assert_eq!(other.get("key-2").unwrap(), None);
    assert!(matches!(other.create(&first, NOW), Err(KeyError::Exists(_))));
    let twin = KeyRow { credential: "twin".into(), ..first.clone() };
    assert!(matches!(other.create(&twin, NOW), Err(KeyError::SameSecret(_))));
    look(false);

    // App Keys: five that hold, however many that do not.
    for i in 0..5 {
        other.create(&key(&format!("app-{i}"), AppKey), NOW).unwrap();
    }
    look(true);
    assert!(matches!(store.create(&key("app-5", AppKey), NOW), Err(KeyError::TooMany(_))));
    assert_eq!(store.get("app-5").unwrap(), None);
    store.create(&KeyRow { consumer: "another".into(), ..key("app-6", AppKey) }, NOW).unwrap();
    store.create(&key("api-too", ApiKey), NOW).unwrap();
    assert!(matches!(store.rotate("app-0", &replacement("app-7", NOW + 60), NOW), Err(KeyError::TooMany(_))));
    assert_eq!(store.get("app-0").unwrap().unwrap().expires, Some(NOW + 1_000), "nothing half-done");
    let new = store.rotate("app-0", &replacement("app-7", NOW), NOW).unwrap();
    assert_eq!((new.consumer.as_str(), new.scopes.len(), new.networks.len()), ("shop app \u{fc}", 2, 2));
    assert_eq!((new.not_before, new.expires, new.created_at), (None, Some(NOW + 5_000), NOW));
    assert_eq!(other.get("app-0").unwrap().unwrap().revoked_at, Some(NOW));
    assert_eq!(other.get("app-7").unwrap(), Some(new));
    look(true);

    // Rotating with an overlap: the old one holds a while, never longer than before.
    let revoked = other.revoke("app-1", NOW + 1).unwrap();
    assert_eq!(revoked.revoked_at, Some(NOW + 1));
    look(true);
    assert_eq!(store.revoke("app-1", NOW + 9).unwrap().revoked_at, Some(NOW + 1), "once is enough");
    look(false);
    store.rotate("app-2", &replacement("app-8", NOW + 60), NOW).unwrap();
    let old = store.get("app-2").unwrap().unwrap();
    assert_eq!((old.expires, old.revoked_at), (Some(NOW + 60), None));
    assert!(old.is_active(NOW + 59) && !old.is_active(NOW + 60));
    store.revoke("app-3", NOW).unwrap();
    store.rotate("app-4", &replacement("app-9", NOW + 9_999), NOW).unwrap();
    assert_eq!(store.get("app-4").unwrap().unwrap().expires, Some(NOW + 1_000));
    for gone in ["app-1", "app-3"] {
        let again = store.rotate(gone, &replacement("app-10", NOW), NOW);
        assert!(matches!(again, Err(KeyError::NotActive(_))));
    }
    assert!(matches!(store.revoke("nobody", NOW), Err(KeyError::Unknown(_))));
    assert!(matches!(store.rotate("nobody", &replacement("x", NOW), NOW), Err(KeyError::Unknown(_))));
    look(true);

    // Import: all or nothing, and twice is once.
    let imports = [key("in-1", ApiKey), key("in-2", ApiKey)];
    assert_eq!(store.import(&imports, NOW).unwrap(), Imported { added: 2, unchanged: 0 });
    look(true);
    assert_eq!(other.import(&imports, NOW).unwrap(), Imported { added: 0, unchanged: 2 });
    look(false);
    let clash = [key("in-3", ApiKey), KeyRow { label: "other".into(), ..key("in-1", ApiKey) }];
    assert!(matches!(store.import(&clash, NOW), Err(KeyError::Exists(_))));
    let crowd: Vec<_> =
        (0..6).map(|i| KeyRow { consumer: "crowd".into(), ..key(&format!("crowd-{i}"), AppKey) }).collect();
    assert!(matches!(store.import(&crowd, NOW), Err(KeyError::TooMany(_))));
    assert_eq!((store.get("in-3").unwrap(), store.get("crowd-0").unwrap()), (None, None));
    look(false);

    // Hostile contents are kept as they are, or refused.
    let nasty = KeyRow {
        consumer: "'; DROP TABLE key; --".into(),
        label: "%s \u{1f512} \"".into(),
        scopes: vec!["a\"b'c\\d".into()],
        ..key("nasty", ApiKey)
    };
    store.create(&nasty, NOW).unwrap();
    assert_eq!(other.get("nasty").unwrap(), Some(nasty.clone()));
    for bad in [
        KeyRow { credential: String::new(), ..nasty.clone() },
        KeyRow { credential: "a b".into(), ..nasty.clone() },
        KeyRow { credential: "x".repeat(129), ..nasty.clone() },
        KeyRow { consumer: String::new(), ..nasty.clone() },
        KeyRow { consumer: "a\nb".into(), ..nasty.clone() },
        KeyRow { consumer: " a".into(), ..nasty.clone() },
        KeyRow { scopes: vec!["a b".into()], ..nasty.clone() },
        KeyRow { scopes: vec![String::new()], ..nasty.clone() },
        KeyRow { label: "x".repeat(257), ..nasty.clone() },
        KeyRow { expires: Some(u64::MAX), ..nasty.clone() },
        KeyRow { not_before: Some(9), expires: Some(9), ..nasty.clone() },
    ] {
        assert!(matches!(store.create(&bad, NOW), Err(KeyError::Invalid { .. })), "{bad:?}");
        assert!(store.import(&[bad], NOW).is_err());
    }

    // Sorted, whole, and the same from both sides.
    let list = store.list().unwrap();
    assert_eq!(list, other.list().unwrap());
    assert!(list.is_sorted_by_key(|key| (key.consumer.clone(), key.created_at, key.credential.clone())));
    let json = serde_json::to_string(&list).unwrap();
    assert_eq!(serde_json::from_str::<Vec<KeyRow>>(&json).unwrap(), list);
}

/// Two that write at once lose nothing.
fn crowd(open: &(dyn Fn() -> Box<dyn KeyStore> + Sync)) {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let store = open();
                for i in 0..5 {
                    store.create(&key(&format!("t{thread}-{i}"), CredentialKind::ApiKey), NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(open().list().unwrap().len(), 40);
}

#[test]
fn sqlite_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/keys.db");
    suite(&|| Box::new(SqliteKeys::open(&path).unwrap()));
    for round in 0..5 {
        let crowded = folder.path().join(format!("crowd-{round}.db"));
        crowd(&|| Box::new(SqliteKeys::open(&crowded).unwrap()));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn sqlite_files_keep_their_modes_and_strangers_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let store = SqliteKeys::open(&path).unwrap();
    store.create(&key("a", CredentialKind::ApiKey), NOW).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = SqliteKeys::open(&path).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(SqliteKeys::open(&path).unwrap().list().unwrap().len(), 1);

    // A newer version's, another program's, and no database at all.
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    assert!(SqliteKeys::open(&path).unwrap_err().to_string().contains("newer Portcullis"));
    let foreign = folder.path().join("foreign.db");
    fs::write(&foreign, "").unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o600)).unwrap();
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(SqliteKeys::open(&foreign).unwrap_err().to_string().contains("another program"));
    let text = folder.path().join("text.db");
    fs::write(&text, "hello, this is no database at all, though long enough").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(SqliteKeys::open(&text).is_err());
    assert!(SqliteKeys::open(folder.path()).is_err());
}

#[test]
fn a_restored_file_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("keys.db"), folder.path().join("backup.db"));
    let store = SqliteKeys::open(&path).unwrap();
    store.create(&key("new", CredentialKind::ApiKey), NOW).unwrap();
    SqliteKeys::open(&backup).unwrap().create(&key("old", CredentialKind::ApiKey), NOW).unwrap();
    let mut changes = Changes::default();
    assert!(changes.changed(&store).unwrap() && !changes.changed(&store).unwrap());
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("keys.db{ending}")));
    }
    fs::rename(&backup, &path).unwrap();
    assert!(changes.changed(&store).unwrap() && !changes.changed(&store).unwrap());
    assert!(store.get("new").unwrap().is_none() && store.get("old").unwrap().is_some());
    fs::remove_file(&path).unwrap();
    assert!(store.version().is_err() && store.list().is_err() && store.revoke("old", NOW).is_err());
}

#[test]
fn damaged_rows_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    let store = SqliteKeys::open(&path).unwrap();
    store.create(&key("a", CredentialKind::ApiKey), NOW).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute("UPDATE key SET networks = '[\"x\"]'", []).unwrap();
    // A key whose networks cannot be read must not hold from everywhere.
    let error = store.list().unwrap_err().to_string();
    assert!(error.contains("networks of `a`"), "{error}");
}

#[test]
fn peppers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/pepper");
    assert!(read_pepper(&path).unwrap().is_none());
    assert_eq!(create_pepper(&path, [7; 32]).unwrap(), [7; 32]);
    assert_eq!(create_pepper(&path, [8; 32]).unwrap(), [7; 32], "the first one stays");
    assert_eq!(read_pepper(&path).unwrap(), Some([7; 32]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left aside");
    for mode in [0o640, 0o604, 0o620, 0o700 | 0o001] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(read_pepper(&path), Err(PepperError::Exposed(_))));
        assert!(matches!(create_pepper(&path, [9; 32]), Err(PepperError::Exposed(_))));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for bad in [
        "",
        "07",
        &"0".repeat(63),
        &"0".repeat(65),
        &"g".repeat(64),
        &"\u{fc}".repeat(32),
        &"0".repeat(9_999),
    ] {
        fs::write(&path, bad).unwrap();
        assert!(matches!(read_pepper(&path), Err(PepperError::Malformed(_))), "{bad}");
    }
    fs::write(&path, [0xff; 64]).unwrap();
    assert!(matches!(read_pepper(&path), Err(PepperError::Malformed(_))));
    assert!(matches!(read_pepper(folder.path()), Err(PepperError::Malformed(_))));
}

#[test]
fn many_that_make_a_pepper_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pepper");
    // Racing threads share the name written aside, as processes do not: some may fail, none may differ.
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|i| {
                scope.spawn({
                    let path = &path;
                    move || create_pepper(path, [i; 32])
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    });
    let holds = read_pepper(&path).unwrap().unwrap();
    assert!(!made.is_empty() && made.iter().all(|pepper| *pepper == holds));
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let text = format!("{:?} {:?}", key("a", CredentialKind::ApiKey), replacement("b", 0));
    assert!(!text.contains("digest"));
}
