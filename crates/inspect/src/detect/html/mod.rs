//! Markup: tags, attributes and URLs that make a browser run something.
//!
//! Read as a browser reads it: a tag begins with `<` and a letter, attributes need no space between them, values no
//! quotation marks. Ordinary rich text (paragraphs, emphasis, links, pictures) is left alone.

mod events;

use events::EVENTS;

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, from, has, is_space, is_word, listed, skip_space, skip_while, slice, starts, trim};
use crate::verdict::Hits;

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let discount = if view.document { 25 } else { 0 };
    // One look for entities, one for probes, a few for fragments of short values.
    if !hits.spend(view.bytes.len() * if view.is_short() { 14 } else { 2 }) {
        return;
    }
    if let Some(start) = crate::text::find(view.bytes, b"&{")
        && (at(view.bytes, start + 2) == b'(' || sinks(slice(view.bytes, start, start + 64)))
    {
        hits.add(
            Class::Xss,
            76 - discount,
            "a script in an entity",
            start,
            (start + 60).min(view.bytes.len()),
        );
    }
    tags(view.bytes, 0, 0, discount, hits);
    probes(view, hits);
    fragments(view, discount, hits);
    attributes_alone(view, discount, hits);
}

/// A run of the signs that end a string, an attribute and a tag: it asks which of them pass.
fn probes(view: &View<'_>, hits: &mut Hits) {
    let mut run = 0;
    let mut seen = [false; 4];
    for (index, &byte) in view.bytes.iter().enumerate().take(4096) {
        let sign = match byte {
            b'\'' => 0,
            b'"' => 1,
            b'<' => 2,
            b'>' => 3,
            _ => {
                (run, seen) = (0, [false; 4]);
                continue;
            }
        };
        run += 1;
        if let Some(place) = seen.get_mut(sign) {
            *place = true;
        }
        if run < 8 && seen == [true; 4] && view.is_short() {
            hits.add(Class::Xss, 72, "asks which signs pass", index.saturating_sub(run), index + 1);
        }
    }
}

/// Pieces of markup whose beginning stands in the page around, or whose brackets a filter took.
fn fragments(view: &View<'_>, discount: u8, hits: &mut Hits) {
    let bytes = trim(view.bytes);
    if !view.is_short() {
        return;
    }
    let mut add = |score: u8, why| hits.add(Class::Xss, score - discount, why, 0, view.bytes.len());
    // `</title>…`, `</body></html>`: closes what the value stands in.
    if let Some(rest) = bytes.strip_prefix(b"</") {
        let name = slice(rest, 0, skip_while(rest, 0, is_word));
        if view.place != Place::Body && listed(HOLDS_TEXT, name) && has(from(rest, name.len()), b">") {
            add(72, "closes the element that it stands in");
        }
    }
    // `x autofocus>`: an attribute without a value, and the end of a tag that began outside.
    let open = bytes.iter().position(|&b| b == b'<').unwrap_or(bytes.len());
    let head = slice(bytes, 0, open);
    if let Some(end) = head.iter().position(|&b| b == b'>')
        && [&b" autofocus"[..], b" onfocus", b" contenteditable", b"'autofocus", b"\"autofocus"]
            .iter()
            .any(|known| trim(slice(head, 0, end)).to_ascii_lowercase().ends_with(known))
    {
        add(74, "an attribute put into a tag");
    }
    // `x);'>`, `"icon" href="x" />`: the end of an attribute or tag that began outside.
    if [&b");'>"[..], b");\">", b")'/>", b")\"/>"].iter().any(|known| has(head, known))
        || head.starts_with(b"\"")
            && head.ends_with(b">")
            && [&b" href=\""[..], b" src=\""].iter().any(|known| has(head, known))
    {
        add(72, "the end of a tag that began outside");
    }
    // `scriptalert(1)/script`, `[a]script>alert(1)[a]/script>`: a script tag without its brackets.
    if open == bytes.len()
        && let Some(start) = crate::text::find(bytes, b"script")
        && let Some(end) = crate::text::find(from(bytes, start + 6), b"/script")
        && sinks(slice(bytes, start + 6, start + 6 + end))
        && slice(bytes, start + 6, start + 6 + end).iter().any(|&b| matches!(b, b'(' | b'=' | b'`'))
    {
        add(76, "a script tag, its brackets gone");
    }
}

/// Elements whose content is text, or that a page has one of: nobody's value begins by closing one. Sorted.
const HOLDS_TEXT: &[&str] =
    &["body", "head", "html", "noembed", "noscript", "script", "select", "style", "textarea", "title"];

/// Finds the tags of `bytes`; `offset` is where they stand in the view.
fn tags(bytes: &[u8], offset: usize, depth: u32, discount: u8, hits: &mut Hits) {
    let mut index = 0;
    if !hits.spend(bytes.len() * 2) {
        return;
    }
    while index < bytes.len() {
        if at(bytes, index) != b'<' {
            index += 1;
            continue;
        }
        let start = index;
        index += 1;
        if !hits.spend(TAG) {
            return;
        }
        let mut name = index;
        // NULs vanish for some, and `< script` is a tag for those who strip blanks.
        while matches!(at(bytes, name), 0 | b'/' | b'<') && name < bytes.len() && name < index + 4 {
            name += 1;
        }
        let spaced = is_space(at(bytes, name));
        if spaced {
            name = skip_space(bytes, name).min(name + 4);
        }
        let end = skip_while(bytes, name, |b| is_word(b) || b == b'-' || b == b':' || b == 0 || b >= 0x80);
        let closing = slice(bytes, index, name).contains(&b'/');
        let mut found = Tag { name: slice(bytes, name, end), closing, ..Tag::default() };
        match at(bytes, name) {
            b'!' | b'?' if !spaced => {
                declaration(from(bytes, name), offset + start, discount, hits);
                continue;
            }
            b'%' if !spaced => continue,
            byte if !byte.is_ascii_alphabetic() => continue,
            _ => {}
        }
        // `Vec::<Script>`, `<object|string>`: types of code.
        if start > 1 && slice(bytes, start - 2, start) == b"::"
            || matches!(at(bytes, end), b'|' | b'[' | b']' | b'.')
        {
            continue;
        }
        if spaced && !listed(RUNS, found.name) {
            continue;
        }
        index = attributes(bytes, end, &mut found, offset, depth, discount, hits);
        if found.name.eq_ignore_ascii_case(b"style") && !found.closing {
            let rest = slice(bytes, index, index + 2048);
            hits.spend(rest.len() * 6);
            let css = slice(rest, 0, crate::text::find(rest, b"</style").unwrap_or(rest.len()));
            if found.scripted || style_runs(css) {
                hits.add(
                    Class::Xss,
                    86 - discount,
                    "a style that runs script",
                    offset + start,
                    offset + index,
                );
            }
        }
        // "The <script> tag": in the middle of a sentence, and nothing in it.
        if found.name.eq_ignore_ascii_case(b"script") && !found.closing && found.count == 0 {
            let rest = slice(bytes, index, index + 512);
            hits.spend(rest.len() * 2);
            let before = slice(bytes, 0, start);
            if at(rest, 0) == b' '
                && before.ends_with(b" ")
                && before.len() > 2
                && !has(rest, b"</script")
                && !rest.iter().any(|&b| matches!(b, b'(' | b'`' | b'='))
            {
                continue;
            }
        }
        // What steals is no example in a text, however long the text around it.
        if discount > 0
            && found.closed
            && !found.closing
            && found.name.eq_ignore_ascii_case(b"script")
            && hits.spend(STEALS * 4)
            && steals(bytes, index)
        {
            hits.add(
                Class::Xss,
                78,
                "a script that sends away what the page knows",
                offset + start,
                offset + index,
            );
        }
        if !found.closed
            && found.name.eq_ignore_ascii_case(b"script")
            && hits.spend(slice(bytes, index, index + 512).len())
            && has(slice(bytes, index, index + 512), b"</script")
        {
            hits.add(Class::Xss, 78 - discount, "a script tag", offset + start, offset + index);
        }
        found.judge(offset + start, offset + index, discount, hits);
    }
}

/// Steps for a tag, and for an attribute with a value.
const TAG: usize = 48;
const ATTRIBUTE: usize = 90;

/// As much of a script as is looked at.
const STEALS: usize = 1024;

/// `name` in lower case and without NULs; empty where no name that is known is as long.
fn lowered<'b>(name: &[u8], buffer: &'b mut [u8; 16]) -> &'b [u8] {
    let mut length = 0;
    for &byte in name.iter().filter(|&&b| b != 0) {
        let Some(place) = buffer.get_mut(length) else { return &[] };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    slice(buffer, 0, length)
}

/// Whether the script that begins at `index` reads the page's secrets or runs hidden code, and sends or runs it at once.
fn steals(bytes: &[u8], index: usize) -> bool {
    let rest = slice(bytes, index, index + STEALS);
    let script = slice(rest, 0, crate::text::find(rest, b"</script").unwrap_or(0));
    let secret = crate::text::has_any(script, &[b"document.cookie", b"localstorage", b"sessionstorage"]);
    let away = crate::text::has_any(
        script,
        &[b"location", b"fetch(", b".src", b"xmlhttprequest", b"sendbeacon", b"//", b"new image"],
    );
    secret && away
        || crate::text::has_any(script, &[b"eval(atob", b"eval(string.fromcharcode", b"eval(unescape"])
}

/// What a tag has.
#[derive(Debug, Default)]
struct Tag<'a> {
    name: &'a [u8],
    closing: bool,
    /// Attributes there are.
    count: u32,
    /// `src`, `data`, `code`, `srcdoc`, `href`, `action`, … with a value.
    source: bool,
    closed: bool,
    equiv: bool,
    stylesheet: bool,
    /// Its type is a language of script.
    scripted: bool,
}

/// Tags whose mere presence loads or runs something.
const RUNS: &[&str] = &[
    "applet", "audio", "base", "bgsound", "body", "button", "details", "embed", "form", "frame", "frameset",
    "html", "iframe", "ilayer", "image", "img", "input", "isindex", "layer", "link", "marquee", "math",
    "meta", "object", "script", "style", "svg", "textarea", "video", "xml", "xss",
];

impl Tag<'_> {
    fn judge(&self, start: usize, end: usize, discount: u8, hits: &mut Hits) {
        let mut buffer = [0; 16];
        let own = lowered(self.name, &mut buffer);
        let is = |name: &str| own == name.as_bytes();
        let name = self.name.rsplit(|&b| b == b':').next().unwrap_or_default();
        let local = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let (score, why) = if is("script")
            || local("script")
            || starts(self.name, b"script") && self.name.len() < 9 && !self.closing
        {
            (
                if !self.closed && !self.source {
                    60
                } else if self.closing {
                    78
                } else {
                    90
                },
                "a script tag",
            )
        } else if self.closing {
            (
                if local("style") || local("textarea") || local("title") || local("noscript") {
                    55
                } else {
                    5
                },
                "a closing tag",
            )
        } else if matches!(
            own,
            b"iframe"
                | b"frame"
                | b"frameset"
                | b"object"
                | b"embed"
                | b"applet"
                | b"layer"
                | b"ilayer"
                | b"bgsound"
                | b"portal"
                | b"fencedframe"
        ) {
            (
                if self.source {
                    82
                } else if self.count > 0 {
                    70
                } else {
                    50
                },
                "a tag that loads another document",
            )
        } else if is("base") && self.source {
            (85, "a tag that moves every relative link")
        } else if is("meta") {
            (
                if self.equiv {
                    82
                } else if self.count > 0 {
                    55
                } else {
                    30
                },
                "a tag that redirects or changes how the page is read",
            )
        } else if is("link") {
            (
                if self.stylesheet && self.source {
                    75
                } else if self.source {
                    65
                } else {
                    20
                },
                "a tag that loads a style sheet",
            )
        } else if is("isindex") || is("xss") || is("import") && self.count > 0 {
            (80, "a tag that nobody writes on purpose")
        } else if is("style") {
            (55, "a style tag")
        } else if is("svg") || is("math") {
            (if self.count > 0 || self.closed { 50 } else { 40 }, "a tag with a parser of its own")
        } else if is("form") && self.source {
            (68, "a form of its own")
        } else if is("marquee") || is("blink") || is("plaintext") || is("xmp") || is("listing") {
            (65, "a tag that changes how the rest is shown")
        } else if is("xml") && self.source {
            (75, "a tag that loads data for the page")
        } else if is("xml") || is("html") || is("body") {
            (if self.count > 0 { 45 } else { 30 }, "a tag of a whole document")
        } else {
            (10, "a tag")
        };
        hits.add(Class::Xss, score - discount.min(score), why, start, end);
    }
}

/// Reads the attributes that begin at `index`; answers where the tag ends.
fn attributes<'a>(
    bytes: &'a [u8],
    index: usize,
    tag: &mut Tag<'a>,
    offset: usize,
    depth: u32,
    discount: u8,
    hits: &mut Hits,
) -> usize {
    let mut index = index;
    loop {
        index = skip_while(bytes, index, |b| {
            is_space(b) || matches!(b, b'/' | 0 | b'"' | b'\'' | b'`' | b',' | b'+')
        });
        if index >= bytes.len() {
            return index;
        }
        match at(bytes, index) {
            b'>' => {
                tag.closed = true;
                return index + 1;
            }
            // Another tag: what came before is judged, and that one is read anew.
            b'<' => return index,
            _ => {}
        }
        let name = index;
        index = skip_while(bytes, index, |b| {
            !is_space(b) && !matches!(b, b'=' | b'>' | b'/' | b'<' | b'"' | b'\'')
        });
        let attribute = slice(bytes, name, index);
        if index == name {
            index += 1;
            continue;
        }
        tag.count += 1;
        let mut equals = skip_space(bytes, index);
        if at(bytes, equals) != b'=' {
            // `6;avascript:alert(1)`: what is left of a spelt-out URL.
            if let Some(colon) = crate::text::find(attribute, b"script:")
                && sinks(from(attribute, colon))
                && attribute.contains(&b'(')
            {
                hits.add(Class::Xss, 80 - discount, "a URL that runs script", offset + name, offset + index);
            }
            if starts(attribute, b"on") && listed(EVENTS, attribute) {
                hits.add(Class::Xss, 55 - discount, "an event handler", offset + name, offset + index);
            }
            continue;
        }
        equals = skip_while(bytes, equals + 1, |b| is_space(b) || b == 0);
        let quote = at(bytes, equals);
        let (value, behind) = if matches!(quote, b'"' | b'\'' | b'`') {
            let end = skip_while(bytes, equals + 1, |b| b != quote);
            let value = slice(bytes, equals + 1, end);
            if end >= bytes.len() && value.contains(&b'<') {
                // Never closed: what follows may be tags.
                let end = skip_while(bytes, equals + 1, |b| b != b'<');
                (slice(bytes, equals + 1, end), end)
            } else {
                if depth < 2 && value.contains(&b'<') {
                    tags(value, offset + equals + 1, depth + 1, discount, hits);
                }
                (value, end + 1)
            }
        } else {
            let end = skip_while(bytes, equals, |b| !is_space(b) && b != b'>');
            (slice(bytes, equals, end), end)
        };
        index = behind;
        attribute_value(tag, attribute, value, offset + name, offset + behind, discount, hits);
    }
}

/// What an attribute with a value does.
fn attribute_value(
    tag: &mut Tag<'_>,
    attribute: &[u8],
    value: &[u8],
    start: usize,
    end: usize,
    discount: u8,
    hits: &mut Hits,
) {
    let mut buffer = [0; 16];
    let local = attribute.rsplit(|&b| b == b':').next().unwrap_or_default();
    let local = if local.contains(&0) { &[] } else { lowered(local, &mut buffer) };
    let is = |name: &str| local == name.as_bytes();
    let styled = if is("style") { 6 } else { 1 };
    if !hits.spend(value.len() * styled + ATTRIBUTE) {
        return;
    }
    if starts(attribute, b"on")
        && attribute.len() > 3
        && attribute.iter().skip(2).all(|&b| b.is_ascii_alphabetic() || b == 0)
    {
        // JSX hands functions over in braces; what it calls is the page's own.
        let jsx = at(trim(value), 0) == b'{' && !sinks(value);
        let score = match (jsx, listed(EVENTS, attribute)) {
            (true, _) => 45,
            (_, true) if discount > 0 && !sinks(value) => 80,
            (_, true) => 95,
            (_, false) if value.is_empty() => 40,
            (_, false) => 82,
        };
        hits.add(Class::Xss, score - discount.min(score), "an event handler in a tag", start, end);
    }
    if is("type") && has(value, b"javascript") {
        tag.scripted = true;
    }
    if is("datasrc") || is("datafld") || is("dataformatas") {
        hits.add(Class::Xss, 76 - discount, "an attribute that fills in markup from elsewhere", start, end);
    }
    if value.starts_with(b"&{") {
        hits.add(Class::Xss, 78 - discount, "a script in an entity", start, end);
    }
    if is("http-equiv") {
        tag.equiv |=
            crate::text::has_any(value, &[b"refresh", b"cookie", b"content-", b"link", b"pics", b"page-e"]);
    }
    if is("rel") && (has(value, b"stylesheet") || has(value, b"import") || has(value, b"preload")) {
        tag.stylesheet = true;
    }
    let url = listed(URLS, local);
    if url {
        tag.source |= !value.is_empty() || is("srcdoc");
    }
    if let Some(why) = script_url(value) {
        let known = url || is("style");
        hits.add(Class::Xss, if known { 95 } else { 85 } - discount / 2, why, start, end);
    }
    if is("style") && style_runs(value) {
        hits.add(Class::Xss, 88 - discount / 2, "a style that runs script", start, end);
    }
    if is("srcdoc") {
        hits.add(Class::Xss, 85 - discount, "a document in an attribute", start, end);
    }
    if (is("formaction") || is("dynsrc") || is("attributename")) && !value.is_empty() {
        hits.add(
            Class::Xss,
            72 - discount,
            "an attribute that sends or animates what nobody meant to",
            start,
            end,
        );
    }
}

/// Attributes whose value is a URL, or leads to one. Sorted.
const URLS: &[&str] = &[
    "action",
    "background",
    "by",
    "classid",
    "code",
    "codebase",
    "content",
    "data",
    "dynsrc",
    "folder",
    "formaction",
    "from",
    "href",
    "lowsrc",
    "manifest",
    "poster",
    "src",
    "srcdoc",
    "to",
    "values",
    "xlink",
];

/// Whether `value` calls what an attack calls.
fn sinks(value: &[u8]) -> bool {
    SINKS.any(value)
}

/// What an attack calls.
static SINKS: Finder = Finder::new(&[
    b"alert",
    b"confirm",
    b"prompt",
    b"eval",
    b"document",
    b"cookie",
    b"fetch",
    b"location",
    b"import",
    b"window",
    b"atob",
    b"//",
]);

/// Why a browser runs the URL `value`, where it does.
pub(super) fn script_url(value: &[u8]) -> Option<&'static str> {
    // Browsers skip control characters and blanks in a scheme.
    let mut scheme = [0_u8; 24];
    let mut length = 0;
    let mut rest = value.len();
    for (index, &byte) in value.iter().enumerate().take(256) {
        if byte <= b' ' || matches!(byte, b'"' | b'\'' | b'`' | b'\\') && length == 0 {
            continue;
        }
        let Some(place) = scheme.get_mut(length) else { break };
        *place = byte.to_ascii_lowercase();
        length += 1;
        if byte == b':' || byte == b'=' {
            rest = index + 1;
            if byte == b'=' {
                // `url=javascript:` of a refresh.
                length = 0;
                continue;
            }
            break;
        }
        if byte == b';' || byte == b',' || byte == b'#' {
            length = 0;
        }
    }
    let scheme = slice(&scheme, 0, length);
    let after = from(value, rest);
    // `javascript#alert(1)`: the colon spelt in a way that was lost.
    if starts(value, b"javascript")
        && matches!(at(value, 10), b'#' | b'&' | b';' | b'\\')
        && sinks(from(value, 11))
    {
        return Some("a URL that runs script");
    }
    if scheme == b"mhtml:" {
        return Some("a URL that holds a document");
    }
    if [&b"javascript:"[..], b"vbscript:", b"livescript:", b"mocha:", b"jscript:"].contains(&scheme) {
        let body = trim(after);
        // "JavaScript: the good parts" is a title.
        let prose = at(after, 0) == b' '
            && body.iter().all(|&b| {
                is_word(b) || matches!(b, b' ' | b',' | b'.' | b'-' | b'&' | b':' | b'!' | b'?') || b >= 0x80
            });
        // What links have that lead nowhere.
        let nothing = matches!(
            body,
            b"void(0)"
                | b"void(0);"
                | b"void 0"
                | b"void 0;"
                | b";"
                | b"//"
                | b"history.back()"
                | b"void(null)"
        );
        return (!prose && !nothing && !body.is_empty()).then_some("a URL that runs script");
    }
    if scheme == b"data:" {
        let kind = slice(after, 0, 64);
        let text = has(kind, b"text/html")
            || has(kind, b"svg+xml")
            || has(kind, b"javascript")
            || has(kind, b"text/xml")
            || has(kind, b"xhtml");
        return text.then_some("a URL that holds a document");
    }
    None
}

/// Whether a style runs script.
fn style_runs(value: &[u8]) -> bool {
    let mut plain = Vec::with_capacity(value.len());
    let mut index = 0;
    // CSS drops comments and backslashes.
    while index < value.len() {
        if at(value, index) == b'/' && at(value, index + 1) == b'*' {
            let rest = from(value, index + 2);
            index += 4 + rest.windows(2).position(|pair| pair == b"*/").unwrap_or(rest.len());
            continue;
        }
        let byte = at(value, index);
        if byte != b'\\' && byte != 0 {
            plain.push(byte);
        }
        index += 1;
    }
    RUNS_IN_STYLE.any(&plain)
}

/// What makes a browser run script from a style.
static RUNS_IN_STYLE: Finder = Finder::new(&[
    b"expression(",
    b"javascript:",
    b"vbscript:",
    b"binding:",
    b"alert(",
    b"document.cookie",
    b"behavior:",
    b"behaviour:",
    b"@import",
]);

/// `<!` and `<?`.
fn declaration(bytes: &[u8], start: usize, discount: u8, hits: &mut Hits) {
    let head = slice(bytes, 0, 64);
    let mut add =
        |score: u8, why| hits.add(Class::Xss, score - discount.min(score), why, start, start + head.len());
    if starts(head, b"?import") || starts(head, b"?xml:namespace") {
        add(82, "a processing instruction that loads a behaviour");
    } else if starts(head, b"!--[if") || starts(head, b"![if") {
        add(55, "a conditional comment");
    } else if starts(head, b"?xml-stylesheet") {
        add(75, "a style sheet that can run script");
    }
}

/// Attributes without a tag: the value was put into one.
fn attributes_alone(view: &View<'_>, discount: u8, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    if !hits.spend(bytes.len()) {
        return;
    }
    while let Some(equals) = from(bytes, index).iter().position(|&b| b == b'=') {
        let equals = index + equals;
        index = equals + 1;
        if !hits.spend(24) {
            return;
        }
        let mut end = equals;
        while end > 0 && equals - end < 64 && (is_space(at(bytes, end - 1)) || at(bytes, end - 1) == 0) {
            end -= 1;
        }
        let mut start = end;
        while start > 0 && end - start < 28 && at(bytes, start - 1).is_ascii_alphabetic() {
            start -= 1;
        }
        let name = slice(bytes, start, end);
        if !starts(name, b"on") && !starts(name, b"style") && !starts(name, b"srcdoc") {
            continue;
        }
        let before = if start == 0 { b' ' } else { at(bytes, start - 1) };
        let apart = is_space(before) || matches!(before, b'"' | b'\'' | b'/' | b'`' | 0 | b'+');
        let declared = slice(bytes, start.saturating_sub(6), start);
        if !apart || [&b"const "[..], b"let ", b"var "].iter().any(|word| declared.ends_with(word)) {
            continue;
        }
        let value = slice(bytes, equals + 1, equals + 257);
        if !hits.spend(value.len() * 3 + ATTRIBUTE) {
            return;
        }
        let quoted = slice(bytes, 0, start).iter().take(64).any(|b| matches!(b, b'"' | b'\'' | b'>' | b'`'));
        if listed(EVENTS, name) {
            let value = trim(value);
            let value = match value.first() {
                Some(b'"' | b'\'') => from(value, 1),
                _ => value,
            };
            let code = sinks(value) || value.iter().take(80).any(|&b| matches!(b, b'(' | b'`'));
            let score = if at(value, 0) == b'{' {
                30
            } else if code && (quoted || view.is_short()) {
                85
            } else if code {
                60
            } else if quoted && view.is_short() {
                55
            } else {
                25
            };
            hits.add(
                Class::Xss,
                score - discount.min(score),
                "an event handler put into a tag",
                start,
                equals + 1 + value.len().min(60),
            );
        } else if starts(name, b"style") && quoted && style_runs(value) {
            hits.add(Class::Xss, 82 - discount, "a style that runs script", start, equals + 60);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(EVENTS.is_sorted() && URLS.is_sorted() && RUNS.is_sorted() && HOLDS_TEXT.is_sorted());
    }
}
