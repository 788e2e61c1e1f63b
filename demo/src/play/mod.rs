//! Plays ordinary users and attackers against an address: the bare shop, or Portcullis before it.
//!
//! What is played is data. `scenarios/ordinary.json` is a [`Scenario`], `scenarios/attacks.json` a [`Suite`]; the
//! fields of [`Step`] and [`Proof`] are their schema. Adding a case needs no code.

mod client;
pub mod har;
mod proof;
mod template;

pub use client::{Answer, Sent};
pub use proof::Proof;

use client::Client;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use template::Variables;

/// What the ordinary users do, in order, on a shop with fresh seed data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The steps; later ones use what earlier ones captured.
    pub steps: Vec<Step>,
}

/// The attacks, and the log-ins that they need.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Done once, before the attacks, to capture the tokens that they use.
    pub identities: Vec<Step>,
    /// The attacks. Those that send many requests come last, so that a limit on them leaves the others alone.
    pub attacks: Vec<Attack>,
}

/// One request, or several of a kind.
///
/// In `path`, `headers`, `json`, `body` and `raw` these are filled in: `${name}` for what was captured or handed in
/// (`api_key`, `app_id`, `app_key`, `authority`), `${n}` and `${n:04}` for the number of the repetition from 0 (with
/// four digits), `${repeat:TEXT:COUNT}` for a long text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique name.
    pub id: String,
    /// The contract's operation, for the reader and for the test of coverage.
    pub operation: Option<String>,
    /// The method; GET where none is given.
    #[serde(default = "get")]
    pub method: String,
    /// The target: path and query, sent as they stand.
    #[serde(default)]
    pub path: String,
    /// Whose token goes along, by the name that it was captured under.
    #[serde(rename = "as")]
    pub acting: Option<String>,
    /// Which credentials of the client application go along.
    #[serde(default)]
    pub app: App,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body; sets `Content-Type`.
    pub json: Option<Value>,
    /// A text body.
    pub body: Option<String>,
    /// A body of bytes, in hexadecimal.
    pub hex: Option<String>,
    /// The bytes of the whole request (or requests), instead of all the above: sent as they are, then everything
    /// that comes back is read.
    pub raw: Option<String>,
    /// The statuses that are right. None means any 2xx.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// What to keep of the answer: a name and a JSON pointer (RFC 6901) into the body.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    /// How often to send it; once where nothing is given.
    pub times: Option<u32>,
    /// The status that ends the repetition early.
    pub until: Option<u16>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Which credentials of the client application a step carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum App {
    /// `X-Api-Key`.
    #[default]
    Key,
    /// `X-App-Id` and `X-App-Key`.
    Pair,
    /// None.
    None,
}

/// One attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Unique name.
    pub id: String,
    /// `API1` to `API10`, `injection` or `protocol`.
    pub category: String,
    /// What the attacker does, in a few words.
    pub title: String,
    /// Steps that prepare it; each must be answered as its `expect` says.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// The attack itself.
    pub steps: Vec<Step>,
    /// What shows that it worked.
    pub proof: Proof,
    /// The statuses with which the fixed twin answers it. Empty: only what stands in front of an API can stop it.
    #[serde(default)]
    pub refused_with: Vec<u16>,
    /// True where hyper itself may refuse what the steps send, so that the weak twin may be safe as well.
    #[serde(default)]
    pub refused_by_server: bool,
}

/// The client applications' credentials, which the gateway knows.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `X-Api-Key` of a shop application.
    pub api_key: String,
    /// `X-App-Id` of a partner application.
    pub app_id: String,
    /// `X-App-Key` of the same.
    pub app_key: String,
}

impl Credentials {
    /// Made-up credentials, as good as any to a shop without a gateway.
    pub fn sample() -> Self {
        Self {
            api_key: "sample-storefront-key".to_owned(),
            app_id: "sample-partner".to_owned(),
            app_key: "sample-partner-key".to_owned(),
        }
    }
}

/// How a step or an attack ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The step was answered as expected; the attack's proof holds.
    Succeeded,
    /// It was refused: with this status, or with nothing at all; `code` is that of a problem document (RFC 9457).
    Stopped {
        /// The status of the last answer.
        status: Option<u16>,
        /// The `code` of an `application/problem+json` answer, or the last segment of its `type`.
        code: Option<String>,
    },
    /// It could not be tried, or was answered in an unexpected way.
    Failed(String),
}

/// What became of one step or attack.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The step's or attack's name.
    pub id: String,
    /// `ordinary`, or the attack's category.
    pub category: String,
    /// What it is about.
    pub title: String,
    /// The request line of the last request.
    pub request: String,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// How it ended.
    pub ending: Ending,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// When the text is no JSON or has a field that the schema does not know; says where.
    pub fn parse(text: &str) -> io::Result<Self> {
        serde_json::from_str(text).map_err(io::Error::other)
    }
}

impl Suite {
    /// Reads a suite.
    ///
    /// # Errors
    /// When the text is no JSON or has a field that the schema does not know; says where.
    pub fn parse(text: &str) -> io::Result<Self> {
        serde_json::from_str(text).map_err(io::Error::other)
    }
}

/// Plays the steps of ordinary users against `base`. Every user has a loopback address of their own where the
/// system has such addresses.
pub async fn play(steps: &[Step], base: SocketAddr, credentials: &Credentials) -> Vec<Outcome> {
    let mut player = Player::new(base, credentials);
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        player.client.source = Some([127, 0, 1, player.seat(step.acting.as_deref().unwrap_or_default())]);
        let tried = player.step(step).await;
        let title = step.operation.clone().unwrap_or_default();
        outcomes
            .push(outcome(&step.id, "ordinary", title, tried.as_ref(), |answers| judge_step(step, answers)));
    }
    outcomes
}

/// Plays the attacks against `base`, after the log-ins that they need. Every attack has a loopback address of its
/// own where the system has such addresses.
pub async fn attack(suite: &Suite, base: SocketAddr, credentials: &Credentials) -> Vec<Outcome> {
    let mut player = Player::new(base, credentials);
    let mut outcomes = Vec::with_capacity(suite.attacks.len());
    for (seat, step) in (1..).zip(&suite.identities) {
        player.client.source = Some([127, 0, 3, seat]);
        // An identity that cannot be had shows in every attack that names it.
        let _ = player.step(step).await;
    }
    for (seat, attack) in (1..=u8::MAX).cycle().zip(&suite.attacks) {
        player.client.source = Some([127, 0, 2, seat]);
        outcomes.push(player.attack(attack).await);
    }
    outcomes
}

type Tried = Result<(Sent, Vec<Answer>), String>;

struct Player {
    client: Client,
    variables: Variables,
    seats: Vec<String>,
}

impl Player {
    fn new(base: SocketAddr, credentials: &Credentials) -> Self {
        let mut variables = Variables::default();
        variables.set("authority", base.to_string());
        variables.set("api_key", credentials.api_key.clone());
        variables.set("app_id", credentials.app_id.clone());
        variables.set("app_key", credentials.app_key.clone());
        Self { client: Client { base, source: None }, variables, seats: Vec::new() }
    }

    /// A small number for each name, the same every time.
    fn seat(&mut self, name: &str) -> u8 {
        let known = self.seats.iter().position(|seat| seat == name);
        let place = known.unwrap_or_else(|| {
            self.seats.push(name.to_owned());
            self.seats.len() - 1
        });
        u8::try_from(place % 250).unwrap_or_default() + 1
    }

    /// Sends a step as often as it says; keeps what it captures of the last answer.
    async fn step(&mut self, step: &Step) -> Tried {
        let mut answers = Vec::new();
        let mut sent = None;
        for n in 0..step.times.unwrap_or(1) {
            let request = self.variables.request(step, n)?;
            let answer = self.client.send(&request).await?;
            let done = step.until == Some(answer.status);
            sent = Some(request);
            answers.push(answer);
            if done {
                break;
            }
        }
        let (Some(sent), Some(last)) = (sent, answers.last()) else {
            return Err(format!("step `{}` sends nothing: `times` must be at least 1", step.id));
        };
        for (name, pointer) in &step.capture {
            match last.json().as_ref().and_then(|body| body.pointer(pointer)) {
                Some(Value::String(text)) => self.variables.set(name, text.clone()),
                Some(value) => self.variables.set(name, value.to_string()),
                None => {}
            }
        }
        Ok((sent, answers))
    }

    async fn attack(&mut self, attack: &Attack) -> Outcome {
        let title = || attack.title.clone();
        for step in &attack.setup {
            let tried = self.step(step).await;
            let prepared =
                outcome(&attack.id, &attack.category, title(), tried.as_ref(), |a| judge_step(step, a));
            if prepared.ending != Ending::Succeeded {
                return prepared;
            }
        }
        let mut all: Tried = Err("the attack has no steps".to_owned());
        let mut before = Vec::new();
        for step in &attack.steps {
            all = self.step(step).await.map(|(sent, answers)| {
                before.extend(answers);
                (sent, before.clone())
            });
            if all.is_err() {
                break;
            }
        }
        outcome(&attack.id, &attack.category, title(), all.as_ref(), |answers| {
            match attack.proof.holds(answers) {
                true => Ending::Succeeded,
                false => stopped(answers),
            }
        })
    }
}

fn outcome(
    id: &str,
    category: &str,
    title: String,
    tried: Result<&(Sent, Vec<Answer>), &String>,
    judge: impl FnOnce(&[Answer]) -> Ending,
) -> Outcome {
    let (request, status, ending) = match tried {
        Ok((sent, answers)) => {
            (sent.line(), answers.last().and_then(|answer| answer.got_status()), judge(answers))
        }
        Err(why) => (String::new(), None, Ending::Failed(why.clone())),
    };
    Outcome { id: id.to_owned(), category: category.to_owned(), title, request, status, ending }
}

fn judge_step(step: &Step, answers: &[Answer]) -> Ending {
    let right =
        |status: u16| if step.expect.is_empty() { status / 100 == 2 } else { step.expect.contains(&status) };
    let Some(wrong) = answers.iter().find(|answer| !right(answer.status)) else { return Ending::Succeeded };
    if wrong.problem().is_some() {
        return stopped(answers);
    }
    let body: String = wrong.text().chars().take(300).collect();
    Ending::Failed(format!("step `{}`: expected {:?}, got {}: {body}", step.id, step.expect, wrong.status))
}

fn stopped(answers: &[Answer]) -> Ending {
    let last = answers.last();
    Ending::Stopped {
        status: last.and_then(|answer| answer.got_status()),
        code: last.and_then(Answer::problem),
    }
}
