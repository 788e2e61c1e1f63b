//! Whether a text shows the inside of a server. Linear in the text, whatever it says.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Where in the code it happened, or an exception by its class.
    StackTrace,
    /// A query, or a database's own words.
    Sql,
    /// A file or folder of the server.
    Path,
    /// A product with its version.
    Version,
    /// A framework's page for developers.
    DebugPage,
    /// Internal addresses, memory, runtime faults.
    Internals,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] =
        [Kind::StackTrace, Kind::Sql, Kind::Path, Kind::Version, Kind::DebugPage, Kind::Internals];

    /// For the operator.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Kind::StackTrace => "the error shows a stack trace or an exception",
            Kind::Sql => "the error shows a database's words",
            Kind::Path => "the error shows a path of the server",
            Kind::Version => "the error shows a product's version",
            Kind::DebugPage => "the error is a page for developers",
            Kind::Internals => "the error shows internal addresses or runtime faults",
        }
    }

    fn patterns(self) -> &'static [&'static str] {
        match self {
            Kind::StackTrace => STACK_TRACE,
            Kind::Sql => SQL,
            Kind::Path => PATH,
            Kind::Version => VERSION,
            Kind::DebugPage => DEBUG_PAGE,
            Kind::Internals => INTERNALS,
        }
    }
}

/// Bytes that are looked at: an error worth reading is shorter.
const MOST: usize = 256 << 10;

/// Compiles the patterns, which takes milliseconds, before the first call needs them.
pub(crate) fn prepare() {
    LazyLock::force(&SET);
}

/// The first of `kinds` that `text` shows.
pub(crate) fn leak(text: &[u8], kinds: &[Kind]) -> Option<Kind> {
    let text = plain(text.get(..text.len().min(MOST)).unwrap_or_default());
    let matches = SET.0.matches(&text);
    matches.iter().filter_map(|index| SET.1.get(index).copied()).find(|kind| kinds.contains(kind))
}

/// Undoes JSON escapes and HTML entities, so that one pattern finds a text in either.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\\' => {
                let (byte, skip) = match after.first() {
                    Some(b'n' | b'r') => (b'\n', 1),
                    Some(b't') => (b'\t', 1),
                    Some(&byte @ (b'"' | b'\'' | b'\\' | b'/')) => (byte, 1),
                    _ => (b'\\', 0),
                };
                out.push(byte);
                rest = after.get(skip..).unwrap_or_default();
            }
            b'&' => {
                let entity =
                    ENTITIES.iter().find_map(|(name, byte)| Some((after.strip_prefix(*name)?, *byte)));
                let (tail, byte) = entity.unwrap_or((after, b'&'));
                out.push(byte);
                rest = tail;
            }
            _ => out.push(first),
        }
    }
    out
}

const ENTITIES: [(&[u8], u8); 9] = [
    (b"quot;", b'"'),
    (b"#34;", b'"'),
    (b"#39;", b'\''),
    (b"#x27;", b'\''),
    (b"apos;", b'\''),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"nbsp;", b' '),
    (b"#x2F;", b'/'),
];

static SET: LazyLock<(RegexSet, Vec<Kind>)> = LazyLock::new(|| {
    let mut patterns = Vec::new();
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        for pattern in kind.patterns() {
            patterns.push(format!("(?m-u){pattern}"));
            kinds.push(kind);
        }
    }
    let set = RegexSetBuilder::new(patterns).size_limit(64 << 20).dfa_size_limit(16 << 20).build();
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles them")]
    (set.expect("the patterns compile"), kinds)
});

const STACK_TRACE: &[&str] = &[
    // Java, Kotlin, Scala, Clojure
    r"\bat [\w.$/<>]+\([\w$-]+\.(?:java|kt|kts|scala|groovy|clj):\d+\)",
    r"\bat [\w.$/<>]+\((?:Native Method|Unknown Source)\)",
    r"\b(?:java|javax|jakarta|kotlin|scala|org|com|net|io|dev)\.(?:[a-z][\w]*\.)+[A-Z]\w*(?:Exception|Error)\b",
    r"\bNullPointerException\b|\bClassCastException\b|\bStackOverflowError\b|\bOutOfMemoryError\b",
    r"^\s*Caused by: ",
    // Python
    r"Traceback \(most recent call last\)",
    r#"File "[^"\n]+\.py", line \d+"#,
    r"\b(?:Type|Key|Index|Attribute|Name|Value|ZeroDivision|Assertion|Import|ModuleNotFound|Runtime|NotImplemented|UnboundLocal|UnicodeDecode|UnicodeEncode|Recursion|Reference|Range|Lookup|Arithmetic|Overflow|Memory|Permission|FileNotFound|OS|IO|NoMethod|Argument|Standard|Load|FrozenError|Zero)Error\b ?: \S",
    r"\b(?:werkzeug|flask|django|rest_framework|starlette|pydantic|sqlalchemy|aiohttp|tornado|botocore|requests|urllib3)\.(?:\w+\.)*\w*(?:Error|Exception)\b",
    // JavaScript
    r"\bat (?:async )?(?:[\w.$<>\[\] ]+ )?\(?(?:node:|file:///|webpack:|/|[A-Za-z]:\\)[^\s()]*:\d+:\d+\)?",
    r"\bat (?:async )?[\w.$]+ \((?:internal|native|<anonymous>|[\w./-]+\.[cm]?[jt]sx?:\d+:\d+)",
    r"Cannot read propert(?:y|ies) .{0,60}of (?:undefined|null)",
    r"\b[\w.]{1,60} is not a function\b",
    r"UnhandledPromiseRejection",
    // .NET
    r"\bat [\w.`<>\[\],+]+\([^)\n]*\) in [A-Za-z/][^\n]*:line \d+",
    r"^\s*at (?:System|Microsoft)\.[\w.`<>]+\(",
    r"\b(?:System|Microsoft|Npgsql|MySql|Newtonsoft|AutoMapper)\.(?:\w+\.)*\w*Exception\b",
    r"Object reference not set to an instance of an object",
    // PHP
    r"(?:Fatal error|Parse error|Warning|Notice|Deprecated)(?:</b>)?: .+ in (?:<b>)?(?:/|[A-Za-z]:).+ on line (?:<b>)?\d+",
    r"^\s*#\d+ (?:/|[A-Za-z]:\\)[^\s:(]+\(\d+\): ",
    r"#\d+ \{main\}",
    r"Uncaught (?:\w+\\)*\w*(?:Exception|Error)\b",
    r"\b(?:Illuminate|Symfony|Doctrine|Laravel|GuzzleHttp|Twig|Zend|Laminas|Cake|yii)\\\w+(?:\\\w+)*",
    r"Call to (?:undefined|a member) (?:function|method)",
    r"Undefined (?:index|variable|offset|array key|property)[: ]",
    // Ruby
    r"[\w/.-]+\.rb:\d+:in [`']",
    r"\bundefined (?:local variable or )?method [`']",
    r"\b(?:ActiveRecord|ActionController|ActionView|ActionDispatch|ActiveModel|Rack|Sinatra|Mongoid|PG)::[A-Z]\w+",
    // Go
    r"\bgoroutine \d+ \[",
    r"\bruntime error: ",
    r"[\w/.-]+\.go:\d+(?: \+0x[0-9a-f]+|:\d+)?\b",
    // Rust
    r"thread '[^'\n]+' (?:\(\d+\) )?panicked at",
    r"\b[\w/.-]+\.rs:\d+:\d+\b",
    r"called `(?:Option|Result)::(?:unwrap|expect)\(\)`",
    // Elixir, Erlang
    r"\*\* \((?:[A-Z]\w*\.)*[A-Z]\w*(?:Error|exit)\)",
    r"\([\w]+ [\d.]+\) (?:lib|web|src)/[\w/]+\.(?:exs?|erl):\d+",
    r"\bFunctionClauseError\b|\bbadmatch\b|\bfunction_clause\b",
    // Perl, Lua, Dart, Haskell, Swift, C++
    r" at /\S+\.p[lm] line \d+",
    r"\.lua:\d+: ",
    r"#\d+\s+\S+ \((?:package|dart):[^)\n]+:\d+:\d+\)",
    r"CallStack \(from HasCallStack\)",
    r"Fatal error: .*: file \S+\.swift, line \d+",
    r"terminate called after throwing",
    // A member for it
    r#""(?:stack_?trace|stackTrace|backtrace|stacktrace)"\s*:\s*(?:"[^"]|\[\s*[\{"])"#,
    r#""stack"\s*:\s*(?:\[?\s*"\w*(?:Error|Exception)|"[^"\n]*\n\s*at )"#,
    r#""trace"\s*:\s*(?:\[\s*\{|"(?:[\w.]+(?:Exception|Error)|#0))"#,
    r#""exception"\s*:\s*"(?:\w+[.\\])+\w+""#,
];

const SQL: &[&str] = &[
    // Queries
    r"\bSELECT\s.+\sFROM\s+\S",
    r"\bINSERT INTO\s+\S+\s*\(",
    r#"\bUPDATE\s+["`\[]?\w[\w."`\]]*\s+SET\s"#,
    r"\bDELETE FROM\s+\S+\s+WHERE\b",
    r#"\bselect\s.+\sfrom\s+["`\[]?\w+["`\]]?\s+(?:where|\w+_?\s+(?:where|inner|left|join))\b.*(?:=|\?|\$\d)"#,
    // MySQL, MariaDB
    r"You have an error in your SQL syntax",
    r"SQLSTATE[\[ :(]",
    r"\bER_[A-Z]{2,}(?:_[A-Z]+)+\b",
    r"Unknown column '[^'\n]+' in '",
    r"Table '[^'\n]+' doesn't exist",
    r"Duplicate entry '[^'\n]*' for key",
    r"\bmysqli?_\w+\(",
    r"\bmysql\.connector\b|\bpymysql\b|\bMySQLdb\b",
    // PostgreSQL
    r#"syntax error at or near ""#,
    r#"\b(?:relation|column|function|type|schema|database|role) "?[\w.()]+"? (?:of relation .+ )?does not exist\b"#,
    r"violates (?:unique|foreign key|not-null|check|exclusion) constraint",
    r"\bpsycopg\d?\b|\basyncpg\.|\borg\.postgresql\b|\bpq: ",
    r"unterminated quoted string at or near",
    r"invalid input syntax for (?:type )?(?:integer|uuid|bigint|numeric|json|date|timestamp|boolean)",
    // SQLite
    r"\bSQLITE_[A-Z]+",
    r"\bsqlite3?\.\w*Error\b",
    r#"near "[^"\n]*": syntax error"#,
    r"\bno such (?:table|column): ",
    r"\b(?:UNIQUE|FOREIGN KEY|NOT NULL|CHECK|PRIMARY KEY) constraint failed",
    r"unrecognized token: ",
    // SQL Server
    r"Unclosed quotation mark after the character string",
    r"Incorrect syntax near ",
    r"Violation of (?:PRIMARY|UNIQUE) KEY constraint",
    r"Conversion failed when converting",
    r"\bODBC (?:SQL Server )?Driver\b",
    r"Microsoft OLE DB Provider",
    r"Invalid (?:object|column) name '",
    r"\bMsg \d+, Level \d+, State \d+",
    // Oracle, DB2
    r"\b(?:ORA|PLS|TNS)-\d{4,5}\b",
    r"\bSQLCODE[=:] ?-?\d+",
    // Mappers
    r"\b(?:Sequelize|Prisma|TypeORM|Knex|Objection|Mongo|Mongoose|MikroORM|Query)\w*(?:Error|Exception)\b ?:?",
    r"Invalid `[\w.]+(?:\.\w+)?\(\)` invocation",
    r"could not execute (?:statement|query|batch)",
    r"\bJDBC\b.*(?:exception|error|failed)",
    r"\b(?:hibernate|gorm|ecto|sqlx|diesel)\b.{0,40}(?:error|exception)",
    // Others
    r"\bE11000 duplicate key error",
    r"\bWRONGTYPE Operation against a key",
    r"\b(?:search_phase_execution|index_not_found|query_shard|parsing)_exception\b",
    r"\bcom\.datastax\b|\bCassandra\w*Exception\b|\bcypher\b.{0,60}SyntaxError",
];

const PATH: &[&str] = &[
    r#"(?:^|[\s"'`(=:\[<>,])/(?:usr/(?:local|lib|lib64|share|src|bin|home)|var/(?:www|lib|log|run|task|app|cache|folders|opt)|opt/[\w.-]+|srv/[\w.-]+|etc/[\w.-]+|root|proc/(?:self|\d+)|tmp|mnt/[\w.-]+|home/[\w.-]+|Users/[\w.-]+|app|code|workspace|usr/src/app)/[\w./@+-]*\.(?:py|pyc|js|mjs|cjs|jsx|ts|tsx|rb|erb|php|phtml|java|class|jar|war|go|rs|cs|cshtml|dll|jsp|aspx?|pl|pm|lua|ex|exs|conf|cfg|ini|ya?ml|toml|env|log|so|sh|xml|sock|pem|key|crt|sql|db|sqlite3?|twig|tmp|html|ejs|pug|hbs)\b"#,
    r#"(?:^|[\s"'`(=:\[<>,])/(?:usr/(?:local|lib|lib64|share|src)|var/(?:www|lib|log|task|folders)|etc/(?:nginx|apache2|httpd|ssl|passwd|shadow|hosts|kubernetes)|proc/self|home/[\w.-]+/(?:\w[\w.-]*/)*(?:src|app|lib|public|public_html|www|site|current|releases|node_modules))(?:/[\w.@+-]+)*"#,
    r#"\b[A-Za-z]:\\{1,2}(?:[\w $.()-]+\\{1,2}){1,20}[\w $.-]+"#,
    r"\b(?:node_modules|site-packages|dist-packages|vendor/(?:bundle|laravel|symfony|composer)|WEB-INF|wwwroot|public_html|htdocs)[/\\]",
    r#"\b(?:jar:)?file:/{1,3}[\w./-]{3,}"#,
    r"\bclasspath:[\w./-]+",
];

const VERSION: &[&str] = &[
    r"\b(?:Apache|nginx|openresty|lighttpd|Caddy|Tengine|LiteSpeed|Microsoft-IIS|Microsoft-HTTPAPI|Apache Tomcat|Apache-Coyote|Jetty|Undertow|JBoss[\w-]*|WildFly|GlassFish|WebLogic(?: Server)?|WebSphere[\w ]*|Kestrel|Werkzeug|gunicorn|uWSGI|Phusion Passenger|Puma|Unicorn|WEBrick|Thin|Cowboy|Netty|Express|Node\.js|PHP|Python|CPython|Ruby|Perl|OpenSSL|mod_\w+|Django(?: Version:)?|Flask|Laravel|Symfony|Rails|Drupal|WordPress|Spring Boot|Hibernate|Varnish|Squid|HAProxy|Envoy|Traefik|MySQL|MariaDB|PostgreSQL|Servlet|JSP)(?:/| |:// ?| Server ?)v?\d+\.\d[\w.()-]*",
    r"\bv8?\d*\b.{0,3}\bNode\.js v\d+",
    r"Microsoft \.NET Framework Version:|ASP\.NET (?:Core )?Version:",
    r"\bserver at [\w.-]+ port \d+\b|\bServer at [\w.-]+ Port \d+",
    r"<center>(?:nginx|openresty|Microsoft-Azure-Application-Gateway/v\d)",
    r"\b(?:Java|JDK|JVM)[ /](?:SE )?1?\d+\.\d+\.\d+",
    r#"<address>[^<\n]+/\d"#,
];

const DEBUG_PAGE: &[&str] = &[
    r"Whitelabel Error Page",
    r"Werkzeug (?:powered )?[Dd]ebugger|__debugger__=yes|The debugger caught an exception",
    r"You're seeing this error because you have\b.{0,20}DEBUG = True|Using the URLconf defined in|Django tried these URL patterns",
    r"Whoops, looks like something went wrong|Whoops! There was an error|whoops-container",
    r"Symfony Exception|sf-dump|Sfdump|symfony/web-profiler|_profiler/",
    r"Server Error in '[^'\n]*' Application|<title>Runtime Error</title>|customErrors mode=",
    r"Action Controller: Exception caught|Routing Error.{0,20}No route matches|better_errors|BetterErrors",
    r"xdebug-error|phpinfo\(\)|PHP Version \d",
    r"Ignition|flareapp|facade/ignition|laravel-ignition",
    r"Plug\.Debugger|Phoenix\.\w+\.DebugHTML|NoRouteError at ",
    r"Yii Debugger|CakePHP: the rapid development|DebugKit",
    r"Play Framework.{0,60}(?:Compilation|Execution) [Ee]rror|play\.api\.",
    r"JBWEB\d+:|HTTP Status \d{3} . .*(?:type|Type) (?:Exception|Status|Status Report|Exception Report)",
    r"<h1>HTTP Status \d{3}",
    r"Struts (?:Problem Report|has detected an unhandled exception)",
    r"\brack\.session\b|HTTP_COOKIE|REMOTE_ADDR.*SERVER_SOFTWARE",
    r"GraphQL.{0,40}(?:debugMessage|stacktrace)",
];

const INTERNALS: &[&str] = &[
    r"\b(?:ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE) (?:\d|/|[\w.-]+:\d)",
    r"\b(?:getaddrinfo )?(?:ENOTFOUND|EAI_AGAIN) [\w.-]+",
    r"\b(?:EACCES|ENOENT|EPERM|EISDIR|ENOTDIR|EMFILE|ENOSPC): ",
    r"\bdial (?:tcp|udp|unix) ",
    r"\bNo such file or directory\b|\[Errno \d+\]",
    r"\bConnection refused: |Connection refused \(|Failed to connect to [\w.-]+ port \d+|Could not connect to (?:server|host)",
    r"\b(?:10|127)\.\d{1,3}\.\d{1,3}\.\d{1,3}:\d{2,5}\b|\b192\.168\.\d{1,3}\.\d{1,3}:\d{2,5}\b|\b172\.(?:1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}:\d{2,5}\b",
    r"\b[\w-]+(?:\.[\w-]+)*\.(?:svc\.cluster\.local|internal|local|lan|corp|intranet)(?::\d{2,5})?\b",
    r"\blocalhost:\d{2,5}\b",
    r"(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqp|jdbc:\w+)://",
    r"<[\w.]+ object at 0x[0-9a-f]{6,16}>|\bat address 0x[0-9a-fA-F]{6,16}|\b0x[0-9a-f]{12,16}\b",
    r"Segmentation fault|core dumped|AddressSanitizer|double free or corruption|stack smashing detected",
    r"upstream connect error or disconnect/reset before headers|no healthy upstream",
    r"\barn:aws:[\w-]+:|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----",
    r"NoneType' object|object has no attribute '",
    r"nil pointer dereference|invalid memory address",
    r"\b(?:DATABASE_URL|DB_PASSWORD|SECRET_KEY|AWS_SECRET_ACCESS_KEY|APP_KEY)\b",
];

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
