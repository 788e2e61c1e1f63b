//! May they: scopes and consumers by operation.
//!
//! **What it does.** Lets only credentials through that carry all of `scopes`, or one of `any_scope`, and that belong
//! to one of `consumers`. The scopes of a key are given when it is made (`portcullis keys create --scope`).
//!
//! **The attack.** An ordinary key used on an administrator's operation.
//! OWASP API5:2023; CWE-285, CWE-862.
//!
//! ```yaml
//! policies:
//!   - match: { tag: admin }
//!     authorize: { scopes: [admin], consumers: [back-office] }
//! ```
//!
//! Without configuration nothing is asked for beyond the credential itself.

use portcullis_engine::{Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    SCOPE_MISSING = "scope-missing" 403 Api5 862 Medium
        "the credential may not do this"
        attack "A key made for one thing, or stolen from where it did one thing, is used for another."
        client "Use a credential with the needed scope, or ask the API's operator for it."
        operator "Give the key the scope, or change `authorize.scopes`.";
    CONSUMER_REFUSED = "consumer-refused" 403 Api5 285 Medium
        "this consumer may not do this"
        attack "One customer's application calls what is meant for another, or for the back office."
        client "Ask the API's operator for access."
        operator "Add the consumer to `authorize.consumers`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Authorize;

/// Scopes and consumers.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AuthorizeGuard")]
pub(crate) struct Config {
    /// Scopes of which the credential must carry all.
    scopes: Vec<Box<str>>,
    /// Scopes of which the credential must carry one.
    any_scope: Vec<Box<str>>,
    /// Consumers that may call; empty means all.
    consumers: Vec<Box<str>>,
}

impl Protection for Authorize {
    const NAME: &'static str = "authorize";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if config.scopes.is_empty() && config.any_scope.is_empty() && config.consumers.is_empty() {
            return Ok(Vec::new());
        }
        if cx.public {
            return Err(Fault::new(
                "",
                "a policy says `public: true` of an operation that asks for scopes or consumers",
            ));
        }
        Ok(vec![Part::new(Stage::Authorize, Allow(config.clone()))])
    }
}

#[derive(Debug)]
struct Allow(Config);

impl Guard for Allow {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(principal) = &cx.facts.principal else {
            return Ok(Denial::new(&SCOPE_MISSING, "no credential of this gateway was proved").into());
        };
        let has = |scope: &str| principal.scopes.iter().any(|known| **known == *scope);
        let any = self.0.any_scope.is_empty() || self.0.any_scope.iter().any(|scope| has(scope));
        if let Some(missing) = self.0.scopes.iter().find(|scope| !has(scope)) {
            return Ok(Denial::new(&SCOPE_MISSING, format!("the scope `{missing}` is missing")).into());
        }
        if !any {
            return Ok(Denial::new(&SCOPE_MISSING, "none of the scopes that suffice is there").into());
        }
        if !self.0.consumers.is_empty()
            && !self.0.consumers.iter().any(|known| **known == *principal.consumer)
        {
            let reason = format!("the consumer `{}` is not among those allowed", principal.consumer);
            return Ok(Denial::new(&CONSUMER_REFUSED, reason).into());
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
