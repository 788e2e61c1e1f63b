//! The kinds of attack that a value can carry.

/// One kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// SQL, whatever the dialect.
    Sql,
    /// Markup or script that a browser would run.
    Xss,
    /// A command for a POSIX or Windows shell.
    Command,
    /// A path that climbs out of its folder, or names a file of the system.
    Path,
    /// Operators or code of a document database.
    NoSql,
    /// An expression for a template engine.
    Template,
    /// Code: PHP, Java, Python, Ruby, Node, expression languages.
    Code,
    /// An LDAP filter.
    Ldap,
    /// An XPath or XQuery expression.
    XPath,
    /// XML that declares entities or includes other documents.
    Xml,
    /// A line break that starts a header field, a log line or a mail command.
    Crlf,
    /// A lookup of a logging library (JNDI).
    Jndi,
    /// A key that reaches an object's prototype.
    Prototype,
    /// A serialised object.
    Deserialization,
    /// An address inside, or one that hides where it leads.
    Ssrf,
    /// A server-side include.
    Ssi,
    /// More work to judge than any ordinary text: repetitions that are there to tire the reader.
    Excess,
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u32);

impl Classes {
    /// Adds `class`; `false` where it was there already.
    pub fn insert(&mut self, class: Class) -> bool {
        let new = !self.contains(class);
        self.0 |= 1 << class as u32;
        new
    }

    /// Whether `class` is one of them.
    pub fn contains(self, class: Class) -> bool {
        self.0 >> class as u32 & 1 == 1
    }
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Class; 17] = [
        Class::Sql,
        Class::Xss,
        Class::Command,
        Class::Path,
        Class::NoSql,
        Class::Template,
        Class::Code,
        Class::Ldap,
        Class::XPath,
        Class::Xml,
        Class::Crlf,
        Class::Jndi,
        Class::Prototype,
        Class::Deserialization,
        Class::Ssrf,
        Class::Ssi,
        Class::Excess,
    ];

    /// Its name in configuration, reports and codes.
    pub fn name(self) -> &'static str {
        match self {
            Class::Sql => "sql",
            Class::Xss => "xss",
            Class::Command => "command",
            Class::Path => "path",
            Class::NoSql => "nosql",
            Class::Template => "template",
            Class::Code => "code",
            Class::Ldap => "ldap",
            Class::XPath => "xpath",
            Class::Xml => "xml",
            Class::Crlf => "crlf",
            Class::Jndi => "jndi",
            Class::Prototype => "prototype",
            Class::Deserialization => "deserialization",
            Class::Ssrf => "ssrf",
            Class::Ssi => "ssi",
            Class::Excess => "excess",
        }
    }

    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Class::Sql => "SQL injection",
            Class::Xss => "cross-site scripting",
            Class::Command => "operating-system command injection",
            Class::Path => "path traversal",
            Class::NoSql => "NoSQL injection",
            Class::Template => "template injection",
            Class::Code => "code injection",
            Class::Ldap => "LDAP injection",
            Class::XPath => "XPath injection",
            Class::Xml => "XML external entity",
            Class::Crlf => "header, log or mail injection",
            Class::Jndi => "lookup injection",
            Class::Prototype => "prototype pollution",
            Class::Deserialization => "deserialization of an untrusted object",
            Class::Ssrf => "server-side request forgery",
            Class::Ssi => "server-side include injection",
            Class::Excess => "a value made to be costly to judge",
        }
    }

    /// Its number in the Common Weakness Enumeration.
    pub fn cwe(self) -> u16 {
        match self {
            Class::Sql => 89,
            Class::Xss => 79,
            Class::Command => 78,
            Class::Path => 22,
            Class::NoSql => 943,
            Class::Template => 1336,
            Class::Code => 94,
            Class::Ldap => 90,
            Class::XPath => 643,
            Class::Xml => 611,
            Class::Crlf => 93,
            Class::Jndi => 917,
            Class::Prototype => 1321,
            Class::Deserialization => 502,
            Class::Ssrf => 918,
            Class::Ssi => 97,
            Class::Excess => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_the_order_of_their_numbers() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
