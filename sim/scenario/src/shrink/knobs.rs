//! Settings: what a file need not say, since there is a default.
//!
//! A setting goes back to its default by not being written. So this knows no single one of them: it
//! takes keys out of the file that the scenario is, and looks whether a scenario is left.

use toml::{Table, Value};

use super::{Cut, cuts};
use crate::{Scenario, Step};

/// Keys of the file that say what the scenario is called and when it ends.
const NEEDED: [&str; 4] = ["name", "about", "seed", "duration"];
/// Lists of which other steps take entries away.
const LISTS: [&str; 3] = ["workload", "change", "fault"];

/// With settings at their defaults: all of them, halves of them and so on to each by itself, then each
/// part of one that cannot go as a whole.
pub(super) fn settings(scenario: &Scenario) -> Vec<Cut<Scenario>> {
    let table = table_of(scenario);
    let mut whole = Vec::new();
    let mut inside = Vec::new();
    find(&table, &mut Vec::new(), &mut |path| {
        let is_in_another = whole.iter().any(|it: &Vec<Step>| path.starts_with(it));
        match without(&table, [path]) {
            // It is at its default. Parts of it have others than it has as a whole.
            Some(left) if left == *scenario => return false,
            Some(_) if is_in_another => inside.push(path.to_vec()),
            Some(_) => whole.push(path.to_vec()),
            None => {}
        }
        true
    });
    let parts = cuts::parts(whole.len()).into_iter().map(|part| whole[part].to_vec());
    let all = parts.chain(inside.into_iter().map(|path| vec![path]));
    let left = all.filter_map(|paths| {
        let what = match paths.as_slice() {
            [path] => format!("{} at its default", in_words(path)),
            paths => format!("{} settings at their defaults", paths.len()),
        };
        let left = without(&table, paths.iter().map(Vec::as_slice))?;
        Some(Cut { what, left })
    });
    left.collect()
}

impl Scenario {
    /// The text of a file that says the same, and nothing that a file need not say.
    pub fn to_short_toml(&self) -> String {
        let mut table = table_of(self);
        let mut spare: Vec<Vec<Step>> = Vec::new();
        find(&table, &mut Vec::new(), &mut |path| {
            let is_spare = without(&table, [path]).is_some_and(|left| left == *self);
            if is_spare {
                spare.push(path.to_vec());
            }
            !is_spare
        });
        for path in spare.iter().rev() {
            take(&mut table, path);
        }
        let mut text = String::new();
        let (tables, plain): (Table, Table) =
            table.into_iter().partition(|(_, value)| is_table(value));
        for key in NEEDED {
            if let Some(value) = plain.get(key) {
                text.push_str(&written(key, value));
            }
        }
        let order =
            ["cluster", "network", "disk", "clock", "workload", "change", "fault", "expect"];
        for key in order {
            if let Some(value) = tables.get(key) {
                text.push('\n');
                text.push_str(&written(key, value));
            }
        }
        text
    }
}

fn written(key: &str, value: &Value) -> String {
    let table = Table::from_iter([(key.to_owned(), value.clone())]);
    toml::to_string(&table).expect("what was read can be written")
}

fn table_of(scenario: &Scenario) -> Table {
    Table::try_from(scenario).expect("every scenario can be written as TOML")
}

fn is_table(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(entries) => entries.first().is_some_and(Value::is_table),
        _ => false,
    }
}

/// Tells of every place of the file that may be left out, in the order of the file, what is around
/// another one first, and of what is inside where `found` asks for it.
fn find(table: &Table, path: &mut Vec<Step>, found: &mut impl FnMut(&[Step]) -> bool) {
    for (key, value) in table {
        let is_root = path.is_empty();
        if is_root && NEEDED.contains(&key.as_str()) {
            continue;
        }
        let is_list = is_root && LISTS.contains(&key.as_str());
        path.push(Step::Key(key.clone()));
        if is_list || found(path) {
            match value {
                Value::Table(table) => find(table, path, found),
                Value::Array(entries) => {
                    for (index, entry) in entries.iter().enumerate() {
                        let Value::Table(entry) = entry else { continue };
                        path.push(Step::Index(index));
                        if is_list || found(path) {
                            find(entry, path, found);
                        }
                        path.pop();
                    }
                }
                _ => {}
            }
        }
        path.pop();
    }
}

/// The scenario that is left without what stands at these places, in the order of the file; `None` if
/// none is.
fn without<'a>(
    table: &Table,
    paths: impl IntoIterator<Item = &'a [Step], IntoIter: DoubleEndedIterator>,
) -> Option<Scenario> {
    let mut table = table.clone();
    // From behind, so that the entries of lists keep their numbers.
    for path in paths.into_iter().rev() {
        take(&mut table, path);
    }
    table.try_into().ok()
}

fn take(table: &mut Table, path: &[Step]) {
    match path {
        [Step::Key(key)] => {
            table.remove(key);
        }
        [Step::Key(key), rest @ ..] => match (table.get_mut(key), rest) {
            (Some(Value::Table(table)), rest) => take(table, rest),
            (Some(Value::Array(entries)), [Step::Index(index)]) => {
                entries.remove(*index);
            }
            (Some(Value::Array(entries)), [Step::Index(index), rest @ ..]) => {
                if let Some(Value::Table(table)) = entries.get_mut(*index) {
                    take(table, rest);
                }
            }
            _ => {}
        },
        _ => {}
    }
}

/// `workload 1 nack`.
fn in_words(path: &[Step]) -> String {
    let words = path.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => (index + 1).to_string(),
    });
    words.collect::<Vec<_>>().join(" ")
}
