//! May they: scopes, roles, groups and consumers by operation; and whose object it is.
//!
//! **What it does.** Lets only credentials through that carry all of `scopes`, or one of `any_scope`, whose user has one
//! of `roles` and is in one of `groups`, and that belong to one of `consumers`. The scopes of a key are given when it is
//! made (`portcullis keys create --scope`); those of a token, its roles and groups are what its issuer says.
//! With `default: deny`, an operation that needs a credential and has no rule of its own is closed.
//!
//! **Whose object.** `bind` ties parameters to the caller: `path.userId: token.sub` lets a user name nobody but
//! themselves. The same name elsewhere in the request (in the query, in the body) must not say anything else. `owner`
//! looks at the object itself: the field at the JSON pointer `response` must be the caller, or the answer is withheld as
//! if there were none; where the field is missing, too. In a pointer, `*` is every element of an array, and all of them
//! must be the caller's. Before a write the object is read once (GET on the same path, or on `read`) in the caller's
//! name, so that nobody changes or deletes what is not theirs.
//!
//! **The attack.** An ordinary key used on an administrator's operation; a user who counts up order numbers and reads
//! what belongs to others. OWASP API1:2023, API5:2023; CWE-285, CWE-639, CWE-862.
//!
//! ```yaml
//! policies:
//!   - match: { tag: admin }
//!     authorize: { roles: [admin], consumers: [back-office] }
//!   - match: { path: "/users/{userId}/**" }
//!     authorize: { bind: { path.userId: token.sub } }
//!   - match: { path: "/orders/{orderId}" }
//!     authorize: { owner: { response: /customer/id, is: token.sub } }
//! ```
//!
//! What a parameter or field is compared with: `token.CLAIM` (a name, or a pointer as in `token./tenant/id`; of a list,
//! any element) or `consumer`.
//!
//! Without configuration nothing is asked for beyond the credential itself.

mod bind;
mod caller;
mod owner;

use std::collections::BTreeMap;

use portcullis_engine::{Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use portcullis_openapi::Security;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use caller::Caller;

use crate::callers::{Callers, Lack};
use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    SCOPE_MISSING = "scope-missing" 403 Api5 862 Medium
        "the credential may not do this"
        attack "A key made for one thing, or stolen from where it did one thing, is used for another."
        client "Use a credential with the needed scope, or ask the API's operator for it."
        operator "Give the key the scope, or change `authorize.scopes`.";
    ROLE_MISSING = "role-missing" 403 Api5 862 Medium
        "this user may not do this"
        attack "An ordinary user calls what is meant for administrators."
        client "Ask the API's operator for the role."
        operator "Give the user the role or group at the identity provider, or change `authorize.roles` and `authorize.groups`; `issuers.NAME.claims` says where they stand in the token.";
    CONSUMER_REFUSED = "consumer-refused" 403 Api5 285 Medium
        "this consumer may not do this"
        attack "One customer's application calls what is meant for another, or for the back office."
        client "Ask the API's operator for access."
        operator "Add the consumer to `authorize.consumers`.";
    OPERATION_DENIED = "operation-denied" 403 Api5 862 Medium
        "nobody may do this"
        attack "A new operation that nobody thought of yet is found and used."
        client "Ask the API's operator for access."
        operator "Say who may call it in a policy: `authorize.default` is `deny`, and no rule is about this operation.";
    PARAMETER_NOT_OWN = "parameter-not-own" 403 Api1 639 High
        "a parameter names somebody else"
        attack "Putting another user's identifier into path, query or body, or into two places so that the gateway checks one and the API uses the other."
        client "Use your own identifier, once."
        operator "The record's reason names the parameter; `authorize.bind` says what it must be.";
    OWNER_MISMATCH = "owner-mismatch" 404 Api1 639 High
        "there is no such object for this caller"
        attack "Guessing or counting up identifiers to read or change what belongs to others."
        client "Use the identifiers that the API gave you."
        operator "The record's reason says what was missing: the field that `authorize.owner` names, or that it is the caller.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Authorize;

/// Who may call, and with which objects.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AuthorizeGuard")]
pub(crate) struct Config {
    /// Scopes of which the credential must carry all.
    scopes: Vec<Box<str>>,
    /// Scopes of which the credential must carry one.
    any_scope: Vec<Box<str>>,
    /// Roles of which the user must have one; empty means that none is needed.
    roles: Vec<Box<str>>,
    /// Groups of which the user must be in one; empty means that none is needed.
    groups: Vec<Box<str>>,
    /// Consumers that may call; empty means all.
    consumers: Vec<Box<str>>,
    /// Parameters (`path.NAME`, `query.NAME`, `header.NAME`, `body.NAME`, `body./pointer`) and what they must be:
    /// `token.CLAIM` or `consumer`.
    bind: BTreeMap<String, String>,
    /// Whose the object must be.
    owner: Option<owner::Owner>,
    /// What holds for operations that need a credential and have none of the above.
    default: Default_,
}

/// What holds where no rule is about an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AuthorizeDefault")]
enum Default_ {
    /// The credential is enough.
    #[default]
    Allow,
    /// It is closed.
    Deny,
}

impl Config {
    fn callers(&self) -> Callers {
        Callers {
            scopes: self.scopes.clone(),
            any_scope: self.any_scope.clone(),
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            consumers: self.consumers.clone(),
        }
    }
}

impl Protection for Authorize {
    const NAME: &'static str = "authorize";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let objects = !config.bind.is_empty() || config.owner.is_some();
        let callers = config.callers();
        if cx.public && (!callers.is_everybody() || objects) {
            return Err(Fault::new("", "a policy says `public: true` of an operation that asks who calls"));
        }
        let mut parts = Vec::new();
        if !callers.is_everybody() {
            parts.push(Part::new(Stage::Authorize, Allow(callers)));
        }
        if !config.bind.is_empty() {
            parts.push(Part::new(Stage::Authorize, bind::Bound::compile(&config.bind, cx)?));
        }
        if let Some(owner) = &config.owner {
            for owned in owner::Owned::compile(owner, cx)? {
                // Behind what takes credentials out: a read of the API must not carry them either.
                let stage = if owned.reads() { Stage::Shape } else { Stage::Authorize };
                parts.push(Part::new(stage, owned));
            }
        }
        let open = cx.public
            || cx.operation.is_none_or(|(_, operation)| match &operation.security {
                Security::AnyOf(any) => any.iter().all(|needed| needed.all_of.is_empty()),
                Security::Absent => false,
            });
        if parts.is_empty() && config.default == Default_::Deny && !open {
            parts.push(Part::new(Stage::Authorize, Closed));
        }
        Ok(parts)
    }
}

/// Nobody said who may.
#[derive(Debug)]
struct Closed;

impl Guard for Closed {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, _: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(Denial::new(&OPERATION_DENIED, "no rule says who may call this operation").into())
    }
}

#[derive(Debug)]
struct Allow(Callers);

impl Guard for Allow {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(principal) = &cx.facts.principal else {
            return Ok(Denial::new(&SCOPE_MISSING, "no credential was proved here").into());
        };
        let none_of = |what: &str| format!("none of the {what} that suffice is there");
        Ok(match self.0.lack(principal) {
            None => Verdict::Pass,
            Some(Lack::Scope(missing)) => {
                Denial::new(&SCOPE_MISSING, format!("the scope `{missing}` is missing")).into()
            }
            Some(Lack::AnyScope) => Denial::new(&SCOPE_MISSING, none_of("scopes")).into(),
            Some(Lack::Role) => Denial::new(&ROLE_MISSING, none_of("roles")).into(),
            Some(Lack::Group) => Denial::new(&ROLE_MISSING, none_of("groups")).into(),
            Some(Lack::Consumer) => {
                let reason = format!("the consumer `{}` is not among those allowed", principal.consumer);
                Denial::new(&CONSUMER_REFUSED, reason).into()
            }
        })
    }
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
