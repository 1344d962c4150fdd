//! Elements as XML.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

use super::{Element, NoMap, leaf};

pub(super) fn write(root: &Element) -> String {
    let mut out = String::new();
    put(root, 0, &mut out);
    out
}

/// As XStream's PrettyPrintWriter: two spaces a level, and no line break behind the last tag.
fn put(element: &Element, depth: usize, out: &mut String) {
    let Element { name, text, children } = element;
    let indent = |depth: usize, out: &mut String| {
        if !out.is_empty() {
            out.push('\n');
        }
        out.extend(std::iter::repeat_n("  ", depth));
    };
    indent(depth, out);
    if children.is_empty() && text.is_empty() && name != "string" {
        out.extend(["<", name, "/>"]);
        return;
    }
    out.extend(["<", name, ">"]);
    put_text(text, out);
    for child in children {
        put(child, depth + 1, out);
    }
    if !children.is_empty() {
        indent(depth, out);
    }
    out.extend(["</", name, ">"]);
}

fn put_text(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' => out.push(character),
            // XML has no way to say it.
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            control if control.is_control() => out.push_str(&format!("&#x{:x};", control as u32)),
            other => out.push(other),
        }
    }
}

pub(super) fn read(text: &str, max_depth: usize) -> Result<Element, NoMap> {
    let mut reader = Reader::from_str(text);
    // Those that have begun and not ended.
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event().map_err(malformed)?;
        let ended = match event {
            Event::Start(start) => {
                if open.len() == max_depth {
                    return Err(NoMap::TooDeep(max_depth));
                }
                open.push(leaf(start.name().0, ""));
                continue;
            }
            Event::Empty(start) => leaf(start.name().0, ""),
            Event::End(_) => open.pop().expect("the reader pairs tags"),
            Event::Text(text) => {
                add(&mut open, &text.xml10_content())?;
                continue;
            }
            Event::CData(text) => {
                add(&mut open, &text.xml10_content())?;
                continue;
            }
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref().map_err(malformed)? {
                    Some(character) => add(&mut open, character.encode_utf8(&mut [0; 4]))?,
                    None => {
                        let entity = resolve_predefined_entity(&reference);
                        let unknown = format!("there is no entity `{}`", &*reference);
                        add(&mut open, entity.ok_or(NoMap::Malformed(unknown))?)?;
                    }
                }
                continue;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
            Event::DocType(_) => {
                return Err(NoMap::Unexpected("DOCTYPE".into(), "no document type is read"));
            }
            Event::Eof => break,
        };
        let whole = match open.last_mut() {
            Some(parent) => {
                parent.children.push(ended);
                continue;
            }
            None => root.replace(ended),
        };
        if whole.is_some() {
            return Err(NoMap::Malformed("there is more than one outermost element".into()));
        }
    }
    match open.pop() {
        Some(element) => Err(NoMap::Malformed(format!("`{}` does not end", element.name))),
        None => root.ok_or_else(|| NoMap::Malformed("there is no element".into())),
    }
}

fn add(open: &mut [Element], text: &str) -> Result<(), NoMap> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(NoMap::Malformed("there is text outside of the elements".into())),
    }
    Ok(())
}

fn malformed(error: impl ToString) -> NoMap {
    NoMap::Malformed(error.to_string())
}
