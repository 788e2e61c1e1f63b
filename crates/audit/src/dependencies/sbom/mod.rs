//! Software bills of materials: CycloneDX and SPDX, both in JSON, in and out.

pub mod cyclonedx;
pub mod spdx;

#[cfg(test)]
mod tests;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::inventory::Package;
use super::version::Ecosystem;

/// What a package URL keeps as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// The package URL (purl) of a package.
pub fn purl(package: &Package) -> String {
    let escape = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    let name = match package.ecosystem {
        Ecosystem::Maven => package.name.replacen(':', "/", 1),
        _ => package.ecosystem.canonical_name(&package.name),
    };
    let name: Vec<String> = name.split('/').map(escape).collect();
    format!("pkg:{}/{}@{}", package.ecosystem.purl_type(), name.join("/"), escape(&package.version))
}

/// The package that a package URL names; `None` where its type is not known or it has no version.
pub fn from_purl(purl: &str) -> Option<Package> {
    let rest = purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split(['?', '#']).next()?;
    let (kind, rest) = rest.split_once('/')?;
    let ecosystem = Ecosystem::from_purl_type(kind)?;
    // A scope's `@` may stand as it is; the version's is the last one, behind the last slash.
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let at = slash + rest.get(slash..)?.rfind('@').filter(|&at| at > 0)?;
    let unescape = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    let path: Option<Vec<String>> = rest.get(..at)?.split('/').map(unescape).collect();
    let mut path = path?;
    if ecosystem == Ecosystem::Debian && path.len() > 1 {
        path.remove(0);
    }
    let separator = if ecosystem == Ecosystem::Maven { ":" } else { "/" };
    let version = unescape(rest.get(at + 1..)?).filter(|version| !version.is_empty())?;
    Some(Package { ecosystem, name: path.join(separator), version })
}
