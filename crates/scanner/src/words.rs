//! What names say: how paths, parameters and members are taken apart into words, and which words mean what.

/// `orderId`, `order_id`, `Order-ID` to `order id`, in lower case.
pub(crate) fn split(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let hump = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_ascii_digit()
                || (before.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase())));
        if (!c.is_alphanumeric() || hump) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A name without case and separators.
pub(crate) fn flat(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// An English plural to its singular, near enough to compare nouns.
pub(crate) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies")
        && stem.len() > 1
    {
        return format!("{stem}y");
    }
    for ending in ["sses", "xes", "ches", "shes"] {
        if word.ends_with(ending) {
            return word.strip_suffix("es").unwrap_or(word).to_owned();
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 1 && !stem.ends_with('s') && !stem.ends_with('u') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// Whether a name contains one of these words.
pub(crate) fn has(name: &str, wanted: &[&str]) -> bool {
    split(name).iter().any(|word| wanted.contains(&word.as_str()))
}

/// Whether a name, flat, contains one of these pieces.
pub(crate) fn contains(name: &str, wanted: &[&str]) -> bool {
    let flat = flat(name);
    wanted.iter().any(|piece| flat.contains(piece))
}

/// Words that say only that something is a name or a number.
const EMPTY_WORDS: &[&str] = &[
    "id",
    "ids",
    "uuid",
    "guid",
    "number",
    "no",
    "num",
    "key",
    "ref",
    "reference",
    "code",
    "to",
    "from",
    "target",
    "source",
    "dest",
    "destination",
    "the",
    "my",
    "current",
    "new",
    "slug",
    "name",
];

/// The words of a name that say what it is about.
pub(crate) fn telling(name: &str) -> Vec<String> {
    split(name)
        .iter()
        .filter(|word| !EMPTY_WORDS.contains(&word.as_str()))
        .map(|word| singular(word))
        .collect()
}

/// Whether the name is one of an identifier: `id`, `uuid`, `orderId`, `user_id`.
pub(crate) fn is_id(name: &str) -> bool {
    split(name).last().is_some_and(|word| {
        matches!(word.as_str(), "id" | "uuid" | "guid" | "pk" | "slug" | "key" | "ref" | "number" | "no")
    })
}

/// Whether the name is one of a password that a person chose.
pub(crate) fn is_password(name: &str) -> bool {
    contains(name, &["password", "passwd", "passphrase", "passcode"])
        || matches!(flat(name).as_str(), "pass" | "pwd" | "pw")
}

/// Whether the name is one that an account is known by at log-in.
pub(crate) fn is_login_name(name: &str) -> bool {
    matches!(
        flat(name).as_str(),
        "username"
            | "user"
            | "login"
            | "email"
            | "emailaddress"
            | "mail"
            | "userid"
            | "loginid"
            | "account"
            | "phone"
            | "mobile"
            | "identifier"
            | "handle"
            | "nickname"
            | "useremail"
            | "loginname"
            | "name"
            | "usernameoremail"
            | "emailorusername"
    )
}

/// Whether a member of this name holds a secret or something private to a person.
pub(crate) fn is_private(name: &str) -> bool {
    is_sensitive(name)
        || contains(name, &["phone", "email", "address", "pincode", "latitude", "longitude"])
        // Short ones as whole words only: `businessName` has no social security number, `province` no vehicle's.
        || has(name, &["pin", "token", "session", "vin", "hash"])
}

/// Whether a member of this name holds what is private whatever the API is about: contact data and places may be meant
/// for all, these are not.
pub(crate) fn is_sensitive(name: &str) -> bool {
    is_password(name)
        || contains(
            name,
            &[
                "secret",
                "socialsecurity",
                "cardnumber",
                "creditcard",
                "apikey",
                "privatekey",
                "accesstoken",
                "refreshtoken",
                "resettoken",
                "resetpin",
                "balance",
                "salary",
                "birth",
                "passport",
                "taxid",
                "medical",
                "diagnosis",
                "routingnumber",
                "accountnumber",
            ],
        )
        || has(name, &["ssn", "cvv", "cvc", "iban", "dob", "otp", "income"])
}

/// Whether a path segment says only what is done.
pub(crate) fn is_verb(segment: &str) -> bool {
    matches!(
        segment.to_ascii_lowercase().as_str(),
        "create"
            | "add"
            | "new"
            | "list"
            | "all"
            | "search"
            | "get"
            | "find"
            | "update"
            | "edit"
            | "save"
            | "store"
            | "submit"
            | "make"
            | "history"
            | "api"
            | "rest"
            | "details"
            | "export"
            | "bulk"
            | "batch"
            | "current"
            | "me"
    )
}

/// Whether this word, in a path, names things that belong to one person each.
pub(crate) fn is_personal(word: &str) -> bool {
    matches!(
        singular(word).as_str(),
        "order"
            | "payment"
            | "invoice"
            | "card"
            | "account"
            | "wallet"
            | "cart"
            | "basket"
            | "profile"
            | "message"
            | "transaction"
            | "transfer"
            | "loan"
            | "statement"
            | "bill"
            | "receipt"
            | "prescription"
            | "appointment"
            | "booking"
            | "reservation"
            | "ticket"
            | "vehicle"
            | "note"
            | "document"
            | "file"
            | "address"
            | "inbox"
            | "conversation"
            | "notification"
            | "subscription"
            | "beneficiary"
            | "claim"
            | "policy"
            | "paystub"
            | "salary"
            | "report"
            | "purchase"
            | "shipment"
            | "refund"
            | "secret"
            | "credential"
            | "token"
            | "draft"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        assert_eq!(split("orderID"), ["order", "id"]);
        assert_eq!(split("HTTPServer_name2"), ["http", "server", "name2"]);
        assert_eq!(flat("book_Title"), "booktitle");
        for (plural, one) in [
            ("users", "user"),
            ("categories", "category"),
            ("boxes", "box"),
            ("status", "status"),
            ("address", "address"),
        ] {
            assert_eq!(singular(plural), one);
        }
        assert_eq!(telling("to_account"), ["account"]);
        assert!(is_password("newPassword") && is_password("pwd") && !is_password("passenger"));
        assert!(!is_private("businessName") && !is_private("province") && !is_private("hashtags"));
        assert!(is_private("passwordHash") && is_private("ssn") && is_private("userDob"));
        assert!(is_sensitive("account_number") && !is_sensitive("address") && !is_sensitive("session"));
        assert!(is_private("card_number") && is_private("resetToken") && !is_private("title"));
    }
}
