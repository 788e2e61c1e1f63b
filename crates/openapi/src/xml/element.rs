//! XML text to elements: what two parsers could read in two ways is refused.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::schema::{BodyLimits, Fault};

/// An element, its names without prefixes.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All of its own text, put together.
    pub(super) text: String,
    /// `xsi:nil="true"`.
    pub(super) nil: bool,
}

impl Element {
    /// Reads a document: one element, no document type, no entities but those of XML itself, no instructions.
    pub(super) fn parse(body: &[u8], limits: BodyLimits) -> Result<Self, Fault> {
        let text = std::str::from_utf8(body).map_err(|_| Fault::Malformed)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Two of its characters are no characters of XML (XML 1.0, section 2.2); the others of these are.
        if !text.chars().all(is_character) {
            return Err(Fault::Malformed);
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        let mut building = Building { open: Vec::new(), root: None, values: limits.values };
        let mut is_first = true;
        loop {
            match reader.read_event().map_err(|_| Fault::Malformed)? {
                Event::Start(start) => {
                    building.begin(&start)?;
                    if building.open.len() > limits.depth as usize {
                        return Err(Fault::TooComplex);
                    }
                }
                Event::Empty(start) => {
                    building.begin(&start)?;
                    building.end()?;
                }
                Event::End(_) => building.end()?,
                Event::Text(text) => building.text(&text)?,
                Event::CData(text) => match building.open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None => return Err(Fault::Malformed),
                },
                Event::GeneralRef(reference) => {
                    let char = resolve(&reference).ok_or(Fault::Malformed)?;
                    building.open.last_mut().ok_or(Fault::Malformed)?.text.push(char);
                }
                Event::Decl(declaration) if is_first => {
                    // The body is read as UTF-8, whatever it says of itself: it may say nothing else.
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding.map_err(|_| Fault::Malformed)?;
                        if !["utf-8", "us-ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
                            return Err(Fault::Malformed);
                        }
                    }
                }
                Event::Comment(_) => {}
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) => return Err(Fault::Malformed),
                Event::Eof if building.open.is_empty() => return building.root.ok_or(Fault::Malformed),
                Event::Eof => return Err(Fault::Malformed),
            }
            is_first = false;
        }
    }
}

struct Building {
    open: Vec<Element>,
    root: Option<Element>,
    /// Elements and attributes that are still allowed.
    values: u32,
}

impl Building {
    fn count(&mut self) -> Result<(), Fault> {
        self.values = self.values.checked_sub(1).ok_or(Fault::TooComplex)?;
        Ok(())
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), Fault> {
        if self.root.is_some() {
            return Err(Fault::Malformed);
        }
        self.count()?;
        let mut element = Element { name: local(start.name().as_ref())?.to_owned(), ..Element::default() };
        for attribute in start.attributes() {
            self.count()?;
            let attribute = attribute.map_err(|_| Fault::Malformed)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| Fault::Malformed)?;
            if value.contains('<') || !value.chars().all(is_character) {
                return Err(Fault::Malformed);
            }
            let key: &str = attribute.key.as_ref();
            match key.split_once(':') {
                // What a name is in, and hints of schemas.
                None if key == "xmlns" => {}
                Some(("xmlns", _)) => {}
                Some(("xsi", "nil")) => element.nil = matches!(&*value, "true" | "1"),
                Some(("xsi", _)) => {}
                _ => {
                    let name = local(key)?.to_owned();
                    if element.attributes.iter().any(|(known, _)| *known == name) {
                        return Err(Fault::DuplicateKey);
                    }
                    element.attributes.push((name, value.into_owned()));
                }
            }
        }
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let element = self.open.pop().ok_or(Fault::Malformed)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.bytes().all(is_space) => {}
            None => return Err(Fault::Malformed),
        }
        Ok(())
    }
}

/// White space of XML (section 2.3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_character(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// The character of a reference: by its number, or one of the five that XML names (section 4.6).
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok()?.filter(|char| is_character(*char)),
    }
}

/// A name without its prefix.
fn local(name: &str) -> Result<&str, Fault> {
    let (prefix, local) = name.split_once(':').map_or((None, name), |(prefix, local)| (Some(prefix), local));
    let is_name = |name: &str| {
        let first = |char: char| char.is_alphabetic() || char == '_';
        name.starts_with(first)
            && name.chars().all(|char| char.is_alphanumeric() || "_-.".contains(char) || char == '\u{b7}')
    };
    if prefix.is_none_or(is_name) && is_name(local) { Ok(local) } else { Err(Fault::Malformed) }
}
