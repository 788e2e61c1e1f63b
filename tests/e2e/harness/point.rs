//! A decision point: answers as OpenFGA and as AuthZEN do, from a table.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It answers after this.
    Slow(Duration),
    /// It answers 500.
    Failing,
    /// It answers what is no JSON.
    Babbling,
}

#[derive(Debug)]
struct Table {
    /// `user relation object`.
    facts: BTreeSet<String>,
    mood: Mood,
    asked: Vec<(String, Value)>,
}

/// A running decision point.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) address: SocketAddr,
    table: Arc<Mutex<Table>>,
}

impl Point {
    pub(crate) fn start() -> Point {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let table = Table { facts: BTreeSet::new(), mood: Mood::Well, asked: Vec::new() };
        let point = Point { address: listener.local_addr().unwrap(), table: Arc::new(Mutex::new(table)) };
        let table = Arc::clone(&point.table);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let table = Arc::clone(&table);
                thread::spawn(move || serve(stream, &table));
            }
        });
        point
    }

    /// Each `user relation object`.
    pub(crate) fn allow(&self, facts: &[&str]) {
        self.table.lock().unwrap().facts.extend(facts.iter().map(|fact| (*fact).to_owned()));
    }

    pub(crate) fn withdraw(&self, fact: &str) {
        self.table.lock().unwrap().facts.remove(fact);
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.table.lock().unwrap().mood = mood;
    }

    /// The paths and bodies of what it was asked since the last call.
    pub(crate) fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.table.lock().unwrap().asked)
    }
}

fn serve(mut stream: TcpStream, table: &Mutex<Table>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field).unwrap_or(0) == 0 || field.trim().is_empty() {
                break;
            }
            if let Some((name, value)) =
                field.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("content-length"))
            {
                assert!(!name.is_empty());
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (mood, answer) = {
            let mut table = table.lock().unwrap();
            table.asked.push((path.clone(), body.clone()));
            (table.mood, answer(&table.facts, &path, &body))
        };
        let (status, text) = match mood {
            Mood::Failing => ("500 Internal Server Error", "{}".to_owned()),
            Mood::Babbling => ("200 OK", "<html>yes</html>".to_owned()),
            Mood::Slow(wait) => {
                thread::sleep(wait);
                ("200 OK", answer.to_string())
            }
            Mood::Well if answer.is_null() => ("404 Not Found", "{}".to_owned()),
            Mood::Well => ("200 OK", answer.to_string()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(facts: &BTreeSet<String>, path: &str, body: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tuple = |check: &Value| {
        let key = &check["tuple_key"];
        facts.contains(&format!("{} {} {}", text(&key["user"]), text(&key["relation"]), text(&key["object"])))
    };
    let evaluation = |one: &Value| {
        let entity = |name: &str| format!("{}:{}", text(&one[name]["type"]), text(&one[name]["id"]));
        facts.contains(&format!(
            "{} {} {}",
            entity("subject"),
            text(&one["action"]["name"]),
            entity("resource")
        ))
    };
    let all = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    match path.rsplit('/').next().unwrap_or_default() {
        "check" => json!({ "allowed": tuple(body) }),
        "batch-check" => {
            let result: serde_json::Map<String, Value> = all("checks")
                .iter()
                .map(|check| (text(&check["correlation_id"]), json!({ "allowed": tuple(check) })))
                .collect();
            json!({ "result": result })
        }
        "evaluation" => json!({ "decision": evaluation(body) }),
        "evaluations" => {
            let all: Vec<Value> =
                all("evaluations").iter().map(|one| json!({ "decision": evaluation(one) })).collect();
            json!({ "evaluations": all })
        }
        _ => Value::Null,
    }
}
