//! OpenFGA, and what the tests tell it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::peers::{Peer, free_address};

/// A running OpenFGA with one store and one model.
#[derive(Debug)]
pub(crate) struct Fga {
    pub(crate) peer: Peer,
    pub(crate) store: String,
    pub(crate) model: String,
}

impl Fga {
    /// Starts it and gives it `model`, an authorization model of schema 1.1.
    pub(crate) fn start(program: &Path, model: &Value) -> Fga {
        let address = free_address();
        let mut command = Command::new(program);
        command.args(["run", "--playground-enabled=false", "--metrics-enabled=false", "--log-level", "warn"]);
        command.args(["--http-addr", &address.to_string(), "--grpc-addr", &free_address().to_string()]);
        let mut fga = Fga {
            peer: Peer::start(command, tempfile::tempdir().unwrap(), address),
            store: String::new(),
            model: String::new(),
        };
        fga.store = fga.post("/stores", &json!({ "name": "tests" }))["id"].as_str().unwrap().to_owned();
        let path = format!("/stores/{}/authorization-models", fga.store);
        fga.model = fga.post(&path, model)["authorization_model_id"].as_str().unwrap().to_owned();
        fga
    }

    /// Writes or deletes relationships, each `user relation object`, perhaps with the name of a condition.
    fn change(&self, what: &str, tuples: &[&str]) {
        let keys: Vec<Value> = tuples
            .iter()
            .map(|tuple| {
                let parts: Vec<&str> = tuple.split(' ').collect();
                let mut key = json!({ "user": parts[0], "relation": parts[1], "object": parts[2] });
                if let Some(condition) = parts.get(3) {
                    key["condition"] = json!({ "name": condition });
                }
                key
            })
            .collect();
        self.post(&format!("/stores/{}/write", self.store), &json!({ what: { "tuple_keys": keys } }));
    }

    pub(crate) fn allow(&self, tuples: &[&str]) {
        self.change("writes", tuples);
    }

    pub(crate) fn withdraw(&self, tuples: &[&str]) {
        self.change("deletes", tuples);
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let fields = [("Content-Type", "application/json")];
        let answer = Client::connect(self.peer.address)
            .call("POST", path, &fields, body.to_string().as_bytes())
            .unwrap();
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}
