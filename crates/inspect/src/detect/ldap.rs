//! Filters of LDAP (RFC 4515), put where a value stands.

use crate::class::Class;
use crate::detect::View;
use crate::text::{at, find, from, has, is_space, is_word, listed, skip_while, slice, trim};
use crate::verdict::Hits;

/// Attributes that directories have, sorted.
const ATTRIBUTES: &[&str] = &[
    "accountexpires",
    "admincount",
    "authpassword",
    "badpasswordtime",
    "badpwdcount",
    "c",
    "canonicalname",
    "cn",
    "commonname",
    "dc",
    "department",
    "description",
    "displayname",
    "distinguishedname",
    "dn",
    "dnshostname",
    "employeeid",
    "employeenumber",
    "entryuuid",
    "gecos",
    "gidnumber",
    "givenname",
    "homedirectory",
    "homedrive",
    "homephone",
    "info",
    "krbprincipalname",
    "l",
    "lastlogon",
    "lockouttime",
    "loginshell",
    "logonhours",
    "mail",
    "manager",
    "member",
    "memberof",
    "memberuid",
    "mobile",
    "name",
    "nsrole",
    "o",
    "objectcategory",
    "objectclass",
    "objectguid",
    "objectsid",
    "operatingsystem",
    "ou",
    "pager",
    "password",
    "postaladdress",
    "primarygroupid",
    "profilepath",
    "proxyaddresses",
    "pwdlastset",
    "role",
    "samaccountname",
    "scriptpath",
    "serviceprincipalname",
    "shadowlastchange",
    "sn",
    "sshpublickey",
    "st",
    "surname",
    "telephonenumber",
    "title",
    "uid",
    "uidnumber",
    "unicodepwd",
    "uniquemember",
    "user",
    "useraccountcontrol",
    "username",
    "userpassword",
    "userprincipalname",
    "whencreated",
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if view.document {
        return;
    }
    if !hits.spend(bytes.len() * 3) {
        return;
    }
    // `userPassword:2.5.13.18:=1`: a match by a rule that the client chose (RFC 4515 section 3, `extensible`).
    if let Some(start) = [&b":2.5.13."[..], b":1.2.840.113556."].iter().find_map(|rule| find(bytes, rule))
        && has(slice(bytes, start, start + 40), b":=")
    {
        hits.add(Class::Ldap, 82, "a filter with a matching rule", 0, bytes.len());
    }
    let mut index = 0;
    let mut terms = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'(') {
        let start = index + found;
        let closes = start > 0 && at(bytes, start - 1) == b')';
        if !hits.spend(if closes { 140 } else { 24 }) {
            return;
        }
        let operators = skip_while(bytes, start + 1, |b| matches!(b, b'&' | b'|' | b'!' | b'('));
        index = operators.max(start + 1);
        let operator = operators > start + 1
            && slice(bytes, start, operators).iter().any(|b| matches!(b, b'&' | b'|' | b'!'));
        let end = skip_while(bytes, operators, |b| is_word(b) || b == b'-' || b == b':' || b == b'.');
        let name = slice(bytes, operators, end);
        let equals = skip_while(bytes, end, |b| matches!(b, b'~' | b'<' | b'>'));
        let term = !name.is_empty() && at(bytes, equals) == b'=' && at(bytes, equals + 1) != b'=';
        let known = listed(ATTRIBUTES, name);
        let value = at(bytes, equals + 1);
        let before = slice(bytes, 0, start);
        // `*)(uid=*`, `admin)(&)`, `x)(|(a=b)`: closes a filter and opens another.
        let closed = before.last() == Some(&b')') && balance(before) < 0;
        let end = (equals + 24).min(bytes.len());
        let mut add = |score, why| hits.add(Class::Ldap, score, why, start.saturating_sub(8), end);
        let empty = name.is_empty() && !matches!(at(bytes, operators), b'(' | b')' | 0);
        if closed && (term && (known || value == b'*') || operator && !empty) {
            add(88, "closes the filter it stands in and opens another");
        } else if term && known && operator && value != b' ' && !slice(before, 0, 64).contains(&b' ') {
            add(76, "a filter");
        } else if closes && term && known && value != b' ' && !before.contains(&b' ') {
            add(74, "a filter");
        } else if term && value == b'*' {
            terms += 1;
            if known {
                add(74, "a filter");
            }
        }
    }
    if terms > 1 {
        hits.add(Class::Ldap, 78, "a filter", 0, bytes.len());
    }
    // `*)(&`, `*))%00`, `admin*)`: wildcards and closings with nothing open.
    let body = trim(bytes);
    let tail = body.iter().rposition(|&b| !matches!(b, b')' | 0)).map_or(0, |last| last + 1);
    let closes = body.len() - tail;
    if closes > 0
        && at(body, tail.wrapping_sub(1)) == b'*'
        && balance(body) < 0
        && !body.iter().any(|&b| is_space(b))
    {
        hits.add(Class::Ldap, 74, "a wildcard that closes its filter", 0, bytes.len());
    }
    if body.starts_with(b"*)(")
        || body.starts_with(b"*|(")
        || body.starts_with(b")(|")
        || body.starts_with(b"*()|")
        || body.starts_with(b"*(|")
    {
        hits.add(Class::Ldap, 76, "closes the filter it stands in", 0, bytes.len());
    }
}

/// Parentheses opened less those closed, in the last stretch.
fn balance(bytes: &[u8]) -> i32 {
    bytes
        .iter()
        .rev()
        .take(128)
        .map(|b| match b {
            b'(' => 1,
            b')' => -1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn attributes_are_found() {
        let mut sorted = super::ATTRIBUTES.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, super::ATTRIBUTES);
    }
}
