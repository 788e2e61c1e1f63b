//! Codes: the stable names of what can be wrong with an exchange, and what `portcullis explain` says of each.

use std::fmt;

use serde::Serialize;

/// A category of the OWASP API Security Top 10, edition 2023.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Owasp {
    /// Broken object level authorization.
    Api1,
    /// Broken authentication.
    Api2,
    /// Broken object property level authorization.
    Api3,
    /// Unrestricted resource consumption.
    Api4,
    /// Broken function level authorization.
    Api5,
    /// Unrestricted access to sensitive business flows.
    Api6,
    /// Server side request forgery.
    Api7,
    /// Security misconfiguration.
    Api8,
    /// Improper inventory management.
    Api9,
    /// Unsafe consumption of APIs.
    Api10,
}

impl Owasp {
    /// As OWASP writes it: number, edition and title.
    pub fn title(self) -> &'static str {
        match self {
            Owasp::Api1 => "API1:2023 Broken Object Level Authorization",
            Owasp::Api2 => "API2:2023 Broken Authentication",
            Owasp::Api3 => "API3:2023 Broken Object Property Level Authorization",
            Owasp::Api4 => "API4:2023 Unrestricted Resource Consumption",
            Owasp::Api5 => "API5:2023 Broken Function Level Authorization",
            Owasp::Api6 => "API6:2023 Unrestricted Access to Sensitive Business Flows",
            Owasp::Api7 => "API7:2023 Server Side Request Forgery",
            Owasp::Api8 => "API8:2023 Security Misconfiguration",
            Owasp::Api9 => "API9:2023 Improper Inventory Management",
            Owasp::Api10 => "API10:2023 Unsafe Consumption of APIs",
        }
    }
}

/// How bad it is when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A nuisance, or a mistake of an honest client.
    Low,
    /// An attack's likely preparation.
    Medium,
    /// An attack that would work against a weak API.
    High,
}

/// The stable name of a refusal or finding, with its explanation. One `static` each, beside the code that
/// raises it, and listed in that file's registry entry.
#[derive(Debug, Serialize)]
pub struct Code {
    /// Lower-case words joined by hyphens; never renamed.
    pub name: &'static str,
    /// The HTTP status that a refusal with it carries.
    pub status: u16,
    /// What happened, in a few words, fit for the caller's eyes.
    pub title: &'static str,
    /// What an attacker would gain: the reason why it is refused.
    pub attack: &'static str,
    /// What a legitimate client should do.
    pub client: &'static str,
    /// What the operator can do when it hits legitimate calls.
    pub operator: &'static str,
    /// The OWASP category.
    pub owasp: Owasp,
    /// The Common Weakness Enumeration's number.
    pub cwe: u16,
    /// How bad.
    pub severity: Severity,
}

impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        self.name == other.name
    }
}

impl Eq for Code {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! codes {
    ($($ident:ident = $name:literal $status:literal $owasp:ident $cwe:literal $severity:ident
        $title:literal attack $attack:literal client $client:literal operator $operator:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "` (", stringify!($status), "): ", $title, ".")]
            pub static $ident: Code = Code {
                name: $name, status: $status, title: $title, attack: $attack, client: $client,
                operator: $operator, owasp: Owasp::$owasp, cwe: $cwe, severity: Severity::$severity,
            };
        )*
        /// All codes that the engine and the hosts raise themselves, whatever guards are configured.
        pub static CODES: &[&Code] = &[$(&$ident),*];
    };
}

codes! {
    REQUEST_MALFORMED = "request-malformed" 400 Api8 444 High
        "the request is not well-formed HTTP"
        attack "A request that two parsers read in two ways lets an attacker smuggle a second request past the first parser."
        client "Send the request with a standard HTTP library, unaltered."
        operator "Look at the record's reason for the rule that was broken; there is no switch, since what the upstream would read is unknown.";
    FRAMING_AMBIGUOUS = "framing-ambiguous" 400 Api8 444 High
        "the length of the request's body is ambiguous"
        attack "Conflicting Content-Length and Transfer-Encoding fields are how request smuggling works: the gateway and the upstream disagree where the request ends."
        client "Send either one Content-Length, or Transfer-Encoding: chunked, not both."
        operator "Find the client or middle box that sends both; there is no switch.";
    HOST_INVALID = "host-invalid" 400 Api8 644 Medium
        "the Host field is missing, repeated, malformed or contradicts the target"
        attack "Conflicting hosts poison caches, password-reset links and virtual-host routing."
        client "Send exactly one Host field that names the host of the URL."
        operator "Check proxies in front that rewrite Host.";
    PATH_AMBIGUOUS = "path-ambiguous" 400 Api8 22 High
        "the path can be read in more than one way"
        attack "Encoded slashes, dot segments, double encoding and backslashes let one path pass the gateway's rules and another reach the upstream."
        client "Send the path in its plain form: no empty or dot segments, no encoded slashes, each character encoded once."
        operator "If an API really takes such paths, pass the value in the query or body instead.";
    HEADER_AMBIGUOUS = "header-ambiguous" 400 Api8 444 High
        "a field that must be single or unambiguous is repeated or imitated"
        attack "A repeated or look-alike field (X_Forwarded_For) makes the gateway decide on one value and the upstream act on another."
        client "Send each such field once, under its standard name."
        operator "Look at the record's reason for the field's name.";
    METHOD_REFUSED = "method-refused" 405 Api8 749 Medium
        "this method is never accepted"
        attack "TRACE echoes credentials back to scripts; CONNECT turns the gateway into an open relay."
        client "Use a method that the API documents."
        operator "There is no switch.";
    HEADERS_TOO_LARGE = "headers-too-large" 431 Api4 770 Medium
        "the request has too many or too large header fields"
        attack "Huge heads eat memory before anything can be decided."
        client "Send fewer or shorter fields; cookies are the usual cause."
        operator "Raise `limits.header_count` or `limits.header_bytes`.";
    TARGET_TOO_LONG = "target-too-long" 414 Api4 770 Medium
        "the request target is too long"
        attack "Long targets eat memory and overflow what parses them further back."
        client "Send long values in the body."
        operator "Raise `limits.target_bytes`.";
    BODY_TOO_LARGE = "body-too-large" 413 Api4 770 Medium
        "the request's body is larger than this operation accepts"
        attack "Large bodies exhaust memory, disk and CPU, and push attacks past inspection limits."
        client "Send a smaller body, or in parts where the API offers it."
        operator "Raise `bounds.request_body` for this operation.";
    BODY_ENCODING = "body-encoding" 415 Api8 436 Medium
        "the body's content encoding is not supported or is broken"
        attack "A body that the gateway cannot decode cannot be inspected, yet the upstream may decode it."
        client "Send the body plain, or encoded once with gzip, deflate or br."
        operator "There is no switch: what cannot be read is not forwarded.";
    BODY_EXPANDS = "body-expands" 413 Api4 409 High
        "the compressed body grows beyond its bounds"
        attack "A decompression bomb: a few kilobytes that become gigabytes."
        client "Send a body that decodes to a reasonable size."
        operator "Raise `bounds.request_body` or `bounds.expansion`.";
    BODY_MALFORMED = "body-malformed" 400 Api8 20 Medium
        "the body is not well-formed"
        attack "What one parser refuses and another repairs is a way past inspection."
        client "Send a body that is valid for its content type (JSON: RFC 8259, each member name once)."
        operator "Look at the record's reason for line and column.";
    BODY_DUPLICATE_KEY = "body-duplicate-key" 400 Api8 436 High
        "an object in the body names a member twice"
        attack "With two members of one name the gateway checks one value and the API uses the other."
        client "Name each member once."
        operator "There is no switch: which of the two the API would use is unknown.";
    BODY_TOO_COMPLEX = "body-too-complex" 413 Api4 770 Medium
        "the body is nested too deeply or has too many values"
        attack "Deep or wide documents exhaust the stack, memory or CPU of what parses them."
        client "Send a flatter or smaller document."
        operator "Raise `bounds.json_depth` or `bounds.json_values`.";
    BODY_INCOMPLETE = "body-incomplete" 400 Api4 770 Low
        "the body ended before its announced length"
        attack "Bodies cut off half-way hold resources and leave half-done writes."
        client "Send the whole body."
        operator "Look for clients that time out or lose their connection.";
    REQUEST_TIMEOUT = "request-timeout" 408 Api4 400 Medium
        "the request did not arrive in time"
        attack "Slow requests hold connections until none is left (slow headers, slow body)."
        client "Send the request without pauses; retry on a better connection."
        operator "Raise `timeouts.head` or `timeouts.body`.";
    EXPECTATION_FAILED = "expectation-failed" 417 Api8 444 Low
        "the Expect field asks for something other than 100-continue"
        attack "Unknown expectations are handled differently by different parsers."
        client "Leave the Expect field out."
        operator "There is no switch.";
    VERSION_UNSUPPORTED = "version-unsupported" 505 Api8 444 Low
        "this HTTP version is not supported"
        attack "Old or made-up versions take lenient code paths."
        client "Speak HTTP/1.1 or HTTP/2."
        operator "There is no switch.";
    CODING_UNSUPPORTED = "coding-unsupported" 501 Api8 444 High
        "this transfer coding is not supported"
        attack "A transfer coding that only one side understands hides where the request ends."
        client "Use chunked alone, or Content-Length."
        operator "There is no switch.";
    OVERLOADED = "overloaded" 503 Api4 770 Low
        "the gateway is at its capacity"
        attack "A flood; calls over the cap are shed so that those in flight finish."
        client "Retry after the time that Retry-After names."
        operator "Raise `limits.in_flight` or `limits.buffered_bytes`, or add instances.";
    UPSTREAM_UNREACHABLE = "upstream-unreachable" 502 Api8 755 Low
        "the API could not be reached"
        attack "None by itself; the reason stays inside so that the network is not described to strangers."
        client "Retry later."
        operator "Look at the record's reason and at the upstream's health.";
    UPSTREAM_UNAVAILABLE = "upstream-unavailable" 503 Api8 755 Low
        "no healthy instance of the API is available"
        attack "None by itself."
        client "Retry after the time that Retry-After names."
        operator "Look at the health checks and the circuit breaker's state.";
    UPSTREAM_TIMEOUT = "upstream-timeout" 504 Api4 755 Low
        "the API did not answer in time"
        attack "Slow answers can be provoked to exhaust connections."
        client "Retry later."
        operator "Raise `timeouts.response`, or find out what is slow.";
    UPSTREAM_INVALID = "upstream-invalid" 502 Api10 444 Medium
        "the API's answer is not well-formed HTTP"
        attack "Response smuggling: bytes that the client would read as another answer."
        client "Retry later; report the reference to the API's operator."
        operator "Look at the record's reason.";
    RESPONSE_TOO_LARGE = "response-too-large" 502 Api4 770 Medium
        "the API's answer is larger than may be passed on unchecked"
        attack "Huge answers exhaust memory, or carry a whole table out."
        client "Ask for less, by page or filter."
        operator "Raise `bounds.response_body`.";
    LOOKUP_FAILED = "lookup-failed" 503 Api8 636 Low
        "what is needed to decide about this call cannot be asked for now"
        attack "Cutting a gateway off from what it asks (an identity provider, the owner of an object) must not open it."
        client "Retry after the time that Retry-After names."
        operator "Look at the record's reason: what was asked, and what went wrong. Keys that are known go on working meanwhile.";
    GUARD_FAILED = "guard-failed" 500 Api8 755 Medium
        "the request could not be checked"
        attack "A protection that fails must not let calls through unchecked."
        client "Retry later; report the reference."
        operator "Look at the record's reason: a guard failed. `on_error: open` lets calls pass while it fails.";
    UPGRADE_REFUSED = "upgrade-refused" 400 Api8 444 Medium
        "this protocol upgrade is not accepted"
        attack "An upgraded connection is a tunnel that nothing inspects; h2c upgrades smuggle requests past the gateway."
        client "Use WebSocket on the operations that offer it, and HTTP/2 over TLS or with prior knowledge."
        operator "Allow WebSocket for an operation with `websocket: true`.";
}
