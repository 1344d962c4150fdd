//! Draws the report of a comparison again from its `result.json`, with the pages as they are now:
//! `cargo run -p paceline-reports --example redraw -- out/compare-all/result.json DIRECTORY`.

use std::{env, error::Error, fs, path::Path};

use paceline_reports::{CompareResult, write_compare};

fn main() -> Result<(), Box<dyn Error>> {
    let [file, directory] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "say which result.json to draw and into which directory")?;
    let text = fs::read_to_string(&file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let page = write_compare(Path::new(&directory), &CompareResult::from_json(&text)?)?;
    println!("{}", page.display());
    Ok(())
}
