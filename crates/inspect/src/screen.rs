//! The screen: one pass over the bytes of a value and, where they could matter, one through an automaton of all the
//! words that the detectors look for. What it does not mark, no detector looks at.

use std::ops::{BitOr, BitOrAssign};
use std::sync::LazyLock;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

/// A set of marks: which detectors should look at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(u32);

impl Marks {
    pub(crate) const SQL: Marks = Marks(1);
    pub(crate) const HTML: Marks = Marks(1 << 1);
    pub(crate) const SCRIPT: Marks = Marks(1 << 2);
    pub(crate) const COMMAND: Marks = Marks(1 << 3);
    pub(crate) const PATH: Marks = Marks(1 << 4);
    pub(crate) const NOSQL: Marks = Marks(1 << 5);
    pub(crate) const TEMPLATE: Marks = Marks(1 << 6);
    pub(crate) const CODE: Marks = Marks(1 << 7);
    pub(crate) const LDAP: Marks = Marks(1 << 8);
    pub(crate) const XPATH: Marks = Marks(1 << 9);
    pub(crate) const MARKUP: Marks = Marks(1 << 10);
    pub(crate) const CRLF: Marks = Marks(1 << 11);
    pub(crate) const JNDI: Marks = Marks(1 << 12);
    pub(crate) const OBJECT: Marks = Marks(1 << 13);
    pub(crate) const SSRF: Marks = Marks(1 << 14);
    /// A word that has a handler's name: a tag may be around the value.
    const HANDLER: Marks = Marks(1 << 20);
    /// A word of SQL that says nothing without signs.
    const CONNECTIVE: Marks = Marks(1 << 21);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn any(self, other: Marks) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Marks {
    type Output = Marks;
    fn bitor(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Marks) {
        self.0 |= other.0;
    }
}

/// Which kinds of bytes a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) u32);

impl Bytes {
    pub(crate) const QUOTE: u32 = 1;
    pub(crate) const LESS: u32 = 1 << 1;
    pub(crate) const PERCENT: u32 = 1 << 2;
    pub(crate) const AMPERSAND: u32 = 1 << 3;
    pub(crate) const BACKSLASH: u32 = 1 << 4;
    pub(crate) const HIGH: u32 = 1 << 5;
    pub(crate) const CONTROL: u32 = 1 << 6;
    pub(crate) const BREAK: u32 = 1 << 7;
    pub(crate) const PAREN: u32 = 1 << 8;
    pub(crate) const DOLLAR: u32 = 1 << 9;
    pub(crate) const BRACE: u32 = 1 << 10;
    pub(crate) const BRACKET: u32 = 1 << 11;
    pub(crate) const SLASH: u32 = 1 << 12;
    pub(crate) const SEMICOLON: u32 = 1 << 13;
    pub(crate) const PIPE: u32 = 1 << 14;
    pub(crate) const EQUALS: u32 = 1 << 15;
    pub(crate) const SPACE: u32 = 1 << 16;
    pub(crate) const HASH: u32 = 1 << 17;
    pub(crate) const PLUS: u32 = 1 << 18;
    pub(crate) const STAR: u32 = 1 << 19;
    pub(crate) const BACKTICK: u32 = 1 << 20;
    pub(crate) const GREATER: u32 = 1 << 21;
    pub(crate) const DASH: u32 = 1 << 22;
    pub(crate) const OTHER: u32 = 1 << 23;
    pub(crate) const DOT: u32 = 1 << 24;
    pub(crate) const COLON: u32 = 1 << 25;
    /// Operators that prose seldom has.
    pub(crate) const SIGN: u32 = 1 << 26;

    /// Letters, digits and underscores: only of what undoing made.
    pub(crate) const WORD: u32 = 1 << 27;

    /// The kind of a character that undoing made.
    pub(crate) fn made(code: u32) -> u32 {
        match u8::try_from(code) {
            // A blank for some.
            Ok(0xa0) => Bytes::SPACE,
            Ok(b'\n' | b'\r') => Bytes::BREAK,
            Ok(byte) if crate::text::is_word(byte) => Bytes::WORD,
            Ok(byte) => Bytes::of(&[byte]).0,
            Err(_) => Bytes::HIGH,
        }
    }

    pub(crate) fn of(bytes: &[u8]) -> Bytes {
        let mut seen = 0;
        for &byte in bytes {
            #[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
            {
                seen |= KINDS[byte as usize];
            }
        }
        Bytes(seen)
    }

    pub(crate) fn has(self, kind: u32) -> bool {
        self.0 & kind != 0
    }
}

/// The kind of each byte.
static KINDS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "a constant table, filled in its own length")]
        {
            table[byte] = kind(byte as u8);
        }
        byte += 1;
    }
    table
};

const fn kind(byte: u8) -> u32 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 0,
        b'\'' | b'"' => Bytes::QUOTE,
        b'`' => Bytes::QUOTE | Bytes::BACKTICK,
        b'<' => Bytes::LESS,
        b'>' => Bytes::GREATER,
        b'%' => Bytes::PERCENT,
        b'&' => Bytes::AMPERSAND,
        b'\\' => Bytes::BACKSLASH,
        b'\n' | b'\r' => Bytes::BREAK | Bytes::SPACE,
        b' ' | b'\t' | 0x0b | 0x0c => Bytes::SPACE,
        0..=0x1f | 0x7f => Bytes::CONTROL,
        b'(' | b')' => Bytes::PAREN,
        b'$' => Bytes::DOLLAR,
        b'{' | b'}' => Bytes::BRACE,
        b'[' | b']' => Bytes::BRACKET,
        b'/' => Bytes::SLASH,
        b';' => Bytes::SEMICOLON,
        b'|' => Bytes::PIPE,
        b'=' => Bytes::EQUALS,
        b'#' => Bytes::HASH,
        b'+' => Bytes::PLUS,
        b'*' => Bytes::STAR,
        b'-' => Bytes::DASH,
        b'.' => Bytes::DOT,
        b':' => Bytes::COLON,
        b'^' | b'~' | b'!' => Bytes::SIGN | Bytes::OTHER,
        0x80.. => Bytes::HIGH,
        _ => Bytes::OTHER,
    }
}

/// Words that say something among letters and dots alone.
const QUIET: [&[u8]; 7] = [
    b"__proto__",
    b"constructor.",
    b"xmlapplicationcontext",
    b"jdbcrowset",
    b"templatesimpl",
    b"javax.naming",
    b"hikariconfig",
];

/// The marks of `bytes`, whose kinds are `kinds`.
pub(crate) fn screen(bytes: &[u8], kinds: Bytes) -> Marks {
    use Bytes as B;
    let mut marks = Marks::default();
    let plain = B::DASH | B::DOT | B::COLON | B::HIGH | B::OTHER | B::SIGN;
    if kinds.0 & !plain == 0
        && !(kinds.has(B::DOT) && bytes.windows(2).any(|pair| pair == b".."))
        && bytes.len() < 96
        && !bytes.starts_with(b"__")
        && !(bytes.starts_with(b".") && bytes.len() < 12)
        && !(kinds.has(B::DOT) && crate::text::has_any(bytes, &QUIET))
        && bytes.get(1) != Some(&b':')
        && ![&b"rO0AB"[..], b"AAEAAAD"].iter().any(|start| bytes.starts_with(start))
        && !crate::text::starts(bytes, b"aced0005")
        && !(kinds.has(B::DASH) && bytes.ends_with(b"--"))
    {
        // Letters, digits and what names, dates and addresses have: no word of an attack stands alone.
        return marks;
    }
    let words = words(bytes);
    marks |= words;
    if bytes.starts_with(b"///") || bytes.starts_with(b".") && bytes.len() < 12 {
        marks |= Marks::PATH;
    }
    if bytes.starts_with(b"//") {
        marks |= Marks::SSRF;
    }
    if kinds.has(B::LESS) {
        marks |= Marks::HTML | Marks::MARKUP;
    }
    if words.any(Marks::HANDLER) && kinds.has(B::EQUALS) || kinds.has(B::AMPERSAND) && kinds.has(B::BRACE) {
        marks |= Marks::HTML;
    }
    if kinds.has(B::BRACKET) && kinds.has(B::PAREN) && kinds.has(B::PLUS) {
        marks |= Marks::SCRIPT;
    }
    let signs = B::EQUALS
        | B::PIPE
        | B::PLUS
        | B::STAR
        | B::HASH
        | B::PAREN
        | B::SEMICOLON
        | B::LESS
        | B::GREATER
        | B::SLASH
        | B::DASH
        | B::AMPERSAND
        | B::PERCENT
        | B::SIGN;
    if kinds.has(B::QUOTE) && (kinds.0 & signs != 0 || words.any(Marks::CONNECTIVE)) {
        marks |= Marks::SQL;
    }
    let number = bytes.len() < 64 && bytes.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
    if words.any(Marks::CONNECTIVE) && (kinds.0 & (signs | B::QUOTE) != 0 || number) {
        marks |= Marks::SQL;
    }
    // `1 && 1 = 1`.
    if number && kinds.0 & (B::AMPERSAND | B::PIPE) != 0 && kinds.0 & (B::EQUALS | B::PAREN) != 0 {
        marks |= Marks::SQL;
    }
    if kinds.has(B::PAREN) && kinds.0 & (B::HASH | B::DASH | B::STAR) != 0 {
        marks |= Marks::SQL;
    }
    if kinds.0 & (B::SEMICOLON | B::PIPE | B::AMPERSAND | B::BACKTICK | B::BREAK) != 0
        || kinds.has(B::DOLLAR) && kinds.has(B::PAREN)
        || kinds.0 & (B::SPACE | B::PLUS | B::DOLLAR | B::BRACE) != 0
            && kinds.0 & (B::SLASH | B::DASH | B::BACKSLASH | B::DOT) != 0
        || kinds.has(B::QUOTE) && bytes.len() < 32
    {
        marks |= Marks::COMMAND;
    }
    if kinds.has(B::PAREN) && kinds.0 & (B::EQUALS | B::STAR | B::AMPERSAND | B::PIPE) != 0 {
        marks |= Marks::LDAP;
    }
    if kinds.has(B::BREAK) && (kinds.0 & (B::COLON | B::QUOTE) != 0 || bytes.len() < 256) {
        marks |= Marks::CRLF;
    }
    if kinds.has(B::QUOTE) && kinds.has(B::BRACKET) {
        marks |= Marks::XPATH;
    }
    marks
}

/// The marks of the words in `bytes`.
fn words(bytes: &[u8]) -> Marks {
    let Some(automaton) = AUTOMATON.as_ref() else {
        // Without it every detector looks at everything: slow, and nothing is missed.
        return Marks(u32::MAX);
    };
    let Ok(mut state) = automaton.dfa.start_state(Anchored::No) else { return Marks(u32::MAX) };
    let mut marks = Marks::default();
    for &byte in bytes {
        state = automaton.dfa.next_state(Anchored::No, state, byte);
        if automaton.dfa.is_special(state) && automaton.dfa.is_match(state) {
            for index in 0..automaton.dfa.match_len(state) {
                let pattern = automaton.dfa.match_pattern(state, index).as_usize();
                marks |= automaton.marks.get(pattern).copied().unwrap_or_default();
            }
        }
    }
    marks
}

struct Words {
    dfa: DFA,
    marks: Vec<Marks>,
}

static AUTOMATON: LazyLock<Option<Words>> = LazyLock::new(|| {
    let mut patterns: Vec<&[u8]> = Vec::new();
    let mut marks = Vec::new();
    for (mark, words) in WORDS {
        for word in *words {
            patterns.push(word.as_bytes());
            marks.push(*mark);
        }
    }
    patterns.push(b"\xac\xed\x00\x05");
    marks.push(Marks::OBJECT);
    let dfa =
        DFA::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(&patterns).ok()?;
    Some(Words { dfa, marks })
});

/// Builds the automaton now rather than at the first value.
pub(crate) fn prepare() {
    LazyLock::force(&AUTOMATON);
}

/// The words, by what they mark.
static WORDS: &[(Marks, &[&str])] = &[
    (
        Marks::CONNECTIVE,
        &[
            "or", "and", "like", " in", "between", "is", "not", "having", "limit", "order", "where", "div",
            "case", "by", "mod", "against",
        ],
    ),
    (
        Marks::SQL,
        &[
            "union",
            "select",
            "insert",
            "update",
            "delete",
            "drop ",
            "drop/",
            "truncate",
            "exec",
            "declare",
            "waitfor",
            "shutdown",
            "benchmark",
            "sleep",
            "extractvalue",
            "updatexml",
            "load_file",
            "outfile",
            "dumpfile",
            "information_schema",
            "sysobjects",
            "xp_",
            "sp_",
            "dbms_",
            "utl_",
            "pg_",
            "sqlite_",
            "randomblob",
            "analyse",
            "char(",
            "chr(",
            "concat",
            "elt(",
            "make_set",
            "iif(",
            "0x",
            "xor",
            "rlike",
            "regexp",
            "sounds",
            "@@",
            "all_tables",
            "user_tables",
            "rdb$",
            "generate_series",
            "ctxsys",
            "ordsys",
            "if(",
            "if (",
            "do (",
            "do(",
            "call ",
            "copy ",
            "create ",
            "alter ",
            "grant ",
            "pragma",
            "handler ",
            "load data",
            "attach ",
            "null",
            "true",
            "procedure",
            "order by",
            "group by",
            "order/",
            "having",
            "'='",
            " then ",
            "sp_password",
            "||",
            "--",
            "/*",
            "version(",
            "user(",
            "database(",
            "json_",
            "regexp_",
            "row(",
            "st_latfrom",
            "gtid_",
            "'+'",
            "sysdate",
            "';",
            "')",
            "\";",
            "\")",
            "ifnull",
            "nullif",
            "polygon",
            "xmltype",
        ],
    ),
    (
        Marks::HANDLER,
        &[
            " on", "'on", "\"on", "/on", "\ton", "\non", "`on", "+on", "srcdoc", "style", "\0on", ">on",
            "\x0con",
        ],
    ),
    (
        Marks::SCRIPT,
        &[
            "alert",
            "confirm",
            "prompt",
            "eval",
            "fromcharcode",
            "document",
            "window",
            "self[",
            "self.",
            "self/",
            "top[",
            "top.",
            "this[",
            "parent[",
            "parent.",
            "frames",
            "globalthis",
            "location",
            "cookie",
            "script:",
            "data:",
            "settimeout",
            "setinterval",
            "function(",
            "function`",
            "constructor",
            "import(",
            "fetch(",
            "innerhtml",
            "outerhtml",
            "insertadjacent",
            "mocha:",
            "mhtml:",
            "execscript",
            "atob(",
            "print(",
            "$(",
            "](",
            "]`",
            "self [",
            "top [",
        ],
    ),
    (
        Marks::PATH,
        &[
            "..",
            "0x2e",
            "0x2f",
            "0x5c",
            "/aaaaaaaa",
            "c$\\",
            "n$\\",
            "etc/",
            "etc\\",
            "passwd",
            ".ini",
            "proc/",
            "/./",
            "\\.\\",
            "file:",
            "\\\\",
            "web-inf",
            "meta-inf",
            ".htaccess",
            ".htpasswd",
            ".git/",
            ".svn/",
            ".env",
            "var/log",
            "var/run",
            "var/mail",
            "var/www",
            "id_rsa",
            "inetpub",
            "winnt",
            "system32",
            "global.asa",
            "wp-config",
            "web.config",
            "httpd.conf",
            "access_log",
            "error_log",
            "access.log",
            "error.log",
            "cmd.exe",
            ".ssh",
            ".bash_history",
            "/root/",
            ".aws/",
            ".docker/",
            "lampp",
            "sam._",
            "config.php",
            "local/apache",
            "windows\\",
            "windows/",
            "c:/",
            "c:\\",
            "d:\\",
            "d:/",
        ],
    ),
    (
        Marks::TEMPLATE,
        &[
            "{{", "${", "#{", "*{", "@{", "~{", "%{", "<%", "{%", "[[", "@(", "{$", "{php", "{if", "#set",
            "[=", "<#", "{=", "{@", "#include", "#parse", "#foreach", "<@", "th:", "__$",
        ],
    ),
    (
        Marks::CODE,
        &[
            "<?",
            "<%",
            "runtime",
            "java.",
            "processbuilder",
            "classloader",
            "#_member",
            "methodaccessor",
            "ognl",
            "xwork",
            "#application",
            "child_process",
            "mainmodule",
            "process.",
            "global.process",
            "__import__",
            "system(",
            "system (",
            "popen",
            "subprocess",
            "shell_exec",
            "passthru",
            "proc_open",
            "pcntl_exec",
            "call_user_func",
            "phpinfo",
            "allow_url_include",
            "auto_prepend",
            "xp_cmdshell",
            "wscript",
            "scripting.",
            "system.diag",
            "scriptengine",
            "nashorn",
            "groovy",
            "springframework",
            "invokefunction",
            "think\\",
            "eval",
            "base64_decode",
            "file_put",
            "file_get",
            "fsockopen",
            "$_",
            "php:",
            "expect:",
            "phar:",
            "zip:",
            "data:",
            "zlib:",
            "convert.base64",
            "exec(",
            "exec (",
            "assert(",
            "require(",
            "print(",
            "echo ",
            "create_function",
            "preg_replace",
            "include",
            "readfile",
            "die(",
            "spawn(",
            "execsync",
            "response.write",
            "createobject",
            "ini_set",
            "md5(",
            "var_dump",
            "chr(",
            "print_r",
            "file(",
            "putenv",
            "dl(",
            "fopen(",
            "#context",
            "#req",
            "(#",
            "class.",
            "#a=",
        ],
    ),
    (
        Marks::HTML,
        &["autofocus", "/script", "contenteditable", ");'>", ");\">", ")'/>", ")\"/>", " href=\"", " src=\""],
    ),
    (Marks::MARKUP, &["xinclude", "xi:include", "java.beans", "processbuilder"]),
    (
        Marks::OBJECT,
        &[
            "__proto__",
            "constructor",
            "__define",
            "__lookup",
            "ro0ab",
            "aced0005",
            "o:1",
            "o:2",
            "o:3",
            "o:4",
            "o:5",
            "o:6",
            "o:7",
            "o:8",
            "o:9",
            "o:+",
            "c:1",
            "c:2",
            "c:3",
            "c:4",
            "@type",
            "@class",
            "$type",
            "__type",
            "!!python",
            "!!ruby",
            "!ruby/",
            "!!java",
            "!!com",
            "_$$nd",
            "aaeaaad",
            "builtin",
            "cos\nsystem",
            "cposix",
            "csubprocess",
            "cnt\n",
            "objectdataprovider",
            "ysoserial",
            "templatesimpl",
            "c3p0",
            "jdbcrowset",
            "commons.collections",
            "typeobject",
            "windowsidentity",
            "py/reduce",
            "xmlapplicationcontext",
            "hikariconfig",
            "invokertransformer",
            "eventhandler",
            "jdk.nashorn",
            "<dynamic-proxy",
            "java.util.priorityqueue",
            "javax.naming",
            "\x04\x08",
            "__main__",
            "posix",
            "\u{80}",
        ],
    ),
    (
        Marks::NOSQL,
        &[
            "$ne",
            "$gt",
            "$lt",
            "$in",
            "$nin",
            "$nor",
            "$or",
            "$and",
            "$not",
            "$regex",
            "$where",
            "$exists",
            "$eq",
            "$expr",
            "$func",
            "$elem",
            "$mod",
            "$accum",
            "$set",
            "$unset",
            "$inc",
            "$mul",
            "$rename",
            "$push",
            "$pull",
            "$addto",
            "$current",
            "$match",
            "$lookup",
            "$graph",
            "$union",
            "$out",
            "$merge",
            "$facet",
            "$geo",
            "$near",
            "return ''",
            "$all",
            "$size",
            "$text",
            "$json",
            "$type",
            "db.",
            "this.",
            "return true",
            "return 1",
            "return(true",
            "while(",
            "new date",
            "=='",
            "1==1",
            "tojson(",
            "emit(",
        ],
    ),
    (
        Marks::CRLF,
        &[
            "capability",
            " fetch ",
            "body[",
            "inbox",
            " logout",
            " search all",
            "\nquit",
            "\ndata",
            "\nrset",
            "\nnoop",
            "\nehlo",
            "\nhelo",
            "\nhttp/1.",
        ],
    ),
    (Marks::COMMAND, &["bin/"]),
    (Marks::JNDI, &["${"]),
    (Marks::SSRF, &["://", "netdoc:", "jar:http", "local_file:", "ssh2.", "unix:/"]),
    (
        Marks::LDAP,
        &[
            ":2.5.13.",
            ":1.2.840.113556.",
            ")(",
            "(&",
            "(|",
            "(!",
            "*)",
            "*|",
            "*(",
            "(cn=",
            "(uid=",
            "(objectclass",
        ],
    ),
    (
        Marks::XPATH,
        &[
            "string-length(",
            "substring(name",
            "local-name(",
            "namespace-uri(",
            "doc-available(",
            "starts-with(",
            "normalize-space(",
            "count(/",
            "name(/",
            "position()",
            "last()",
            "node()",
            "name()",
            "string(/",
            "doc(concat",
            "unparsed-text",
            "parent::",
            "child::",
            "ancestor::",
            "-or-self::",
            "descendant::",
            "sibling::",
            "attribute::",
            "text()",
            "processing-instruction(",
            "comment()",
            "encode-for-uri",
            "//*",
            "//@",
            "(//",
            "]|/",
            "return $",
            "doc(",
            "[@",
            "[1]",
            "/*",
        ],
    ),
];
