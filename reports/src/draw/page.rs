//! Pieces of a page: escaped text, tables, the frame around them and its style sheet.
//!
//! A page is one file with nothing outside it: no script, no font, no image to fetch. It can be
//! mailed, archived and opened from a disk.

use std::fmt::Write as _;

use super::plot::Chart;
use super::table::{Table, escape};
use super::theme::COLOURS;
use crate::result::ReportError;

/// A page under construction.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    body: String,
    plots: usize,
    style: &'static str,
    script: &'static str,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>) -> Page {
        Page { title: title.into(), body: String::new(), plots: 0, style: "", script: "" }
    }

    /// What only this sort of page has: rules beyond the common ones, and a script that must not be
    /// needed to read it.
    pub(crate) fn with(mut self, style: &'static str, script: &'static str) -> Page {
        (self.style, self.script) = (style, script);
        self
    }

    /// Markup as it stands; whoever makes it has escaped what came from outside.
    pub(crate) fn markup(&mut self, html: &str) {
        self.body.push_str(html);
    }

    /// The head of the page: kind, badge, one sentence that says what was found, and the command.
    pub(crate) fn opening(
        &mut self,
        kind: &str,
        badge: &str,
        good: bool,
        lead: &str,
        command: &str,
    ) {
        self.opening_with(kind, badge, good, &escape(lead), command);
    }

    /// The same with a sentence in markup.
    pub(crate) fn opening_with(
        &mut self,
        kind: &str,
        badge: &str,
        good: bool,
        lead: &str,
        command: &str,
    ) {
        let class = if good { "good" } else { "bad" };
        let _ = write!(
            self.body,
            "<header><p class=\"kind\">{}</p><h1>{} <span class=\"badge {class}\">{}</span></h1>\n\
             <p class=\"lead\">{lead}</p>\n",
            escape(kind),
            escape(&self.title),
            escape(badge)
        );
        if !command.is_empty() {
            let _ = write!(
                self.body,
                "<p class=\"again\">To see it again:</p><pre class=\"command\"><code>{}</code></pre>",
                command.split(' ').map(unbroken).collect::<Vec<_>>().join(" ")
            );
        }
        self.body.push_str("</header>\n");
    }

    pub(crate) fn section(&mut self, heading: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(heading));
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = writeln!(self.body, "<p>{}</p>", escape(text));
        }
    }

    pub(crate) fn list(&mut self, items: &[String]) {
        if !items.is_empty() {
            let items: String =
                items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
            let _ = writeln!(self.body, "<ul>{items}</ul>");
        }
    }

    pub(crate) fn table(&mut self, table: &Table) {
        self.body.push_str(&table.html());
    }

    /// A table behind a fold.
    pub(crate) fn folded_table(&mut self, summary: &str, table: &Table) {
        let _ = writeln!(
            self.body,
            "<details><summary>{}</summary>{}</details>",
            escape(summary),
            table.html()
        );
    }

    /// A text as it stands, behind a fold.
    pub(crate) fn folded_text(&mut self, summary: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<details><summary>{}</summary><pre><code>{}</code></pre></details>",
            escape(summary),
            escape(text)
        );
    }

    /// Pairs of a term and its value.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) {
        self.body.push_str("<dl class=\"facts\">");
        for (term, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let _ =
                write!(self.body, "<div><dt>{}</dt><dd>{}</dd></div>", escape(term), escape(value));
        }
        self.body.push_str("</dl>\n");
    }

    /// Charts side by side where the page is wide enough.
    pub(crate) fn charts(
        &mut self,
        charts: impl IntoIterator<Item = Chart>,
    ) -> Result<(), ReportError> {
        self.body.push_str("<div class=\"plots\">\n");
        for chart in charts {
            self.plots += 1;
            self.body.push_str(&chart.figure(&format!("plot{}", self.plots))?);
        }
        self.body.push_str("</div>\n");
        Ok(())
    }

    /// The finished page.
    pub(crate) fn finish(self) -> String {
        let script = match self.script {
            "" => String::new(),
            script => format!("<script>\n{script}</script>\n"),
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{} – Paceline</title>\n<style>\n{COLOURS}{STYLE}{}</style>\n</head>\n<body>\n<main>\n{}\
             <footer>Paceline {}</footer>\n</main>\n{script}</body>\n</html>\n",
            escape(&self.title),
            self.style,
            self.body,
            env!("CARGO_PKG_VERSION")
        )
    }
}

/// A word of a command, which a narrow page does not break at its hyphens.
fn unbroken(word: &str) -> String {
    format!("<span>{}</span>", escape(word))
}

const STYLE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;\
overflow-wrap:anywhere}
main{max-width:1180px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:1.7rem;line-height:1.25;margin:.1em 0 .4em}
h2{font-size:1.25rem;margin:2.2em 0 .6em;padding-bottom:.25em;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:0}
p{margin:.5em 0;max-width:75ch}
.kind{color:var(--muted);margin:0;font-size:.9rem}
.lead{font-size:1.2rem;line-height:1.45;max-width:62ch}
.again{color:var(--muted);margin-bottom:.2em;font-size:.9rem}
.badge{display:inline-block;font-size:.85rem;font-weight:600;padding:.15em .7em;border:1.5px solid;\
border-radius:1em;vertical-align:.22em;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}
td.good,td.bad{font-weight:600;white-space:nowrap}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6em .8em;margin:.3em 0;\
overflow-x:auto;font-size:.85rem;line-height:1.45;overflow-wrap:normal}
pre.command{white-space:pre-wrap;overflow-wrap:anywhere}
pre.command span{display:inline-block;max-width:100%}
code,.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.5em 1.2em;margin:1.2em 0}
.facts dt{color:var(--muted);font-size:.8rem}.facts dd{margin:0;font-size:.92rem;font-variant-numeric:tabular-nums}
.scroll{width:fit-content;max-width:100%;overflow-x:auto;max-height:46rem;overflow-y:auto;border:1px solid var(--line);border-radius:6px;margin:.6em 0;\
background:linear-gradient(90deg,var(--paper) 40%,transparent) 0 0/2.4em 100% local,\
linear-gradient(270deg,var(--paper) 40%,transparent) 100% 0/2.4em 100% local,\
linear-gradient(90deg,var(--more),transparent) 0 0/1.1em 100% scroll,\
linear-gradient(270deg,var(--more),transparent) 100% 0/1.1em 100% scroll;background-repeat:no-repeat}
table{border-collapse:collapse;min-width:min(34rem,88vw);font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35em .7em;border-bottom:1px solid var(--grid);vertical-align:top;\
overflow-wrap:normal;font-weight:400}
thead th{position:sticky;top:0;background:var(--card);font-weight:600;color:var(--ink);white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
th.n,td.n{text-align:right;white-space:nowrap}
td.code,th.code{font-size:.8rem;white-space:nowrap}
tbody th{min-width:8em}td.words{min-width:12em}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:1.6em 2em;margin:1em 0}
figure{margin:0;min-width:0}
figcaption p{margin:.15em 0;font-size:.88rem;color:var(--muted)}
svg{display:block;width:100%;height:auto;margin:.4em 0}
svg text{font-family:system-ui,sans-serif}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1em 1.1em;margin:.3em 0 0;padding:0;font-size:.85rem}
.legend li{display:flex;align-items:center;gap:.45em}
.legend li::before{content:\"\";flex:none;display:block;width:1.9em;height:0;border-top:3px solid var(--c)}
.legend .d1::before,.legend .d4::before{border-top-style:dashed}
.legend .d2::before{border-top-style:dotted}
.legend .d3::before{border:0;height:3px;background:repeating-linear-gradient(90deg,var(--c) 0 9px,transparent 9px 12px,\
var(--c) 12px 15px,transparent 15px 18px)}
.legend .bar::before{width:.9em;height:.9em;border:0;background:var(--c)}
.legend .area::before{width:1.3em;height:.9em;border:1px solid var(--c);\
background:color-mix(in srgb,var(--c) 25%,transparent)}
.legend .dot::before{width:.7em;height:.7em;border:0;border-radius:50%;background:var(--c)}
.legend .tick::before{width:1.3em;border-top-width:4px}
.scale{display:inline-block;width:9em;height:.8em;vertical-align:-.05em;margin:0 .5em;border:1px solid var(--line);\
background:linear-gradient(90deg,var(--low),var(--paper),var(--high))}
ul{padding-left:1.3em;max-width:75ch}\
details{margin:.5em 0}summary{cursor:pointer;color:var(--link);font-size:.9rem}
footer{margin-top:3em;color:var(--muted);font-size:.8rem}
@media(max-width:600px){body{font-size:15px}main{padding:14px 12px 32px}h1{font-size:1.35rem}.lead{font-size:1.08rem}\
th,td{padding:.3em .4em}table{min-width:0;font-size:.82rem}thead th,th.n{white-space:normal}tbody th{min-width:5em}\
td.words{min-width:9em}svg text{font-size:31px}}
@media print{main{max-width:none;padding:0}body{font-size:10.5pt}figure,tr,pre,.facts div{break-inside:avoid}\
h2,h3,figcaption{break-after:avoid}.scroll{max-height:none;overflow:visible}thead th{position:static}\
.plots{grid-template-columns:1fr 1fr;gap:1em}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
";
