//! Tables, and text made safe for a page.

use std::fmt::Write as _;

/// Text made safe for element content and for attribute values in double quotes. Control
/// characters, which HTML does not allow, become the replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A table of text cells: columns of words, then columns of numbers, which are set right.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    columns: Vec<String>,
    /// The first column that holds numbers; the ones before are words.
    numbers_from: usize,
    rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    pub(crate) fn good(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "good" }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "bad" }
    }

    /// A command or a hash: set in a fixed-width font.
    pub(crate) fn code(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "code" }
    }

    /// Words in a column of numbers.
    pub(crate) fn words(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), class: "words" }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), class: "" }
    }
}

impl Table {
    /// A table whose columns from `numbers_from` on hold numbers.
    pub(crate) fn new<S: Into<String>>(
        columns: impl IntoIterator<Item = S>,
        numbers_from: usize,
    ) -> Table {
        let columns = columns.into_iter().map(Into::into).collect();
        Table { columns, numbers_from, rows: Vec::new() }
    }

    /// Adds a row, which must have a cell for every column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a row must fill the columns {:?}",
            self.columns
        );
        self.rows.push(cells);
    }

    /// The table in a frame that scrolls by itself, so that a phone never scrolls the page sideways.
    pub(crate) fn html(&self) -> String {
        let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
        for (i, column) in self.columns.iter().enumerate() {
            // A head stands over what its column holds.
            let mut cells = self.rows.iter().filter_map(|row| row.get(i));
            let is_words = !self.rows.is_empty() && cells.all(|cell| cell.class == "words");
            let number = i >= self.numbers_from && !is_words;
            let class = if number { " class=\"n\"" } else { "" };
            let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(column));
        }
        html.push_str("</tr></thead><tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let number = i >= self.numbers_from && cell.class != "words";
                let class = match (number, cell.class) {
                    (false, "") => String::new(),
                    (false, class) => format!(" class=\"{class}\""),
                    (true, class) => format!(" class=\"n {class}\""),
                };
                let tag = if i == 0 { "th scope=\"row\"" } else { "td" };
                let end = if i == 0 { "th" } else { "td" };
                let _ = write!(html, "<{tag}{class}>{}</{end}>", escape(&cell.text));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_escape_their_cells_and_titles() {
        let mut table = Table::new(["<b>", "n"], 1);
        table.row(vec![Cell::from("<script>"), Cell::bad("\"&'")]);
        let html = table.html();
        assert!(html.contains("&lt;b&gt;") && html.contains("&lt;script&gt;"));
        assert!(html.contains("<td class=\"n bad\">&quot;&amp;&#39;</td>"));
        assert!(!html.contains("<script>"));
    }

    #[test]
    fn heads_are_set_as_what_is_below_them() {
        let mut table = Table::new(["Point", "Runs", "What happened"], 1);
        table.row(vec!["a".into(), "5".into(), Cell::words("it came to an end")]);
        let html = table.html();
        assert!(html.contains("<th scope=\"col\" class=\"n\">Runs</th>"));
        assert!(html.contains("<th scope=\"col\">What happened</th>"));
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_markup(text in any::<String>()) {
            let safe = escape(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            prop_assert!(!safe.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
