//! The modules of a crate and who names whom, read from the text of its sources.
//!
//! The rule: the modules that one module declares must not form a circle. A module stands for
//! everything inside it, so `crate::a::b::f` that names `crate::a::c::G` is an arrow from `b` to
//! `c`, and one that names `crate::d::H` an arrow from `a` to `d`. Between a module and what is
//! inside it there is no arrow: its own file is the face and the common ground of the folder. A
//! name that a module passes on (`pub use`) counts as the place where it is defined. What is only
//! compiled for tests does not count.
//!
//! Paths are followed through `use`, `crate`, `self`, `super` and module names; not through globs,
//! macros or the types of expressions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module by its names from the crate's root, which has none.
pub type Name = Vec<String>;

/// Where a path is written.
#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    line: usize,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

#[derive(Default)]
struct Module {
    children: BTreeSet<String>,
    /// What a name stands for here, by `use`.
    imports: BTreeMap<String, Name>,
    /// Paths as written.
    paths: Vec<(Name, Place)>,
}

/// The modules of a crate.
#[derive(Default)]
pub struct Tree {
    modules: BTreeMap<Name, Module>,
}

impl Tree {
    /// Reads a crate from its root file and the files of its modules.
    pub fn read(root: &Path) -> Tree {
        let mut tree = Tree::default();
        tree.file(root, root.parent().unwrap(), Name::new());
        tree
    }

    /// Reads a crate whose modules all stand in one text.
    pub fn parse(text: &str) -> Tree {
        let mut tree = Tree::default();
        let file = Path::new("lib.rs");
        tree.block(&tokens(text), file, Path::new(""), Name::new());
        tree
    }

    /// Every circle: its modules, and where each names another of them.
    pub fn circles(&self) -> Vec<String> {
        // For each module that declares others, the arrows between those.
        let mut levels: BTreeMap<Name, BTreeMap<(String, String), Place>> = BTreeMap::new();
        for (from, module) in &self.modules {
            for (path, place) in &module.paths {
                let Some(to) = self.resolve(from, path, 0) else { continue };
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if common < from.len() && common < to.len() {
                    let arrow = (from[common].clone(), to[common].clone());
                    let level = levels.entry(from[..common].to_vec()).or_default();
                    level.entry(arrow).or_insert_with(|| place.clone());
                }
            }
        }
        levels.iter().flat_map(|(parent, arrows)| circles(parent, arrows)).collect()
    }

    /// The module in which `path`, written in `module`, is defined; none if in another crate.
    fn resolve(&self, module: &Name, path: &[String], followed: usize) -> Option<Name> {
        // Two names may stand for each other only in what does not compile.
        if followed > 32 {
            return None;
        }
        let mut at = module.clone();
        let mut rest = path;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ => break,
            }
            rest = &rest[1..];
        }
        let anchored = rest.len() < path.len();
        for (index, name) in rest.iter().enumerate() {
            let here = &self.modules[&at];
            if here.children.contains(name) {
                at.push(name.clone());
            } else if let Some(target) = here.imports.get(name) {
                let longer = [target.as_slice(), &rest[index + 1..]].concat();
                // `use a::{self}` in the module that declares `a` stands for nothing new.
                return if longer == path {
                    None
                } else {
                    self.resolve(&at, &longer, followed + 1)
                };
            } else {
                return (anchored || index > 0).then_some(at);
            }
        }
        Some(at)
    }

    fn file(&mut self, file: &Path, folder: &Path, module: Name) {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.block(&tokens(&text), file, folder, module);
    }

    /// Reads the items of a module; the files of modules that it declares are in `folder`.
    fn block(&mut self, tokens: &[Token], file: &Path, folder: &Path, module: Name) {
        self.modules.entry(module.clone()).or_default();
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut at = 0;
        while at < tokens.len() {
            if text(at) == "#" && text(at + 1) == "[" {
                let end = closing(tokens, at + 1);
                at = if only_for_tests(&tokens[at..end]) { item_end(tokens, end) } else { end };
            } else if text(at) == "mod" && text(at + 2) == ";" {
                let name = text(at + 1).to_owned();
                let below = folder.join(&name);
                let inner = self.declare(&module, name);
                let flat = below.with_extension("rs");
                let source = if flat.exists() { flat } else { below.join("mod.rs") };
                self.file(&source, &below, inner);
                at += 3;
            } else if text(at) == "mod" && text(at + 2) == "{" {
                let name = text(at + 1).to_owned();
                let below = folder.join(&name);
                let inner = self.declare(&module, name);
                let end = closing(tokens, at + 2);
                self.block(&tokens[at + 3..end - 1], file, &below, inner);
                at = end;
            } else if text(at) == "use" {
                let end = item_end(tokens, at);
                self.import(&tokens[at + 1..end], &Name::new(), file, &module);
                at = end;
            } else if is_name(text(at)) && text(at + 1) == "::" {
                let line = tokens[at].line;
                let mut path = vec![text(at).to_owned()];
                while text(at + 1) == "::" && is_name(text(at + 2)) {
                    path.push(text(at + 2).to_owned());
                    at += 2;
                }
                self.path(&module, path, file, line);
                at += 1;
            } else {
                at += 1;
            }
        }
    }

    fn declare(&mut self, parent: &Name, name: String) -> Name {
        let inner = [parent.as_slice(), std::slice::from_ref(&name)].concat();
        self.modules.get_mut(parent).unwrap().children.insert(name);
        inner
    }

    fn path(&mut self, module: &Name, path: Name, file: &Path, line: usize) {
        let place = Place { file: file.to_owned(), line };
        self.modules.get_mut(module).unwrap().paths.push((path, place));
    }

    /// Reads one tree of a `use`, behind `prefix`.
    fn import(&mut self, tokens: &[Token], prefix: &Name, file: &Path, module: &Name) {
        let mut path = prefix.clone();
        let mut at = 0;
        let mut alias = None;
        while at < tokens.len() {
            match tokens[at].text.as_str() {
                "{" => {
                    let end = closing(tokens, at);
                    for branch in branches(&tokens[at + 1..end - 1]) {
                        self.import(branch, &path, file, module);
                    }
                    return;
                }
                "*" => break,
                "as" => {
                    alias = tokens.get(at + 1).map(|token| token.text.clone());
                    at += 1;
                }
                "::" | ";" => {}
                "self" if !path.is_empty() => {}
                name => path.push(name.to_owned()),
            }
            at += 1;
        }
        let Some(token) = tokens.first() else { return };
        let name = alias.or_else(|| path.last().cloned());
        if let Some(name) =
            name.filter(|name| name != "_" && tokens[at.min(tokens.len() - 1)].text != "*")
        {
            self.modules.get_mut(module).unwrap().imports.insert(name, path.clone());
        }
        self.path(module, path, file, token.line);
    }
}

/// The circles among the children of `parent`, given the arrows between them.
fn circles(parent: &Name, arrows: &BTreeMap<(String, String), Place>) -> Vec<String> {
    let reach = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(from) = open.pop() {
            for (_, to) in arrows.keys().filter(|(a, _)| *a == from) {
                if reached.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        reached
    };
    let names: BTreeSet<&String> = arrows.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&String, BTreeSet<String>> =
        names.iter().map(|name| (*name, reach(name))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in &names {
        let together: BTreeSet<&String> = names
            .iter()
            .filter(|other| reached[*name].contains(**other) && reached[*other].contains(*name))
            .copied()
            .collect();
        if together.is_empty() || !seen.insert(together.clone()) {
            continue;
        }
        let at = [&["crate".to_owned()], parent.as_slice()].concat().join("::");
        let mut story = format!("in {at}:");
        for ((from, to), place) in arrows {
            if together.contains(from) && together.contains(to) {
                story += &format!("\n  {from} -> {to}  {}:{}", place.file.display(), place.line);
            }
        }
        found.push(story);
    }
    found
}

/// Whether an attribute keeps what follows to tests.
fn only_for_tests(attribute: &[Token]) -> bool {
    let text: String = attribute.iter().map(|token| token.text.as_str()).collect();
    text == "#[test]" || text.starts_with("#[cfg(test)") || text.starts_with("#[cfg(all(test,")
}

/// One past the item that starts at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let ends_with_brace = tokens.get(at).is_some_and(|token| token.text != "use");
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" if ends_with_brace => return closing(tokens, at),
            "{" | "(" | "[" => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// One past the bracket that closes the one at `at`.
fn closing(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The parts between commas that stand in no further brackets.
fn branches(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    let comma = |token: &Token| {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.text == ","
    };
    tokens.split(comma).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs; without comments, and without what literals say.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if is_name(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        let counts = is_name(token) && literal(rest).is_none()
            || length == first.len_utf8() && !first.is_whitespace()
            || token == "::";
        if counts {
            found.push(Token { text: token.to_owned(), line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

/// The length of the string or character that `text` begins with, if it does.
fn literal(text: &str) -> Option<usize> {
    let plain = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - plain.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return body.find(&end).map(|at| prefix + 1 + hashes + 1 + at + end.len());
    }
    let quote = plain.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inside = plain.char_indices().skip(1);
    while let Some((at, c)) = inside.next() {
        if c == '\\' {
            inside.next();
        } else if c == quote {
            return Some(prefix + at + 1);
        } else if quote == '\'' && at > 1 && !plain.starts_with("'\\") {
            // A lifetime.
            return None;
        }
    }
    None
}
