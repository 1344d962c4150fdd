//! Comma-separated values as RFC 4180 has them, for spreadsheets and notebooks.

/// Rows of fields under a header.
#[derive(Debug)]
pub(crate) struct Csv {
    text: String,
    columns: usize,
}

impl Csv {
    pub(crate) fn new(header: &[&str]) -> Csv {
        let mut csv = Csv { text: String::new(), columns: header.len() };
        csv.row(header.iter().map(|field| (*field).to_owned()));
        csv
    }

    /// Adds a row, which must have a field for every column.
    pub(crate) fn row(&mut self, fields: impl IntoIterator<Item = String>) {
        let mut count = 0;
        for field in fields {
            if count > 0 {
                self.text.push(',');
            }
            self.text.push_str(&quoted(&field));
            count += 1;
        }
        assert_eq!(count, self.columns, "a row must fill the columns");
        self.text.push_str("\r\n");
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The field in quotes where it needs them. A field that a spreadsheet would run as a formula is
/// kept from it by an apostrophe; numbers stay numbers.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t']) && field.parse::<f64>().is_err();
    let field = if formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// An empty field for what was not measured.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row(["x,\"y\"".to_owned(), "=HYPERLINK(1)".to_owned()]);
        csv.row(["-1.5".to_owned(), "two\nlines".to_owned()]);
        assert_eq!(
            csv.finish(),
            "a,b\r\n\"x,\"\"y\"\"\",'=HYPERLINK(1)\r\n-1.5,\"two\nlines\"\r\n"
        );
    }
}
