//! In whose name calls go: credentials as a person gives them, and the state of each identity during a scan.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Request, Target};

/// What an identity may do, as far as the person who started the scan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An ordinary user.
    User,
    /// An administrator: may use operations that users may not.
    Admin,
}

/// How an identity proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Header fields that go with every call.
    Headers(Vec<(String, String)>),
    /// A name and a password for the API's own log-in, which the document describes.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A log-in spelled out.
    Recipe(Recipe),
    /// OAuth 2.0 client credentials.
    Client(ClientCredentials),
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Where the token endpoint is, if that is not the target.
    pub at: Option<Target>,
    /// The token endpoint's path.
    pub path: String,
    /// The client's id.
    pub id: String,
    /// The client's secret.
    pub secret: String,
    /// What else is asked for: `scope`, `resource` (RFC 8707), `audience`.
    pub more: Vec<(String, String)>,
}

/// A log-in: what is posted where, and what of the answer is the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The method, `POST` as a rule.
    pub method: String,
    /// The path on the target.
    pub path: String,
    /// The body.
    pub body: Value,
    /// Whether the body goes as a form; as JSON otherwise.
    pub form: bool,
    /// The token against forged requests that the log-in asks for, if it does.
    pub csrf: Option<Csrf>,
    /// The JSON pointer of the token; without one it is looked for, and cookies are kept in any case.
    pub token: Option<String>,
    /// The header that carries the token.
    pub header: String,
    /// What stands before the token: `Bearer ` or nothing.
    pub prefix: String,
}

/// A token against cross-site request forgery: where it is had, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csrf {
    /// The path on the target whose answer has the token.
    pub path: String,
    /// The cookie that holds it; without one, or where it is not set, the answer's body is searched.
    pub cookie: Option<String>,
    /// The member of the log-in's body that takes it.
    pub field: Option<String>,
    /// The header that takes it, at the log-in and, from the cookie, at every later call.
    pub header: Option<String>,
}

/// An identity as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name in the report.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// How it proves itself.
    pub credential: Credential,
}

impl Identity {
    /// Reads `NAME=KIND:REST` of the command line: `alice=login:USER:PASSWORD`, `alice=bearer:TOKEN`,
    /// `alice=basic:USER:PASSWORD`, `alice=header:X-Key: VALUE`, `alice=cookie:NAME=VALUE`,
    /// `app=client:/token:ID:SECRET`. A name of `admin` or `root`, or one that ends in `:admin`, is an
    /// administrator's.
    ///
    /// # Errors
    /// If the text has none of these forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected `NAME=login:USER:PASSWORD`, `NAME=bearer:TOKEN`, `NAME=basic:USER:PASSWORD`, \
                        `NAME=header:FIELD: VALUE`, `NAME=cookie:NAME=VALUE` or `NAME=client:PATH:ID:SECRET`";
        // The text holds a secret: an error names the identity only.
        let (name, rest) =
            text.split_once('=').ok_or_else(|| format!("an identity has no `=`; {expected}"))?;
        let wrong = || format!("the identity `{name}` cannot be read; {expected}");
        let (kind, value) = rest.split_once(':').ok_or_else(wrong)?;
        let pair = || value.split_once(':').ok_or_else(wrong);
        let credential = match kind {
            "login" => {
                let (username, password) = pair()?;
                Credential::Password { username: username.to_owned(), password: password.to_owned() }
            }
            "bearer" => Credential::Headers(vec![("Authorization".to_owned(), format!("Bearer {value}"))]),
            "basic" => {
                let encoded = data_encoding::BASE64.encode(value.as_bytes());
                Credential::Headers(vec![("Authorization".to_owned(), format!("Basic {encoded}"))])
            }
            "header" => {
                let (field, value) = pair()?;
                Credential::Headers(vec![(field.trim().to_owned(), value.trim().to_owned())])
            }
            "cookie" => Credential::Headers(vec![("Cookie".to_owned(), value.to_owned())]),
            "client" => {
                let mut parts = value.splitn(3, ':').map(str::to_owned);
                let (Some(path), Some(id), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
                    return Err(wrong());
                };
                Credential::Client(ClientCredentials { at: None, path, id, secret, more: Vec::new() })
            }
            _ => return Err(wrong()),
        };
        let (name, role) = match name.strip_suffix(":admin") {
            Some(name) => (name, Role::Admin),
            None if matches!(name, "admin" | "root" | "administrator") => (name, Role::Admin),
            None => (name, Role::User),
        };
        Ok(Self { name: name.to_owned(), role, credential })
    }
}

impl Identity {
    /// Reads a file of identities, YAML or JSON: names to `username` and `password`, `headers`, `login`
    /// (`path`, `body` or `form`, `token`, `header`, `prefix`, `csrf`) or `client` (`path` or `url`, `id`, `secret`, and what the
    /// token endpoint asks for beside them: `scope`, `resource`, `audience`); `role: admin` for an administrator.
    ///
    /// # Errors
    /// If the file is neither, or an identity has none of these.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Self>, String> {
        let document =
            portcullis_openapi::source::Document::parse(name, bytes).map_err(|error| error.to_string())?;
        let root = document.root().to_json();
        let members = root.get("identities").unwrap_or(&root).as_object();
        let members =
            members.ok_or_else(|| format!("`{name}` has no identities; expected names with credentials"))?;
        members.iter().map(|(name, value)| Self::from_value(name, value)).collect()
    }

    /// The place beside the target that it has its token from.
    pub fn elsewhere(&self) -> Option<&Target> {
        match &self.credential {
            Credential::Client(client) => client.at.as_ref(),
            _ => None,
        }
    }

    /// An identity as it is written under its name in a file.
    ///
    /// # Errors
    /// If it has no way to prove itself.
    pub fn from_value(name: &str, value: &Value) -> Result<Self, String> {
        let text = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).map(str::to_owned);
        let missing = |what: &str| format!("the identity `{name}` has no `{what}`");
        let credential = if let Some(login) = value.get("login") {
            let form = login.get("form").cloned();
            let csrf = login.get("csrf").map(|csrf| -> Result<Csrf, String> {
                Ok(Csrf {
                    path: text(csrf, "path").ok_or_else(|| missing("login.csrf.path"))?,
                    cookie: text(csrf, "cookie"),
                    field: text(csrf, "field"),
                    header: text(csrf, "header"),
                })
            });
            Credential::Recipe(Recipe {
                method: text(login, "method").unwrap_or_else(|| "POST".to_owned()).to_uppercase(),
                path: text(login, "path").ok_or_else(|| missing("login.path"))?,
                form: form.is_some(),
                body: form.or_else(|| login.get("body").cloned()).ok_or_else(|| missing("login.body"))?,
                csrf: csrf.transpose()?,
                token: text(login, "token"),
                header: text(login, "header").unwrap_or_else(|| "Authorization".to_owned()),
                prefix: text(login, "prefix").unwrap_or_else(|| "Bearer ".to_owned()),
            })
        } else if let Some(client) = value.get("client") {
            let at = text(client, "url").map(|url| Target::parse(&url)).transpose()?;
            let path = at.as_ref().map(|at| at.base.clone()).or_else(|| text(client, "path"));
            let asked = client.as_object().into_iter().flatten();
            let asked = asked.filter(|(name, _)| !matches!(name.as_str(), "url" | "path" | "id" | "secret"));
            Credential::Client(ClientCredentials {
                at,
                path: path.ok_or_else(|| missing("client.path"))?,
                id: text(client, "id").ok_or_else(|| missing("client.id"))?,
                secret: text(client, "secret").ok_or_else(|| missing("client.secret"))?,
                more: asked.map(|(name, value)| (name.clone(), crate::api::text(value))).collect(),
            })
        } else if let Some(headers) = value.get("headers").and_then(Value::as_object) {
            let pairs = headers.iter().map(|(name, value)| (name.clone(), crate::api::text(value)));
            Credential::Headers(pairs.collect())
        } else {
            Credential::Password {
                username: text(value, "username").ok_or_else(|| missing("username"))?,
                password: text(value, "password").ok_or_else(|| missing("password"))?,
            }
        };
        let role = if text(value, "role").as_deref() == Some("admin") { Role::Admin } else { Role::User };
        Ok(Self { name: name.to_owned(), role, credential })
    }
}

/// Where an identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Anonymous,
    /// Given by the person who started the scan: never altered.
    Given,
    /// Registered by the scan: may be altered.
    Disposable,
}

/// An identity during a scan, with a cookie jar of its own.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) origin: Origin,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) credential: Option<Credential>,
    /// The token that the log-in gave, without prefix.
    pub(crate) token: Option<String>,
    /// When it was given.
    pub(crate) since: Option<Instant>,
    /// How long the log-in said that it lives.
    pub(crate) life: Option<Duration>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// What its log-in answered.
    pub(crate) greeting: Option<Value>,
    /// The log-in of its kind of accounts, where that is not the first kind.
    pub(crate) realm: Option<usize>,
}

impl Actor {
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            role: Role::User,
            origin: Origin::Anonymous,
            headers: Vec::new(),
            cookies: Vec::new(),
            credential: None,
            token: None,
            since: None,
            life: None,
            username: None,
            password: None,
            greeting: None,
            realm: None,
        }
    }

    pub(crate) fn new(identity: &Identity, origin: Origin) -> Self {
        let mut actor = Self {
            name: identity.name.clone(),
            role: identity.role,
            origin,
            credential: Some(identity.credential.clone()),
            ..Self::anonymous()
        };
        match &identity.credential {
            Credential::Headers(headers) => {
                actor.headers.clone_from(headers);
                actor.token = headers.iter().find_map(|(name, value)| {
                    let bearer = value.strip_prefix("Bearer ").map(str::to_owned);
                    bearer.filter(|_| name.eq_ignore_ascii_case("authorization"))
                });
            }
            Credential::Password { username, password } => {
                actor.username = Some(username.clone());
                actor.password = Some(password.clone());
            }
            Credential::Recipe(recipe) => {
                let members = || recipe.body.as_object().into_iter().flatten();
                let found = |wanted: fn(&str) -> bool| {
                    members()
                        .find(|(name, _)| wanted(name))
                        .and_then(|(_, value)| value.as_str())
                        .map(str::to_owned)
                };
                actor.password = found(crate::words::is_password);
                actor.username = found(crate::words::is_login_name);
            }
            Credential::Client(_) => {}
        }
        actor
    }

    /// Whether it can log in anew.
    pub(crate) fn can_log_in(&self) -> bool {
        matches!(
            &self.credential,
            Some(Credential::Password { .. } | Credential::Recipe(_) | Credential::Client(_))
        )
    }

    /// Puts its credentials on a request.
    pub(crate) fn dress(&self, request: &mut Request) {
        for (name, value) in &self.headers {
            if request.header(name).is_none() {
                request.headers.push((name.clone(), value.clone()));
            }
        }
        if !self.cookies.is_empty() {
            let own: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut line = own.join("; ");
            if let Some(more) = request.header("cookie") {
                line = format!("{line}; {more}");
            }
            request.set_header("Cookie", &line);
        }
    }

    /// Keeps the cookies of an answer.
    pub(crate) fn keep_cookies(&mut self, headers: &[(String, String)]) {
        for (_, value) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = value.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                let name = name.trim().to_owned();
                self.cookies.retain(|(known, _)| *known != name);
                if !value.is_empty() {
                    self.cookies.push((name, value.trim().to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_a_file() {
        let text = b"alice: { login: { path: /in, body: { user: a, password: b }, token: /t } }\nroot: { role: admin, headers: { X-Key: k } }";
        let all = Identity::read("x.yaml", text).unwrap();
        assert!(
            matches!(&all[0].credential, Credential::Recipe(recipe) if recipe.path == "/in" && recipe.prefix == "Bearer ")
        );
        assert_eq!(all[1].role, Role::Admin);
        let text = b"app: { client: { url: 'http://127.0.0.1:9/token', id: a, secret: b, scope: orders } }";
        let app = Identity::read("x.yaml", text).unwrap().remove(0);
        assert_eq!(app.elsewhere().map(|at| (at.port, at.base.as_str())), Some((9, "/token")));
        assert!(
            matches!(&app.credential, Credential::Client(client) if client.more == [("scope".into(), "orders".into())])
        );
        assert!(
            Identity::read("x.yaml", b"alice: { login: { path: /in } }").unwrap_err().contains("login.body")
        );
    }

    #[test]
    fn identities_of_the_command_line() {
        let alice = Identity::parse("alice=login:al:a:b").unwrap();
        let password = Credential::Password { username: "al".into(), password: "a:b".into() };
        assert_eq!((alice.role, alice.credential), (Role::User, password));
        assert_eq!(Identity::parse("eve:admin=bearer:x").unwrap().role, Role::Admin);
        let error = Identity::parse("bob=hunter2").unwrap_err();
        assert!(error.contains("bob") && !error.contains("hunter2"), "{error}");
    }
}
