//! What a name says about the value behind it: secrets, personal data, privileges, addresses.

/// Whether a name is that of a secret: a password, a key, a token.
pub(crate) fn is_secret(name: &str) -> bool {
    let words = words(name);
    // `passwordResetUrl`, `tokenType`, `secretName`, `hasPassword` speak about one and are none.
    let about = [
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
    if words.iter().any(|word| about.contains(&word.as_str())) {
        return false;
    }
    any(&words, SECRETS)
}

/// Whether a name is that of a secret that no answer needs to hold, not even the one that issues it.
pub(crate) fn is_never_shown(name: &str) -> bool {
    is_secret(name) && any(&words(name), NEVER_SHOWN)
}

/// Whether a name is that of personal or financial data.
pub(crate) fn is_personal(name: &str) -> bool {
    any(&words(name), PERSONAL)
}

/// Whether a name is that of a property that only the server may decide: a role, an owner, a balance.
pub(crate) fn is_privileged(name: &str) -> bool {
    any(&words(name), PRIVILEGED)
}

/// Whether a name is that of an address that the server may be made to call.
pub(crate) fn is_address(name: &str) -> bool {
    let words = words(name);
    let shown =
        ["icon", "logo", "avatar", "website", "homepage", "docs", "documentation", "help", "terms", "policy"];
    any(&words, ADDRESSES) && !words.iter().any(|word| shown.contains(&word.as_str()))
}

/// Whether a path or an operation's name is about logging in, tokens or the like, where secrets are exchanged.
pub(crate) fn is_login(path: &str, id: Option<&str>) -> bool {
    let words: Vec<String> =
        path.split('/').chain(id).filter(|part| !part.starts_with('{')).flat_map(words).collect();
    any(&words, LOGINS)
}

/// Whether a path leads to what only administrators may use.
pub(crate) fn is_admin(path: &str) -> bool {
    path.split('/').filter(|part| !part.starts_with('{')).any(|part| {
        words(part).iter().any(|word| {
            matches!(
                word.as_str(),
                "admin"
                    | "admins"
                    | "administrator"
                    | "administration"
                    | "superuser"
                    | "backoffice"
                    | "sysadmin"
            )
        })
    })
}

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
    let mut word = String::new();
    let mut before = ' ';
    let mut letters = name.chars().take(200).peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            let starts = letter.is_uppercase()
                && (before.is_lowercase()
                    || (before.is_uppercase() && letters.peek().is_some_and(|next| next.is_lowercase())));
            if starts {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
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
            assert!(is_secret(name), "{name}");
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
            assert!(!is_secret(name), "{name}");
        }
        for name in ["role", "isAdmin", "owner_id", "email_verified", "accountBalance"] {
            assert!(is_privileged(name), "{name}");
        }
        for name in ["parole", "administrative_area", "rolled", "description"] {
            assert!(!is_privileged(name), "{name}");
        }
        for name in ["email", "userEmail", "ssn", "cardNumber", "dateOfBirth"] {
            assert!(is_personal(name), "{name}");
        }
        assert!(is_login("/v1/auth/login", None) && is_login("/users/{token}", Some("signIn")));
        assert!(!is_login("/authors/{id}", None) && !is_login("/orders", Some("listOrders")));
        assert!(is_admin("/v1/admin/users") && !is_admin("/administrative-areas"));
        assert!(is_address("callbackUrl") && is_address("webhook") && !is_address("hurl"));
        assert!(is_never_shown("passwordHash") && !is_never_shown("accessToken"));
    }
}
