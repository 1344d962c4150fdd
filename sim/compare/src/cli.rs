//! `cargo sim compare FILE`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use paceline_reports::{result::Identity, write_compare};
use paceline_runtime::say;

use super::{Progress, advice, entry::default_slots, format::Comparison, run, summary};

/// `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// A file with a [compare] block, such as scenarios/hashing/all.toml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where result.json, CSV files and report.html go [default: out/compare-NAME]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Write no report
    #[arg(long, conflicts_with = "report")]
    pub no_report: bool,
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&self, steps: u64) {
        self.0.set_length(steps);
    }

    fn step(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.inc(1);
    }
}

/// Compares what the file asks for, prints the table and writes the report. `commit` is what this
/// program was built from.
///
/// # Errors
/// When the file is refused or the report cannot be written; the text says why.
pub fn compare(args: &CompareArgs, commit: &str) -> Result<(), String> {
    let file = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| format!("cannot read {file}: {error}"))?;
    let comparison = Comparison::load(&file, &text).map_err(|error| error.to_string())?;
    let identity = Identity {
        scenario: comparison.name.clone(),
        about: comparison.about.trim().to_owned(),
        scenario_hash: blake3::hash(text.as_bytes()).to_hex()[..16].to_owned(),
        seed: comparison.seed,
        commit: commit.to_owned(),
        world: if comparison.compare.simulate { "simulated" } else { "static" }.to_owned(),
        reproduce: format!("cargo sim compare {file}"),
    };
    say!("{}: {}", comparison.name, comparison.about.trim());
    let bar = ProgressBar::no_length();
    let style = "{bar:30} {pos}/{len}, {eta} left: {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is right"));
    let default = || PathBuf::from("out").join(format!("compare-{}", comparison.name));
    let directory = args.report.clone().unwrap_or_else(default);
    let result = run(&comparison, identity, &directory, &Bar(bar.clone()))?;
    bar.finish_and_clear();
    // Before it is printed, for whoever reads no further than the first lines.
    let page = (!args.no_report).then(|| write_compare(&directory, &result)).transpose();
    say!("\n{}\n", summary::table(&result));
    let slots = comparison.slots().unwrap_or_else(|| default_slots(result.focus.nodes as usize));
    say!("{}\n", advice::text(&result, slots));
    if let Some(page) = page.map_err(|error| error.to_string())? {
        say!("report:      {}", page.display());
    }
    say!("reproduce:   cargo sim compare {file}");
    say!("took:        {:.1} s", result.wall_s);
    Ok(())
}
