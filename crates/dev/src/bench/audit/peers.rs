//! Spectral's rules, by their purpose beside ours.

/// A rule of the rule set, those of ours with the same purpose, and in what they differ; of one that has none here, why.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) rule: &'static str,
    pub(super) ours: &'static [&'static str],
    pub(super) differs: &'static str,
}

impl Peer {
    /// The rule's name without the category.
    pub(super) fn name(&self) -> &'static str {
        self.rule.split_once("2023-").map_or(self.rule, |(_, name)| name)
    }
}

const fn peer(rule: &'static str, ours: &'static [&'static str], differs: &'static str) -> Peer {
    Peer { rule, ours, differs }
}

/// All rules of `spectral-owasp-ruleset` 2.0.1.
pub(super) const RULES: &[Peer] = &[
    peer(
        "api1:2023-no-numeric-ids",
        &["id-guessable"],
        "path parameters only: what can be guessed is asked for there",
    ),
    peer("api2:2023-no-http-basic", &["basic-auth"], ""),
    peer("api2:2023-no-api-keys-in-url", &["key-in-query"], ""),
    peer(
        "api2:2023-no-credentials-in-url",
        &["credential-in-url"],
        "names that speak about a secret (`tokenType`, `nextPageToken`) are none",
    ),
    peer("api2:2023-auth-insecure-schemes", &["insecure-scheme", "oauth-implicit", "oauth-password"], ""),
    peer("api2:2023-jwt-best-practices", &[], "words in a description prove nothing about tokens"),
    peer("api2:2023-short-lived-access-tokens", &[], "a refresh URL says nothing about how long tokens live"),
    peer(
        "api2:2023-write-restricted",
        &["write-public", "write-open"],
        "logging in and signing up is for everyone",
    ),
    peer("api2:2023-read-restricted", &["read-public"], "`security: []` is a decision, and silence is none"),
    peer("api3:2023-no-additionalProperties", &["object-open"], "in requests: an answer assigns nothing"),
    peer("api3:2023-constrained-additionalProperties", &["map-unbounded"], "in requests"),
    peer("api3:2023-no-unevaluatedProperties", &["object-open"], "in requests"),
    peer("api3:2023-constrained-unevaluatedProperties", &["map-unbounded"], "in requests"),
    peer(
        "api4:2023-rate-limit",
        &["rate-limit-missing"],
        "once, where nothing in the document speaks of limits",
    ),
    peer("api4:2023-rate-limit-retry-after", &["retry-after-missing"], ""),
    peer(
        "api4:2023-rate-limit-responses-429",
        &["error-429-missing"],
        "`default` and `4XX` count as described",
    ),
    peer(
        "api4:2023-array-limit",
        &["array-unbounded", "response-array-unbounded"],
        "in requests, and of answers that are one array",
    ),
    peer(
        "api4:2023-string-limit",
        &["string-unbounded"],
        "in requests; formats and patterns that bound the length count as limits",
    ),
    peer("api4:2023-string-restricted", &["string-loose"], "parameters only: bodies hold free text"),
    peer("api4:2023-integer-limit", &["number-unbounded"], "in requests; of floating point, too"),
    peer("api4:2023-integer-limit-legacy", &["number-unbounded"], "in requests; of floating point, too"),
    peer(
        "api4:2023-integer-format",
        &["number-unbounded"],
        "in requests; `int32` and `int64` count as bounds: they are enforced",
    ),
    peer(
        "api5:2023-admin-security-unique",
        &["admin-unguarded"],
        "by words of the path, not by parts of words",
    ),
    peer("api7:2023-concerning-url-parameter", &["address-parameter"], "in bodies, too"),
    peer(
        "api8:2023-define-cors-origin",
        &["cors-any"],
        "the header is the gateway's; `*` on what is protected is found",
    ),
    peer("api8:2023-no-scheme-http", &["server-cleartext"], ""),
    peer("api8:2023-no-server-http", &["server-cleartext"], "this machine's own addresses are left out"),
    peer(
        "api8:2023-define-error-validation",
        &["error-400-missing"],
        "`default` and `4XX` count as described",
    ),
    peer("api8:2023-define-error-responses-401", &["error-401-missing"], "of operations that are protected"),
    peer(
        "api8:2023-define-error-responses-500",
        &["error-500-missing"],
        "`default` and `5XX` count as described",
    ),
    peer(
        "api9:2023-inventory-access",
        &["server-internal"],
        "by what the URL says; `x-internal` is a word of one tool",
    ),
    peer(
        "api9:2023-inventory-environment",
        &["server-test"],
        "by what the URL says; words in a description are not needed",
    ),
];

/// vacuum's rules that Spectral's rule set has, under Spectral's names.
const VACUUM: &[&str] = &[
    "array-limit",
    "auth-insecure-schemes",
    "constrained-additionalProperties",
    "define-error-responses-401",
    "define-error-responses-500",
    "define-error-validation",
    "integer-format",
    "integer-limit",
    "jwt-best-practices",
    "no-additionalProperties",
    "no-api-keys-in-url",
    "no-credentials-in-url",
    "no-http-basic",
    "no-numeric-ids",
    "rate-limit",
    "rate-limit-retry-after",
    "string-limit",
    "string-restricted",
];

/// What vacuum calls the rule that Spectral calls `name`, where it has one.
pub(super) fn vacuums(name: &str) -> Option<&'static str> {
    let renamed = match name {
        "rate-limit-responses-429" => "define-error-responses-429",
        "read-restricted" => "protection-global-safe",
        "write-restricted" => "protection-global-unsafe-strict",
        "no-server-http" => "security-hosts-https-oas3",
        // One rule for both ways to write a bound.
        "integer-limit-legacy" => "integer-limit",
        name => return VACUUM.iter().find(|own| **own == name).copied(),
    };
    Some(renamed)
}
