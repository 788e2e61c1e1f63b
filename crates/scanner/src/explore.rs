//! Getting to know the API: who can log in, what there is to read, what can be made.

use serde_json::Value;

use crate::api::{Danger, Operation};
use crate::identity::{Actor, Credential, Identity, Origin, Role};
use crate::session::{ANONYMOUS, Outcome, Session};
use crate::values::Taste;
use crate::words;

impl Session<'_> {
    /// Logs the given identities in; those that cannot are left out, with a note.
    pub(crate) fn log_in_all(&mut self) -> Outcome {
        self.doing("log in");
        for index in 1..self.actors.len() {
            if !self.log_in(index)? {
                let name = self.actor(index).name.clone();
                self.notes.push(format!(
                    "identity `{name}` could not log in; see its name and password, or give a log-in recipe or a token"
                ));
            }
        }
        // Who has no credential is nobody.
        let usable = |actor: &Actor| {
            actor.origin == Origin::Anonymous || !actor.headers.is_empty() || !actor.cookies.is_empty()
        };
        self.actors.retain(usable);
        Ok(())
    }

    /// Registers an identity that may be altered. `extra` goes into the registration's body.
    pub(crate) fn register(&mut self, extra: &serde_json::Map<String, Value>) -> Outcome<Option<usize>> {
        let Some(login) = self.login_for(ANONYMOUS) else { return Ok(None) };
        let mut registers = self.operations(Operation::is_register);
        registers.sort_by_key(|index| {
            let operation = self.operation(*index);
            let named = operation.says(&["register", "signup", "registration", "join"]);
            (!named, operation.segments().count())
        });
        for index in registers {
            for taste in [Taste::Marked, Taste::Least] {
                let mut call = self.compose(index, ANONYMOUS, taste);
                // A registration that asks who one is or what one may do is not given that.
                if let Some(body) = call.members_mut() {
                    for (name, value) in body.iter_mut() {
                        let plain = value.is_string() && !words::has(name, &["role", "roles"]);
                        if plain
                            && words::is_login_name(name)
                            && !words::contains(name, &["mail", "phone", "mobile"])
                        {
                            *value = Value::String(format!("pc{}", self.random.word(8)));
                        }
                    }
                }
                let call = call.with_members(extra);
                let exchange = self.call(ANONYMOUS, &call)?;
                if !exchange.response.ok() || crate::session::says_failure(&exchange.response) {
                    continue;
                }
                let body = call.members().cloned().unwrap_or_default();
                let member = |wanted: &dyn Fn(&str) -> bool| {
                    body.iter()
                        .filter(|(name, _)| wanted(name))
                        .find_map(|(_, value)| value.as_str())
                        .map(str::to_owned)
                };
                let Some(password) = member(&words::is_password) else { continue };
                // The log-in may ask for the name or for the address.
                let asked: Vec<String> =
                    self.operation(login).body_members().into_iter().map(|(name, _)| name).collect();
                let shared = member(&|name| words::is_login_name(name) && asked.iter().any(|a| a == name));
                let mail = member(&|name| words::contains(name, &["mail"]));
                let other = member(&|name| words::is_login_name(name));
                let mut names: Vec<String> = [shared, mail, other].into_iter().flatten().collect();
                names.dedup();
                for username in names {
                    let count = self.actors.iter().filter(|a| a.origin == Origin::Disposable).count() + 1;
                    let identity = Identity {
                        name: format!("disposable-{count}"),
                        role: Role::User,
                        credential: Credential::Password { username, password: password.clone() },
                    };
                    let realm = self.realm;
                    self.actors.push(Actor { realm, ..Actor::new(&identity, Origin::Disposable) });
                    let actor = self.actors.len() - 1;
                    if self.log_in(actor)? {
                        self.note_answer(index, actor, &exchange, true);
                        self.made.push(crate::session::Made {
                            operation: index,
                            actor,
                            call,
                            exchange,
                            gone: false,
                        });
                        return Ok(Some(actor));
                    }
                    self.actors.pop();
                }
            }
        }
        Ok(None)
    }

    /// Registers what is missing to have two users and two more that may be altered.
    pub(crate) fn register_missing(&mut self) -> Outcome {
        if self.options.read_only {
            return Ok(());
        }
        self.doing("register disposable identities");
        let wanted = 2_usize.max(4_usize.saturating_sub(self.users().len()));
        for _ in 0..wanted {
            if self.register(&serde_json::Map::new())?.is_none() {
                break;
            }
        }
        if self.pair().is_none() {
            self.notes.push(
                "fewer than two users: whether one reaches what belongs to another could not be tested; give two \
                 with --identity"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Reads all that can be read without naming an object, in everybody's name.
    pub(crate) fn read_lists(&mut self) -> Outcome {
        self.doing("read what is there");
        let lists = self.operations(|op| {
            op.is_get()
                && op.danger() == Danger::Read
                && op.path_names().iter().all(|name| words::contains(name, &["version"]))
        });
        let users = self.users().into_iter().take(if self.admin().is_some() { 2 } else { 3 });
        let actors: Vec<usize> = [ANONYMOUS].into_iter().chain(users).chain(self.admin()).collect();
        for index in lists {
            for actor in &actors {
                self.baselines.remove(&(index, *actor));
                self.baseline(index, *actor)?;
            }
        }
        // What a log-in answered belongs to who logged in.
        for actor in 1..self.actors.len() {
            if let Some(greeting) = self.actor(actor).greeting.clone() {
                self.pool.observe(actor, &["user".to_owned()], &greeting, "", true);
            }
        }
        Ok(())
    }

    /// Makes one object of each kind for each of the first two users.
    pub(crate) fn make_objects(&mut self) -> Outcome {
        if self.options.read_only {
            return Ok(());
        }
        self.doing("make objects");
        let mut makers = self.operations(|op| {
            (op.method == "POST" || op.method == "PUT" && op.path_names().is_empty() && !op.alters_account())
                && op.danger() == Danger::Write
                && !op.is_login()
                && !op.is_register()
                && !op.is_reset_request()
                && !op.is_reset_confirm()
                && !op.path_says(&["admin"])
        });
        // Those that need no object first: others may need what they make.
        makers.sort_by_key(|index| {
            let operation = self.operation(*index);
            (
                operation.path_names().len(),
                operation.body_members().iter().filter(|(n, _)| words::is_id(n)).count(),
            )
        });
        let users: Vec<usize> = self.users().into_iter().take(2).collect();
        for index in makers {
            for actor in &users {
                self.baseline(index, *actor)?;
            }
        }
        Ok(())
    }

    /// Reads the objects that each of the first two users knows.
    pub(crate) fn read_objects(&mut self) -> Outcome {
        self.doing("read objects");
        let readers =
            self.operations(|op| op.is_get() && op.danger() == Danger::Read && !op.path_names().is_empty());
        let users: Vec<usize> = self.users().into_iter().take(2).collect();
        for index in readers {
            for actor in &users {
                self.baseline(index, *actor)?;
            }
            if users.is_empty() {
                self.baseline(index, ANONYMOUS)?;
            }
        }
        Ok(())
    }

    /// A GraphQL endpoint that the document leaves out, where it tells its schema: its queries and mutations are tested like
    /// any other operation.
    pub(crate) fn find_graphql(&mut self) -> Outcome {
        let known =
            |op: &Operation| op.segments().last().is_some_and(|last| matches!(last, "graphql" | "gql"));
        if !self.options.only.is_empty() || self.api.operations.iter().any(known) {
            return Ok(());
        }
        self.doing("look for GraphQL");
        for path in ["/graphql", "/api/graphql"] {
            for actor in [ANONYMOUS, self.first_user()] {
                let mut request = crate::http::Request::new("POST", &format!("{}{path}", self.base));
                request.set_header("content-type", "application/json");
                request.body = serde_json::json!({ "query": crate::input::graphql::INTROSPECTION })
                    .to_string()
                    .into_bytes();
                let exchange = self.send(actor, request)?;
                let Some(answer) = exchange.response.json() else { break };
                let Ok(found) = crate::input::graphql::read(&answer) else { continue };
                let mut api = (*self.api).clone();
                api.operations.extend(found.operations.into_iter().map(|mut operation| {
                    path.clone_into(&mut operation.path);
                    operation
                }));
                self.api = std::rc::Rc::new(api);
                self.notes.push(format!(
                    "{path} is GraphQL and in no document: its operations were tested as well"
                ));
                return Ok(());
            }
        }
        Ok(())
    }

    /// The whole of it.
    pub(crate) fn explore(&mut self) -> Outcome {
        self.log_in_all()?;
        self.register_missing()?;
        self.find_graphql()?;
        self.look_around()
    }

    /// Reads what is there, makes what can be made, and reads again.
    pub(crate) fn look_around(&mut self) -> Outcome {
        self.read_lists()?;
        self.make_objects()?;
        self.read_lists()?;
        self.read_objects()
    }

    /// A call of an operation on an object that the scan made: the last path parameter is the object's id.
    pub(crate) fn call_for(
        &mut self,
        index: usize,
        made: &crate::session::Made,
        noun: &str,
    ) -> Option<crate::api::Call> {
        let mut call = self.compose(index, made.actor, Taste::Example);
        let operation = self.operation(index);
        let name = last_parameter(operation);
        let schema =
            operation.params.iter().find(|p| p.name == name).map(|p| p.schema.clone()).unwrap_or_default();
        let mut local = crate::pool::Pool::default();
        let nouns = [noun.to_owned()];
        if let Some(answer) = made.exchange.response.json() {
            local.observe(made.actor, &nouns, &answer, "", true);
        }
        if let Some(body) = &made.call.body {
            local.observe(made.actor, &nouns, body, "", true);
        }
        let value =
            local.fitting(made.actor, &name, noun, &schema).first().map(|entry| entry.value.clone())?;
        for (parent, value) in &made.call.path {
            call.path.insert(parent.clone(), value.clone());
        }
        call.path.insert(name, value);
        Some(call)
    }
}

/// The name of the last path parameter.
pub(crate) fn last_parameter(operation: &Operation) -> String {
    operation.path_names().last().cloned().unwrap_or_default()
}

/// The id that an answer gives its object.
pub(crate) fn id_of(answer: &Value, noun: &str) -> Option<String> {
    named_id_of(answer, noun).map(|(_, id)| id)
}

/// The same, with the member's name.
pub(crate) fn named_id_of(answer: &Value, noun: &str) -> Option<(String, String)> {
    let own = format!("{noun}id");
    crate::pool::leaves(answer).into_iter().find_map(|(pointer, value)| {
        let name = crate::pool::last_name(&pointer);
        let flat = words::flat(name);
        (matches!(flat.as_str(), "id" | "uuid") || flat == own)
            .then(|| (name.to_owned(), crate::api::text(value)))
    })
}
