//! Colours. Plotters writes fixed colours into its SVG; a page that is read by day, by night and on
//! paper needs colours that the style sheet decides. So each [`Paint`] is drawn as a colour that
//! occurs nowhere else, and [`themed`] turns those into CSS variables afterwards.
//!
//! The hues are those of Okabe and Ito ("Color Universal Design", 2008), which people with any
//! common colour blindness tell apart; darkened on white and lightened on black until every line
//! has a contrast of at least 3 : 1 (WCAG 2.1, 1.4.11). Lines also differ by dash and bars by
//! position, so nothing is said by colour alone.

use plotters::style::RGBColor;

/// What a stroke or an area means; the style sheet gives it its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Text and marks that must be seen.
    Ink,
    /// Axes, and text beside them.
    Muted,
    /// Grid lines.
    Grid,
    /// What theory or a prediction says.
    Theory,
    /// A time in which a fault was at work.
    Fault,
    /// Below the reference.
    Low,
    /// Above the reference.
    High,
    /// The n-th of several things that are compared.
    Series(u8),
}

/// How many series can be told apart by hue; beyond that, hue and dash together.
pub(crate) const HUES: u8 = 7;

/// Dash patterns in SVG units, by which lines differ besides their hue. The last is kept for
/// [`DASH_THEORY`].
const DASHES: [&str; 5] = ["", "14 6", "4 5", "16 5 4 5", "8 7"];

/// The dash of what theory says.
pub(crate) const DASH_THEORY: u8 = 4;

/// The red part of every colour that [`themed`] replaces.
const MARK: u8 = 0x5A;

impl Paint {
    fn code(self) -> u8 {
        match self {
            Paint::Ink => 0,
            Paint::Muted => 1,
            Paint::Grid => 2,
            Paint::Theory => 3,
            Paint::Fault => 4,
            Paint::Low => 5,
            Paint::High => 6,
            Paint::Series(n) => 7 + n % HUES,
        }
    }

    /// The name of the CSS variable that holds the colour.
    pub(crate) fn variable(self) -> &'static str {
        variable(self.code()).expect("every paint has a variable")
    }

    /// The stand-in that plotters draws with.
    pub(crate) fn rgb(self) -> RGBColor {
        self.dashed(0)
    }

    /// The stand-in for a stroke with a dash pattern.
    pub(crate) fn dashed(self, dash: u8) -> RGBColor {
        RGBColor(MARK, self.code(), dash % DASHES.len() as u8)
    }

    /// The dash by which the n-th series differs from the others of its hue.
    pub(crate) fn dash_of_series(n: usize) -> u8 {
        (n % usize::from(DASH_THEORY)) as u8
    }
}

fn variable(code: u8) -> Option<&'static str> {
    const NAMES: [&str; 7 + HUES as usize] = [
        "--ink", "--muted", "--grid", "--theory", "--fault", "--low", "--high", "--s0", "--s1",
        "--s2", "--s3", "--s4", "--s5", "--s6",
    ];
    NAMES.get(usize::from(code)).copied()
}

/// Replaces every stand-in colour in `svg` by its CSS variable and dash.
pub(crate) fn themed(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find("=\"#") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        match stand_in(&after[3..]) {
            Some((name, dash)) => {
                out.push_str("=\"var(");
                out.push_str(name);
                out.push_str(")\"");
                if !dash.is_empty() {
                    out.push_str(" stroke-dasharray=\"");
                    out.push_str(dash);
                    out.push('"');
                }
                rest = &after[10..];
            }
            None => {
                out.push_str("=\"#");
                rest = &after[3..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Reads `5A0804"…` as a stand-in colour.
fn stand_in(text: &str) -> Option<(&'static str, &'static str)> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    if byte(0)? != MARK || text.as_bytes().get(6) != Some(&b'"') {
        return None;
    }
    Some((variable(byte(2)?)?, DASHES.get(usize::from(byte(4)?))?))
}

/// The style sheet's colours: light, then dark where the reader prefers it, then paper.
pub(crate) const COLOURS: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--muted:#57606a;--grid:#e3e6ea;--paper:#fff;--card:#f6f7f9;--more:#0005;\
--line:#d0d7de;--theory:#57606a;--fault:#b5791f;--low:#0065a3;--high:#c24e00;--good:#00714f;--bad:#b42318;--link:#0a58ca;\
--s0:#0072b2;--s1:#c24e00;--s2:#008560;--s3:#b0528a;--s4:#946200;--s5:#2b8cbe;--s6:#6b6b00}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e8eaed;--muted:#a3abb5;--grid:#2c323a;--paper:#14171b;--card:#1c2026;--more:#fff5;\
--line:#39414b;--theory:#b6bec8;--fault:#d9a441;--low:#5fb4ee;--high:#ff9147;--good:#3ccf9f;--bad:#ff8a7a;--link:#7ab7ff;\
--s0:#56b4e9;--s1:#ff9147;--s2:#35c493;--s3:#e493c1;--s4:#e6b93d;--s5:#8fd3ff;--s6:#d9d24a}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_become_variables_and_other_colours_stay() {
        let svg = "<a fill=\"#5A0000\"/><b stroke=\"#5A0804\"/><c fill=\"#123456\"/>=\"#5A";
        assert_eq!(
            themed(svg),
            "<a fill=\"var(--ink)\"/><b stroke=\"var(--s1)\" stroke-dasharray=\"8 7\"/>\
             <c fill=\"#123456\"/>=\"#5A"
        );
    }

    #[test]
    fn every_variable_has_a_light_and_a_dark_value() {
        for code in 0..7 + HUES {
            let name = format!("{}:", variable(code).unwrap());
            assert_eq!(COLOURS.matches(&name).count(), 2, "{name}");
        }
    }

    /// Relative luminance and contrast as WCAG 2.1 defines them.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let full: String = match hex.len() {
                3 => hex.chars().flat_map(|c| [c, c]).collect(),
                _ => hex.to_owned(),
            };
            let channel = |at: usize| {
                let c = f64::from(u8::from_str_radix(&full[at..at + 2], 16).unwrap()) / 255.0;
                if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn strokes_and_text_stand_out_from_the_page_in_both_themes() {
        for theme in COLOURS.split("@media") {
            let value = |name: &str| {
                let at = theme.find(&format!("{name}:#")).unwrap() + name.len() + 2;
                theme[at..].split([';', '}']).next().unwrap()
            };
            for text in ["--ink", "--muted", "--good", "--bad", "--link"] {
                for ground in ["--paper", "--card"] {
                    assert!(contrast(value(text), value(ground)) >= 4.5, "{text} on {ground}");
                }
            }
            for stroke in ["--theory", "--fault", "--low", "--high"] {
                assert!(contrast(value(stroke), value("--paper")) >= 3.0, "{stroke}");
            }
            for series in 0..HUES {
                let name = Paint::Series(series).variable();
                assert!(contrast(value(name), value("--paper")) >= 3.0, "{name}");
            }
        }
    }
}
