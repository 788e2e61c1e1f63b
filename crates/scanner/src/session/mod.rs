//! The state of one scan: who calls, what is known, what was made, what it has cost so far.

mod compose;
mod login;
mod oauth;
mod ownership;
mod record;
mod send;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{Api, Call, Operation};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::{Client, Exchange, Request, Target};
use crate::identity::{Actor, Credential, Identity, Origin, Role};
use crate::journal::Journal;
use crate::pool::Pool;
use crate::random::Random;
use crate::stub::{Stand, Stub};

pub(crate) use compose::{noun_before, typed};
pub(crate) use login::find_token;
pub(crate) use ownership::{Lists, Named};
pub(crate) use view::{holder, says_failure};

/// What a scan may do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API is. Nothing else is ever called.
    pub target: Target,
    /// In whose names to call.
    pub identities: Vec<Identity>,
    /// What random values are made from.
    pub seed: u64,
    /// Which of several scans of one API with one seed this is: what one put into it is not taken for what another did.
    pub run: u64,
    /// Only reads by method and by name.
    pub read_only: bool,
    /// Also removals and floods, on what the scan itself made.
    pub destructive: bool,
    /// Most requests.
    pub max_requests: u64,
    /// Most time.
    pub max_time: Duration,
    /// Most requests in a second; `None` for no bound.
    pub rate: Option<u32>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Most requests on their way at once, where the order of the answers does not matter.
    pub parallel: usize,
    /// Names of checks to run; empty for all.
    pub only: Vec<String>,
    /// Where every exchange is kept, so that a scan that was stopped goes on where it was.
    pub journal: Option<std::path::PathBuf>,
    /// `HOST:PORT` under which the target reaches the call-back listener; for a target on loopback one is
    /// chosen.
    pub callback: Option<String>,
    /// Fields that go with every call: what somebody in front of the target asks for.
    pub headers: Vec<(String, String)>,
    /// Stand-ins for upstreams, which the API is pointed at.
    pub stubs: Vec<Stub>,
    /// Whose certificates hold, for a target over TLS; those of this machine's authorities if nothing is said.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Options {
    /// Sensible bounds for one target.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            identities: Vec::new(),
            seed: 1,
            run: 0,
            read_only: false,
            destructive: false,
            max_requests: 5000,
            max_time: Duration::from_secs(900),
            rate: None,
            timeout: Duration::from_secs(10),
            parallel: 4,
            only: Vec::new(),
            journal: None,
            callback: None,
            headers: Vec::new(),
            stubs: Vec::new(),
            tls: None,
        }
    }
}

/// Why a scan ends before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request cap is reached.
    Requests,
    /// The time is over.
    Time,
    /// The target stopped answering.
    Gone,
}

impl Stop {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Requests => "the cap of requests was reached; raise --max-requests",
            Self::Time => "the time was over; raise --max-time",
            Self::Gone => "the target stopped answering; see whether it still runs",
        }
    }
}

/// What is going on, for whoever watches.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is being tested.
    pub doing: String,
    /// Steps done, of all.
    pub step: (usize, usize),
    /// Requests so far.
    pub requests: u64,
    /// Confirmed findings so far.
    pub confirmed: usize,
    /// The last of them: code and operation.
    pub last: Option<(&'static str, String)>,
}

/// How much of what arrived beside the answers the journal has.
#[derive(Debug, Default)]
struct Noted {
    /// Call-backs.
    called: usize,
    /// By stand-in: how often it had been asked.
    stands: BTreeMap<usize, u64>,
}

/// Something that the scan made in the API.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) operation: usize,
    pub(crate) actor: usize,
    pub(crate) call: Call,
    pub(crate) exchange: Rc<Exchange>,
    pub(crate) gone: bool,
}

/// A call that worked, and what it answered.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    pub(crate) call: Call,
    pub(crate) exchange: Rc<Exchange>,
}

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// What the API shows of an object, and the exchange in which it did.
pub(crate) type View = (Rc<Exchange>, serde_json::Map<String, Value>);

/// A protected read: the call, its answer to who may, and its refusal of who may not.
pub(crate) type Door = (Call, Rc<Exchange>, Rc<Exchange>);

pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) api: Rc<Api>,
    pub(crate) client: Client,
    pub(crate) random: Random,
    pub(crate) actors: Vec<Actor>,
    pub(crate) pool: Pool,
    /// What was made and is known to the checks.
    pub(crate) made: Vec<Made>,
    /// Whatever was made, known to a check or not.
    created: Vec<Made>,
    /// Answers from which values were learned, in order.
    pub(crate) history: Vec<Rc<Exchange>>,
    /// What the clean-up could not remove.
    pub(crate) left: Vec<String>,
    cleaning: bool,
    /// The log-in of the kind of accounts in whose names is called; `None` for the first kind.
    pub(crate) realm: Option<usize>,
    /// The operations that checks see; `None` for all.
    pub(crate) scope: Option<BTreeSet<usize>>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) baselines: BTreeMap<(usize, usize), Option<Baseline>>,
    pub(crate) callback: Option<crate::callback::Listener>,
    pub(crate) stands: Vec<Stand>,
    /// By operation and stand-in: the last call that had the API ask it, and in whose name.
    pub(crate) consumers: BTreeMap<(usize, usize), (usize, Call)>,
    journal: Option<Journal>,
    /// Where the call-back listener is or, in an earlier part of the same scan, was.
    pub(crate) listened: Option<String>,
    noted: Noted,
    /// Bytes of `history`, and of `errors`.
    remembered: usize,
    failed: usize,
    pub(crate) requests: u64,
    pub(crate) started: Instant,
    pub(crate) base: String,
    pub(crate) notes: Vec<String>,
    /// Text of server errors seen anywhere, with the operation.
    pub(crate) errors: Vec<(usize, Rc<Exchange>)>,
    /// Tokens that were given and are no longer the current ones.
    spent: Vec<(String, String)>,
    pub(crate) failures: u32,
    sent_at: Option<Instant>,
    reported: BTreeSet<String>,
    watch: &'a mut dyn FnMut(&Progress),
    pub(crate) step: (usize, usize),
    pub(crate) doing: String,
}

pub(crate) const ANONYMOUS: usize = 0;

impl<'a> Session<'a> {
    pub(crate) fn new(
        options: &'a Options,
        mut api: Api,
        watch: &'a mut dyn FnMut(&Progress),
    ) -> Result<Self, String> {
        api.mark_on_all();
        let on_all = api.operations.iter().filter(|op| op.on_all).map(Operation::label);
        let notes =
            on_all.map(|op| format!("{op} acts on all of a list at once: it was not called")).collect();
        let client = Client::new(&options.target, options.timeout, 8 << 20, options.tls.as_ref())?;
        let base =
            if options.target.base.is_empty() { api.base.clone() } else { options.target.base.clone() };
        let mut actors = vec![Actor::anonymous()];
        actors.extend(options.identities.iter().map(|identity| Actor::new(identity, Origin::Given)));
        Ok(Self {
            options,
            api: Rc::new(api),
            client,
            random: Random::new(options.seed),
            actors,
            pool: Pool::default(),
            made: Vec::new(),
            created: Vec::new(),
            history: Vec::new(),
            left: Vec::new(),
            cleaning: false,
            realm: None,
            scope: None,
            findings: Vec::new(),
            baselines: BTreeMap::new(),
            callback: None,
            stands: Vec::new(),
            consumers: BTreeMap::new(),
            journal: options.journal.as_deref().map(Journal::open).transpose()?,
            listened: None,
            noted: Noted::default(),
            remembered: 0,
            failed: 0,
            requests: 0,
            started: Instant::now(),
            base,
            notes,
            errors: Vec::new(),
            spent: Vec::new(),
            failures: 0,
            sent_at: None,
            reported: BTreeSet::new(),
            watch,
            step: (0, 1),
            doing: String::new(),
        })
    }

    /// Tokens, passwords and fixed credentials of all identities, with names for shell variables.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let mut secrets = Vec::new();
        for actor in self.actors.iter().skip(1) {
            let name: String = actor
                .name
                .to_uppercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            let fixed = match &actor.credential {
                Some(Credential::Headers(headers)) => headers.first().map(|(_, value)| value.clone()),
                _ => None,
            };
            let cookie = actor.cookies.first().map(|(_, value)| value.clone());
            let all = [
                ("TOKEN", actor.token.clone()),
                ("PASSWORD", actor.password.clone()),
                ("COOKIE", cookie),
                ("CREDENTIAL", fixed),
            ];
            secrets
                .extend(all.into_iter().filter_map(|(kind, value)| Some((format!("{name}_{kind}"), value?))));
        }
        secrets.extend(self.spent.iter().cloned());
        secrets
    }

    /// Tells whoever watches what is being done.
    pub(crate) fn doing(&mut self, what: &str) {
        what.clone_into(&mut self.doing);
        self.tell();
    }

    fn tell(&mut self) {
        let proved = || self.findings.iter().filter(|f| f.confidence == Confidence::Confirmed);
        let progress = Progress {
            doing: self.doing.clone(),
            step: self.step,
            requests: self.requests,
            confirmed: proved().count(),
            last: proved().next_back().map(|finding| (finding.kind.code, finding.operation.clone())),
        };
        (self.watch)(&progress);
    }

    /// The operation of an index.
    pub(crate) fn operation(&self, index: usize) -> &Operation {
        // Indices come from `operations()` of the same model and nowhere else.
        #[expect(clippy::indexing_slicing, reason = "indices come from this very list")]
        &self.api.operations[index]
    }

    pub(crate) fn actor(&self, index: usize) -> &Actor {
        #[expect(clippy::indexing_slicing, reason = "actors are only ever added")]
        &self.actors[index]
    }

    pub(crate) fn actor_mut(&mut self, index: usize) -> &mut Actor {
        #[expect(clippy::indexing_slicing, reason = "actors are only ever added")]
        &mut self.actors[index]
    }

    /// Indices of all operations that fit, of those that are looked at now.
    pub(crate) fn operations(&self, fit: impl Fn(&Operation) -> bool) -> Vec<usize> {
        let seen = |index: &usize| self.scope.as_ref().is_none_or(|scope| scope.contains(index));
        let all = self.api.operations.iter().enumerate();
        all.filter(|(index, op)| seen(index) && fit(op)).map(|(index, _)| index).collect()
    }

    /// Ordinary users in order, given ones first.
    pub(crate) fn users(&self) -> Vec<usize> {
        let user = |actor: &Actor| {
            actor.origin != Origin::Anonymous && actor.role == Role::User && actor.realm == self.realm
        };
        self.actors.iter().enumerate().filter(|(_, a)| user(a)).map(|(index, _)| index).collect()
    }

    /// Two ordinary users, if there are two.
    pub(crate) fn pair(&self) -> Option<(usize, usize)> {
        let users = self.users();
        Some((*users.first()?, *users.get(1)?))
    }

    /// The administrator of the accounts that are looked at now, if one was given.
    pub(crate) fn admin(&self) -> Option<usize> {
        self.actors.iter().position(|actor| actor.role == Role::Admin && actor.realm == self.realm)
    }

    /// Identities that the scan registered, with their passwords known.
    pub(crate) fn disposables(&self) -> Vec<usize> {
        let own = |actor: &Actor| {
            actor.origin == Origin::Disposable && actor.token.is_some() && actor.realm == self.realm
        };
        self.actors.iter().enumerate().filter(|(_, a)| own(a)).map(|(index, _)| index).collect()
    }

    /// Whether some ordinary user is logged in.
    pub(crate) fn first_user(&self) -> usize {
        self.users().first().copied().unwrap_or(ANONYMOUS)
    }

    /// The request of a call without any credential.
    pub(crate) fn request_of(&self, call: &Call) -> Request {
        self.operation(call.operation).request(call, &self.base)
    }

    /// Reports a finding, once for each kind, operation and parameter: the surest.
    pub(crate) fn report(&mut self, finding: Finding) {
        let key = finding.key();
        if self.reported.insert(key.clone()) {
            self.findings.push(finding);
        } else if let Some(known) = self.findings.iter_mut().find(|known| known.key() == key)
            && known.confidence < finding.confidence
        {
            *known = finding;
        }
        self.tell();
    }

    /// Whether this was reported before.
    pub(crate) fn has_reported(&self, kind: &Kind, operation: &str) -> bool {
        self.findings.iter().any(|finding| finding.kind.code == kind.code && finding.operation == operation)
    }

    /// Whether this was proved before.
    pub(crate) fn has_confirmed(&self, kind: &Kind, operation: &str) -> bool {
        self.findings.iter().any(|finding| {
            finding.confidence == Confidence::Confirmed
                && finding.kind.code == kind.code
                && finding.operation == operation
        })
    }

    /// A word that nobody else has used.
    pub(crate) fn marker(&mut self) -> String {
        // Whatever the run, what comes after is made from the same.
        let seed = self.random.next();
        format!("pc{}", Random::new(seed ^ self.options.run).word(10))
    }
}
