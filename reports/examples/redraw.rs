//! Draws the report of a comparison again from its `result.json`, or a diagram from its `trace.json`,
//! with the pages as they are now:
//! `cargo run -p paceline-reports --example redraw -- out/compare-all/result.json DIRECTORY`.

use std::{env, error::Error, fs, path::Path};

use paceline_reports::{CompareResult, Trace, write_compare, write_trace};

fn main() -> Result<(), Box<dyn Error>> {
    let [file, directory] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "say which result.json or trace.json to draw and into which directory")?;
    let text = fs::read_to_string(&file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let directory = Path::new(&directory);
    let page = match Path::new(&file).file_name() {
        Some(name) if name == "trace.json" => write_trace(directory, &Trace::from_json(&text)?)?,
        _ => write_compare(directory, &CompareResult::from_json(&text)?)?,
    };
    println!("{}", page.display());
    Ok(())
}
