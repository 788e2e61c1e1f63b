//! The registry: what closes which finding. The first line that is for a code counts.
//!
//! A remedy offers; whether it closes the finding, and leaves ordinary calls alone, is proved afterwards.

mod callers;
mod inputs;
mod objects;
mod outputs;
mod surface;

use super::remedy::{Case, Cure, Remedy};

/// Every remedy.
pub(super) static REMEDIES: &[Remedy] = &[
    Remedy {
        codes: &["bola-read", "bola-write", "bola-delete", "account-takeover"],
        how: "ties the parameter or the object's owner to the caller, or lets callers reach only what they were shown",
        cures: objects::own,
    },
    Remedy {
        codes: &["admin-function-open"],
        how: "asks for the role that its ordinary callers have, or for a key of the gateway where nobody ordinary calls it",
        cures: callers::administrators,
    },
    Remedy {
        codes: &[
            "private-without-login",
            "authentication-not-enforced",
            "check-tokens",
            "policy-public-write",
        ],
        how: "asks for a session that the API handed out, or for a key of the gateway",
        cures: callers::known,
    },
    Remedy {
        codes: &[
            "token-not-verified",
            "token-alg-none",
            "token-weak-secret",
            "logout-keeps-token",
            "token-in-url",
            "token-never-expires",
        ],
        how: "lets only sessions through that the API handed out through the gateway, and ends them",
        cures: callers::sessions,
    },
    Remedy {
        codes: &[
            "no-rate-limit-login",
            "no-rate-limit-reset",
            "reset-code-guessable",
            "policy-unlimited",
            "rate-limit-missing",
        ],
        how: "limits how often a client may try",
        cures: callers::tries,
    },
    Remedy {
        codes: &["refusal-spike"],
        how: "limits how often a client may try, and shuts out clients that meet one refusal after another",
        cures: callers::spikes,
    },
    Remedy {
        codes: &["user-enumeration"],
        how: "answers every failure of the operation alike, and limits how often a client may try",
        cures: callers::one_failure,
    },
    Remedy {
        codes: &["password-in-answer", "secret-in-answer", "card-data-in-answer", "reset-code-in-answer"],
        how: "cuts the members out of the answer",
        cures: outputs::cut,
    },
    Remedy {
        codes: &["verbose-error", "check-errors"],
        how: "replaces errors by clean ones; the original goes to the record",
        cures: outputs::mask,
    },
    Remedy {
        codes: &["cors-any-origin"],
        how: "lets no other origin in than those that are named",
        cures: outputs::origins,
    },
    Remedy {
        codes: &["missing-nosniff", "version-banner", "private-data-cacheable", "check-headers"],
        how: "sets the fields that browsers need, and removes those that name versions",
        cures: outputs::headers,
    },
    Remedy {
        codes: &["mass-assignment-privilege", "mass-assignment", "role-self-given"],
        how: "refuses members that the caller may not set",
        cures: inputs::members,
    },
    Remedy { codes: &["negative-amount"], how: "refuses amounts below zero", cures: inputs::amounts },
    Remedy {
        codes: &["stated-limit-not-kept", "amount-unlimited"],
        how: "bounds the amount by what ordinary clients ask for",
        cures: inputs::quantities,
    },
    Remedy {
        codes: &["unlimited-page-size", "page-size-unbounded"],
        how: "bounds the size of a page",
        cures: inputs::pages,
    },
    Remedy {
        codes: &["unlimited-body", "regex-blow-up"],
        how: "bounds the length of the text",
        cures: inputs::lengths,
    },
    Remedy {
        codes: &["unlimited-upload"],
        how: "bounds the body by what ordinary clients send",
        cures: inputs::files,
    },
    Remedy {
        codes: &["graphql-unlimited-depth", "graphql-unlimited-aliases"],
        how: "bounds the length of documents by what ordinary clients send",
        cures: inputs::documents,
    },
    Remedy {
        codes: &["graphql-unlimited-batch"],
        how: "takes one call at a time: a list of them has no document",
        cures: inputs::one_document,
    },
    Remedy {
        codes: &["graphql-introspection", "graphql-field-hints"],
        how: "no patch reads GraphQL documents: switch introspection and suggestions off in the API",
        cures: nothing,
    },
    Remedy {
        codes: &["weak-password-accepted"],
        how: "refuses passwords that are too short",
        cures: inputs::passwords,
    },
    Remedy {
        codes: &["nosql-injection", "unhandled-input", "input-hangs"],
        how: "takes only values of the type that is meant",
        cures: inputs::types,
    },
    Remedy {
        codes: &[
            "sql-injection",
            "sql-injection-login",
            "command-injection",
            "template-injection",
            "path-traversal",
            "header-injection",
            "ldap-injection",
            "xpath-injection",
            "xml-external-entity",
            "unrestricted-upload",
            "check-input",
        ],
        how: "refuses what an interpreter would read as code, and takes only the characters that ordinary values have",
        cures: inputs::attacks,
    },
    Remedy {
        codes: &["cross-site-scripting", "stored-cross-site-scripting"],
        how: "refuses markup where ordinary values have none, and forbids scripts on the page that shows them",
        cures: inputs::scripts,
    },
    Remedy {
        codes: &["ssrf", "address-parameter"],
        how: "refuses addresses that lead inside",
        cures: inputs::addresses,
    },
    Remedy {
        codes: &["old-version", "undocumented-operation", "debug-page", "path-debug"],
        how: "refuses what the contract does not have, and asks for a key of the gateway where it has it",
        cures: surface::closed,
    },
    Remedy {
        codes: &["trace-enabled", "method-bypass", "method-override", "method-trace"],
        how: "refuses methods that the contract does not have, and fields that change them",
        cures: surface::methods,
    },
    Remedy {
        codes: &["deprecated-operation-answers", "sunset-past"],
        how: "gives the operation a sunset that callers are told, and refuses it from then on",
        cures: surface::sunset,
    },
    Remedy {
        codes: &["no-tls", "check-transport", "tls-*"],
        how: "no patch can: the gateway needs a certificate. Write `listen: { address: 0.0.0.0:8443, tls: { certificate: \
              cert.pem, key: key.pem } }`, and let the API listen for the gateway only",
        cures: nothing,
    },
    Remedy {
        codes: &["race-condition"],
        how: "lets each caller do it once at a time",
        cures: callers::one_at_a_time,
    },
    Remedy {
        codes: &["replay-accepted", "code-counts-again"],
        how: "lets the same values count once for the object",
        cures: callers::once,
    },
    Remedy {
        codes: &["reference-not-checked"],
        how: "no gateway knows what is there: look up in the API what a call refers to, before anything is done",
        cures: nothing,
    },
    Remedy {
        codes: &["predictable-number"],
        how: "no gateway makes numbers: take them from a random generator in the API",
        cures: nothing,
    },
    Remedy {
        codes: &["upstream-*"],
        how: "`portcullis egress` stands between the API and its upstreams: it holds what they answer to their contract, follows no \
              redirect, and bounds size and time. Point the API at it",
        cures: nothing,
    },
    Remedy {
        codes: &["session-fixation"],
        how: "no gateway sees it whole: give a new session at log-in",
        cures: nothing,
    },
    Remedy {
        codes: &["unlimited-head", "unlimited-items", "encoded-path-resolved"],
        how: "no patch is needed where the gateway stands in front: its own bounds hold, and the API gets each path in the \
              one form by which it was judged. Bound and match the same in the API itself",
        cures: nothing,
    },
    Remedy {
        codes: &["documented-but-absent", "405-without-allow"],
        how: "no gateway needs to: nothing is open. Correct the document or the API",
        cures: nothing,
    },
];

/// The remedy for findings of a code.
pub(super) fn remedy(code: &str) -> Option<&'static Remedy> {
    REMEDIES.iter().find(|remedy| remedy.is_for(code))
}

fn nothing(_: &Case<'_>) -> Vec<Cure> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_of_a_scan_has_one_remedy() {
        let kinds = portcullis_scanner::CHECKS.iter().flat_map(|check| check.kinds);
        let remedies = |code| REMEDIES.iter().filter(|remedy| remedy.is_for(code)).count();
        let odd: Vec<&str> = kinds.map(|kind| kind.code).filter(|code| remedies(code) != 1).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}
