//! A comparison from file to result, and the project's own files.

use paceline_reports::result::Identity;

use super::{Progress, format::Comparison, run};

pub(super) struct Silent;

impl Progress for Silent {
    fn begin(&self, _: u64) {}
    fn step(&self, _: &str) {}
}

const FILE: &str = r#"
name  = "small"
about = "everything once"
seed  = 3

[compare]
nodes           = [6]
slots           = 512
replicas        = 2
zones           = 3
hashes          = ["xxh3", "crc32c"]
salted_p_values = 20
timing          = false

[[compare.population]]
name         = "even"
destinations = 4000

[[compare.population]]
name         = "skewed"
destinations = 2000
popularity   = { zipf = 1.0 }

[[compare.change]]
add = 1

[[compare.change]]
remove = 2

[[compare.change]]
restore = 1

[[compare.change]]
weight = { nodes = 1, factor = 2.0 }

[[compare.change]]
zone_loss = true

[[compare.change]]
failover = true

[[compare.change]]
restart = true

[[compare.course]]
drift = { swap = 0.05, steps = 3 }

[[compare.course]]
flapping = { steps = 4 }

[[compare.course]]
rolling_restart = { nodes = 2 }

[[compare.course]]
growth = { from = 2 }

[[compare.course]]
idle = { steps = 3 }
"#;

#[test]
fn everything_is_measured_once_and_is_the_same_again() {
    let comparison = Comparison::load("small.toml", FILE).unwrap();
    let made = || {
        let nowhere = std::path::Path::new("unused");
        let mut result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
        result.wall_s = 0.0;
        result
    };
    let result = made();
    assert!(result.to_json().unwrap() == made().to_json().unwrap(), "a second run differs");
    let strategies = result.strategies.len();
    assert_eq!(result.balance.len(), strategies * 2 * 2, "strategies × hashes × populations");
    assert_eq!(result.salted.len(), 2);

    for cell in result.balance.iter().filter(|cell| cell.strategy == "slots-by-load") {
        assert!(cell.peak <= cell.bound * 1.01, "{cell:?}");
    }
    let failover =
        |strategy: &str| result.failovers.iter().find(|c| c.strategy == strategy).unwrap().peak;
    let elsewhere =
        |strategy: &str| result.restarts.iter().find(|c| c.strategy == strategy).unwrap().elsewhere;
    assert!(elsewhere("slots") > 0.05, "a table remembers: {}", elsewhere("slots"));
    for stateless in ["modulo", "ring", "ketama", "rendezvous", "straw2", "maglev"] {
        assert_eq!(elsewhere(stateless), 0.0, "{stateless}");
    }
    assert!(failover("slots") < 1.25 && failover("modulo") > 1.5, "{}", failover("slots"));

    let idle = result.courses.iter().filter(|course| course.title.starts_with("idle"));
    for course in idle {
        assert!(course.steps.iter().all(|step| step.moved == 0.0), "{course:?}");
    }
    let refused = |strategy: &str, asked: &str| {
        result.refusals.iter().any(|r| r.strategy == strategy && r.asked.contains(asked))
    };
    assert!(refused("jump", "weight"));

    let spread = |hash: &str| {
        let mut values = result.salted.iter().find(|s| s.hash == hash).unwrap().p_values.clone();
        values.sort_by(f64::total_cmp);
        values[values.len() - 1] - values[0]
    };
    assert!(spread("xxh3") > 0.5, "{}", spread("xxh3"));
    // A salt only renumbers the slots of CRC-32C; what is left comes from six not dividing 512.
    assert!(spread("crc32c") < 0.1, "a salt changes the balance: {}", spread("crc32c"));
}

/// With one copy of everything. With more, who leads changes also where no data moves.
#[test]
fn the_table_moves_what_must_move_and_nothing_else() {
    let text = FILE
        .replace("replicas        = 2", "replicas = 1\nstrategies = [\"slots\"]")
        .replace("[[compare.change]]\nfailover = true\n", "")
        .replace("[[compare.change]]\nrestart = true\n", "");
    let comparison = Comparison::load("small.toml", &text).unwrap();
    let nowhere = std::path::Path::new("unused");
    let result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
    assert_eq!(result.movement.len(), 5);
    for cell in &result.movement {
        assert_eq!(cell.collateral, 0.0, "{cell:?}");
        // Shares of 512 slots are whole numbers, so up to a slot per node more or less.
        let expected = cell.expected.unwrap();
        assert!((expected - cell.optimal).abs() < 4.0 / 512.0, "{cell:?}");
    }
}

#[test]
fn a_loss_moves_no_less_than_the_least() {
    let text = r#"
name = "loss"
about = "Hot destinations that fill nodes alone."
seed = 1
[compare]
strategies = ["slots-by-load", "slots-split"]
nodes = [10, 100, 300]
timing = false
[[compare.population]]
name = "zipf"
destinations = 20_000
popularity = { zipf = 0.9 }
[[compare.change]]
remove = 1
"#;
    let comparison = Comparison::load("loss.toml", text).unwrap();
    let nowhere = std::path::Path::new("unused");
    let result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
    assert_eq!(result.movement.len(), 6);
    for cell in &result.movement {
        let ratio = cell.ratio().unwrap();
        assert!((0.995..1.5).contains(&ratio), "{ratio}: {cell:?}");
    }
}

#[test]
fn theory_follows_the_points_that_a_file_asks_for() {
    let compared = |points: u32| {
        let text = format!(
            "name = \"points\"\nabout = \"x\"\n[compare]\nnodes = [10]\ntiming = false\n\
             strategies = [\"ring\", \"ketama\", \"ketama-nginx\"]\nhashes = [\"md5\"]\n\
             points_per_node = {points}\n[[compare.population]]\nname = \"even\"\n"
        );
        let comparison = Comparison::load("points.toml", &text).unwrap();
        run(&comparison, Identity::default(), std::path::Path::new("unused"), &Silent).unwrap()
    };
    for points in [8, 1600] {
        let result = compared(points);
        assert_eq!(result.balance.len(), 3);
        for cell in &result.balance {
            let expected = cell.expected.unwrap().cv;
            let ring = (9.0 / (10.0 * f64::from(points) + 1.0)).sqrt();
            assert!((expected / ring - 1.0).abs() < 0.1, "{expected} for {ring}: {cell:?}");
            assert!(cell.p_value.unwrap() > 0.001, "{cell:?}");
        }
        for strategy in &result.strategies {
            assert!(strategy.about.contains(&format!(" {points} points")), "{strategy:?}");
        }
    }
    let odd = compared(10);
    let refused: Vec<&str> = odd.refusals.iter().map(|it| it.strategy.as_str()).collect();
    assert_eq!(refused, ["ketama"], "{:?}", odd.refusals);
    assert!(odd.refusals[0].reason.contains("multiple of 4"), "{:?}", odd.refusals);
}

/// The tests' working directory is the crate's, so that a file found is found beside the comparison.
#[test]
fn a_file_of_names_is_sought_beside_the_comparison() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lists")).unwrap();
    let file = folder.path().join("listed.toml").display().to_string();
    let listed = |names: &str| {
        let text = format!(
            "name = \"listed\"\nabout = \"x\"\n[compare]\nstrategies = [\"slots\"]\nnodes = [2]\n\
             timing = false\n[[compare.population]]\nname = \"mine\"\nnames = {{ file = '{names}' }}\n"
        );
        let comparison = Comparison::load(&file, &text).unwrap();
        run(&comparison, Identity::default(), std::path::Path::new("unused"), &Silent)
    };
    let path = folder.path().join("lists/names.txt");
    let sought = listed("lists/names.txt").unwrap_err();
    let wanted = format!("population `mine`: cannot use {}: ", path.display());
    assert!(sought.starts_with(&wanted), "{sought}");

    std::fs::write(&path, "orders\ninvoices\nreturns\n").unwrap();
    assert_eq!(listed("lists/names.txt").unwrap().populations[0].destinations, 3);
    let absolute = path.display().to_string();
    assert_eq!(listed(&absolute).unwrap().populations[0].destinations, 3);
}

#[test]
fn the_files_of_the_project_are_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/hashing");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let comparison = Comparison::load(&path.display().to_string(), &text);
        let comparison = comparison.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(comparison.name.as_str()));
        files += 1;
    }
    assert!(files >= 15, "{files} files");
}
