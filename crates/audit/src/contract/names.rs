//! What a name says about the value behind it: secrets, personal data, privileges, addresses.

/// What a name says about the value behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// A secret: a password, a key, a token.
    pub(crate) secret: bool,
    /// A secret that no answer needs to hold, not even the one that issues it.
    pub(crate) never_shown: bool,
    /// A password, and nothing about one.
    pub(crate) password: bool,
    /// Personal or financial data.
    pub(crate) personal: bool,
    /// What only the server may decide: a role, an owner, a balance.
    pub(crate) privileged: bool,
    /// An address that the server may be made to call.
    pub(crate) address: bool,
    /// What only those who wrote the API need to see: a stack trace, a statement.
    pub(crate) inside: bool,
}

impl Meaning {
    pub(crate) fn of(name: &str) -> Meaning {
        let words = words(name);
        let among = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let secret = any(&words, SECRETS) && !among(ABOUT_SECRETS);
        Meaning {
            secret,
            never_shown: secret && any(&words, NEVER_SHOWN),
            password: words.last().is_some_and(|word| PASSWORDS.contains(&word.as_str())),
            personal: any(&words, PERSONAL),
            privileged: any(&words, PRIVILEGED),
            address: any(&words, ADDRESSES) && !among(SHOWN_ADDRESSES),
            inside: INSIDE.contains(&words.concat().as_str()),
        }
    }
}

/// Whether a path or an operation's name is about logging in, tokens or the like, where secrets are exchanged.
pub(crate) fn is_login(path: &str, id: Option<&str>) -> bool {
    let parts = || path.split('/').chain(id).filter(|part| !part.starts_with('{'));
    let mut word = String::new();
    let begins = |word: &str| LOGINS.iter().any(|phrase| phrase.first() == Some(&word));
    // Most have no word that any of the phrases begins with.
    if !parts().any(|part| any_word(part, &mut word, begins)) {
        return false;
    }
    let words: Vec<String> = parts().flat_map(words).collect();
    any(&words, LOGINS)
}

/// Whether a path leads to what only administrators may use.
pub(crate) fn is_admin(path: &str) -> bool {
    let mut word = String::new();
    let mut parts = path.split('/').filter(|part| !part.starts_with('{'));
    parts.any(|part| any_word(part, &mut word, |word| ADMINS.contains(&word)))
}

const ADMINS: &[&str] =
    &["admin", "admins", "administrator", "administration", "superuser", "backoffice", "sysadmin"];

const SECRETS: &[&[&str]] = &[
    &["password"],
    &["passwd"],
    &["pwd"],
    &["passphrase"],
    &["passcode"],
    &["secret"],
    &["secrets"],
    &["private", "key"],
    &["api", "key"],
    &["apikey"],
    &["access", "key"],
    &["access", "token"],
    &["refresh", "token"],
    &["auth", "token"],
    &["id", "token"],
    &["bearer"],
    &["jwt"],
    &["session", "id"],
    &["sessionid"],
    &["session", "token"],
    &["token"],
    &["otp"],
    &["totp"],
    &["pin", "code"],
    &["pin"],
    &["cvv"],
    &["cvc"],
    &["cvv2"],
    &["csc"],
    &["security", "answer"],
    &["credential"],
    &["credentials"],
    &["encryption", "key"],
    &["signing", "key"],
];

/// `passwordResetUrl`, `tokenType`, `secretName`, `hasPassword` speak about one and are none.
const ABOUT_SECRETS: &[&str] = &[
    "url",
    "uri",
    "type",
    "name",
    "id",
    "ids",
    "policy",
    "expiry",
    "expires",
    "expiration",
    "length",
    "count",
    "enabled",
    "required",
    "changed",
    "updated",
    "at",
    "date",
    "time",
    "ttl",
    "hint",
    "status",
    "reset",
    "version",
    "limit",
    "usage",
    "prefix",
    "arn",
    "ref",
    "reference",
    "page",
    "next",
    "previous",
    "continuation",
    "scope",
    "scopes",
    "last",
    "has",
    "is",
    "rotation",
    "lifetime",
    "format",
    "location",
    "set",
    "in",
    "on",
    "strength",
    "history",
    "minimum",
    "maximum",
    "use",
    "uses",
    "reason",
    "description",
    "label",
    "endpoint",
];

const NEVER_SHOWN: &[&[&str]] = &[
    &["password"],
    &["passwd"],
    &["pwd"],
    &["passphrase"],
    &["private", "key"],
    &["cvv"],
    &["cvc"],
    &["cvv2"],
    &["csc"],
    &["pin"],
    &["pin", "code"],
    &["security", "answer"],
    &["hash"],
    &["salt"],
    &["totp"],
    &["otp"],
];

const PERSONAL: &[&[&str]] = &[
    &["ssn"],
    &["social", "security"],
    &["tax", "id"],
    &["taxpayer"],
    &["passport"],
    &["credit", "card"],
    &["card", "number"],
    &["iban"],
    &["account", "number"],
    &["date", "of", "birth"],
    &["dob"],
    &["birth", "date"],
    &["birthdate"],
    &["birthday"],
    &["national", "id"],
    &["driver", "license"],
    &["drivers", "license"],
    &["email"],
    &["phone", "number"],
    &["phone"],
    &["mobile", "number"],
    &["msisdn"],
    &["medical"],
    &["diagnosis"],
    &["iin"],
];

const PRIVILEGED: &[&[&str]] = &[
    &["role"],
    &["roles"],
    &["is", "admin"],
    &["admin"],
    &["superuser"],
    &["is", "staff"],
    &["permission"],
    &["permissions"],
    &["privilege"],
    &["privileges"],
    &["is", "verified"],
    &["email", "verified"],
    &["verified"],
    &["approved"],
    &["is", "approved"],
    &["balance"],
    &["credit", "limit"],
    &["owner", "id"],
    &["owner"],
    &["tenant", "id"],
    &["created", "by"],
    &["is", "superuser"],
    &["access", "level"],
    &["user", "type"],
    &["account", "type"],
    &["kyc", "status"],
    &["is", "premium"],
];

const ADDRESSES: &[&[&str]] = &[
    &["callback"],
    &["webhook"],
    &["redirect"],
    &["url"],
    &["uri"],
    &["urls"],
    &["endpoint"],
    &["href"],
    &["hostname"],
    &["proxy"],
    &["feed"],
    &["remote", "host"],
];

/// Addresses that are shown to people.
const SHOWN_ADDRESSES: &[&str] =
    &["icon", "logo", "avatar", "website", "homepage", "docs", "documentation", "help", "terms", "policy"];

const PASSWORDS: &[&str] = &["password", "passwd", "pwd", "passphrase"];

/// Whole names, without what separates their words.
const INSIDE: &[&str] = &[
    "stacktrace",
    "stack",
    "backtrace",
    "traceback",
    "exception",
    "exceptionmessage",
    "exceptiontype",
    "innerexception",
    "sql",
    "sqlstate",
    "sqlquery",
    "debug",
    "debuginfo",
    "debugmessage",
    "developermessage",
    "innererror",
    "innererrors",
    "exceptionclass",
    "stacktraceelements",
];

const LOGINS: &[&[&str]] = &[
    &["login"],
    &["logon"],
    &["log", "in"],
    &["signin"],
    &["sign", "in"],
    &["signup"],
    &["sign", "up"],
    &["register"],
    &["registration"],
    &["token"],
    &["tokens"],
    &["oauth"],
    &["oauth2"],
    &["auth"],
    &["authenticate"],
    &["authentication"],
    &["authorize"],
    &["session"],
    &["sessions"],
    &["sso"],
    &["saml"],
    &["password"],
    &["credentials"],
    &["apikey"],
    &["apikeys"],
    &["api", "keys"],
    &["api", "key"],
    &["keys"],
    &["secret"],
    &["secrets"],
    &["otp"],
    &["mfa"],
    &["2fa"],
    &["captcha"],
    &["forgot"],
    &["jwt"],
];

/// Whether any of the phrases stands in the words, in order and side by side.
fn any(words: &[String], phrases: &[&[&str]]) -> bool {
    phrases.iter().any(|phrase| {
        words
            .windows(phrase.len())
            .any(|window| window.iter().zip(*phrase).all(|(word, wanted)| word == wanted))
    })
}

/// The words of a name, in lower case: `userAPIKey`, `user_api_key` and `user-api-key` alike.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    any_word(name, &mut String::new(), |word| {
        words.push(word.to_owned());
        false
    });
    words
}

/// Whether `is` says so of any of the words; `word` is where they are put together.
fn any_word(name: &str, word: &mut String, mut is: impl FnMut(&str) -> bool) -> bool {
    word.clear();
    let mut before = ' ';
    let mut letters = name.chars().take(200).peekable();
    while let Some(letter) = letters.next() {
        let is_part = letter.is_alphanumeric();
        let starts = letter.is_uppercase()
            && (before.is_lowercase()
                || (before.is_uppercase() && letters.peek().is_some_and(|next| next.is_lowercase())));
        if (starts || !is_part) && !word.is_empty() {
            if is(word) {
                return true;
            }
            word.clear();
        }
        if letter.is_ascii() && is_part {
            word.push(letter.to_ascii_lowercase());
        } else if is_part {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    !word.is_empty() && is(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words("userAPIKey"), ["user", "api", "key"]);
        assert_eq!(words("X-Api-Key"), ["x", "api", "key"]);
        assert_eq!(words("is_admin2"), ["is", "admin2"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn names_are_told_apart() {
        for name in ["password", "userPassword", "client_secret", "accessToken", "X-API-Key", "cvv", "pin"] {
            assert!(Meaning::of(name).secret, "{name}");
        }
        for name in [
            "passwordResetUrl",
            "tokenType",
            "nextPageToken",
            "hasPassword",
            "keyboard",
            "pinned",
            "secretary",
            "spinning",
            "shipping",
            "monkey",
            "passwordLastChanged",
            "secretName",
        ] {
            assert!(!Meaning::of(name).secret, "{name}");
        }
        for name in ["role", "isAdmin", "owner_id", "email_verified", "accountBalance"] {
            assert!(Meaning::of(name).privileged, "{name}");
        }
        for name in ["parole", "administrative_area", "rolled", "description"] {
            assert!(!Meaning::of(name).privileged, "{name}");
        }
        for name in ["email", "userEmail", "ssn", "cardNumber", "dateOfBirth"] {
            assert!(Meaning::of(name).personal, "{name}");
        }
        assert!(is_login("/v1/auth/login", None) && is_login("/users/{token}", Some("signIn")));
        assert!(!is_login("/authors/{id}", None) && !is_login("/orders", Some("listOrders")));
        assert!(is_admin("/v1/admin/users") && !is_admin("/administrative-areas"));
        assert!(
            Meaning::of("callbackUrl").address
                && Meaning::of("webhook").address
                && !Meaning::of("hurl").address
        );
        assert!(Meaning::of("passwordHash").never_shown && !Meaning::of("accessToken").never_shown);
    }
}
