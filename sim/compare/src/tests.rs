//! A comparison from file to result, and the project's own files.

use paceline_reports::result::Identity;

use super::{Progress, format::Comparison, run, summary};

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
    let away: Vec<_> = result.restarts.iter().map(|cell| cell.left.clone()).collect();
    assert!(away.iter().all(|left| left.is_some() && *left == away[0]), "{away:?}");
    assert!(elsewhere("slots") > 0.05, "a table remembers: {}", elsewhere("slots"));
    for stateless in ["modulo", "ring", "ketama", "rendezvous", "straw2", "maglev"] {
        assert_eq!(elsewhere(stateless).to_string(), "0", "{stateless}");
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

/// The cells of one strategy on four nodes, one for each change.
fn changed(strategy: &str, nodes: &str, changes: &[&str]) -> paceline_reports::CompareResult {
    let changes: String =
        changes.iter().map(|change| format!("[[compare.change]]\n{change}\n")).collect();
    let text = format!(
        "name = \"changed\"\nabout = \"x\"\nseed = 3\n[compare]\nstrategies = [\"{strategy}\"]\n\
         {nodes}\ntiming = false\n[[compare.population]]\nname = \"even\"\n{changes}"
    );
    let comparison = Comparison::load("changed.toml", &text).unwrap();
    let result = run(&comparison, Identity::default(), std::path::Path::new("unused"), &Silent);
    let result = result.unwrap();
    result.to_json().expect("a result that can be written");
    result
}

#[test]
fn nodes_join_as_heavy_as_the_others_or_as_they_are_told() {
    let optimal = |weights: &str, add: &str| {
        let nodes = format!("nodes = [4]\nweights = {weights}");
        let result = changed("rendezvous", &nodes, &[add]);
        let cell = result.movement[0].clone();
        assert!((cell.moved_count.unwrap() - cell.optimal).abs() < 0.01, "{cell:?}");
        (cell.optimal, cell.who())
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a}, not {b}");
    let (of_equal, who) = optimal("[64.0]", "add = 1");
    close(of_equal, 1.0 / 5.0);
    assert_eq!(who, "new1 (weight 64) joined");
    close(optimal("[1.0, 3.0]", "add = 2").0, 4.0 / 12.0);
    close(optimal("[64.0]", "add = { nodes = 1, weights = [1.0] }").0, 1.0 / 257.0);
    let (optimal, who) = optimal("[2.0]", "add = { names = [\"a\", \"b\"], weights = [4.0, 8.0] }");
    close(optimal, 12.0 / 20.0);
    assert_eq!(who, "a (weight 4), b (weight 8) joined");
}

/// Expected parts: jump hash over four and three buckets in Python, the last node taking the number
/// of the one that left.
#[test]
fn only_the_last_node_leaves_a_numbered_strategy_at_the_least_cost() {
    let nodes = "nodes = [4]\nhashes = [\"md5\"]\nsalts = [\"\"]";
    let leave = ["remove = { last = 1 }", "remove = { names = [\"n2\"] }", "remove = 1"];
    let result = changed("jump", nodes, &leave);
    let [last, second, drawn] = &result.movement[..] else { panic!("{:?}", result.movement) };
    assert_eq!((last.who().as_str(), &last.note), ("n4 left", &None));
    assert_eq!(last.moved_count, Some(0.24756));
    assert_eq!(last.collateral, 0.0);
    assert_eq!((second.change.as_str(), second.who().as_str()), ("remove n2", "n2 left"));
    assert_eq!(second.moved_count, Some(0.41609));
    let note = second.note.as_deref().unwrap();
    assert!(note.contains("only the last node") && note.contains("n4 takes the number"), "{note}");
    assert!(["n1 left", "n2 left", "n3 left", "n4 left"].contains(&&*drawn.who()), "{drawn:?}");

    let told = summary::table(&result);
    for line in ["remove the last node: n4 left", "remove n2: n2 left", "jump, remove n2: only the"]
    {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let others = changed("rendezvous", nodes, &leave);
    assert!(others.movement.iter().all(|cell| cell.note.is_none()));
}

#[test]
fn the_nodes_that_come_back_or_weigh_more_are_those_that_are_named() {
    let changes = [
        "restore = { names = [\"n2\", \"n3\"] }",
        "weight = { last = 1, factor = 3.0 }",
        "zone_loss = true",
    ];
    let result = changed("slots", "nodes = [4]\nzones = 2", &changes);
    let who: Vec<String> = result.movement.iter().map(|cell| cell.who()).collect();
    assert_eq!(who, ["n2 (weight 1), n3 (weight 1) joined", "n4 (weight 3) stayed", "n1, n3 left"]);
    assert!((result.movement[0].optimal - 0.5).abs() < 1e-12, "{:?}", result.movement[0]);
    assert!((result.movement[1].optimal - (0.5 - 0.25)).abs() < 1e-12, "{:?}", result.movement[1]);
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
    for points in [16, 1600] {
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

/// The result of comparing strategies on eight nodes of these weights.
fn weighted(weights: &str, strategies: &str, more: &str) -> paceline_reports::CompareResult {
    let text = format!(
        "name = \"weighted\"\nabout = \"x\"\n[compare]\nnodes = [8]\nweights = {weights}\n\
         strategies = [{strategies}]\n{more}\n[[compare.population]]\nname = \"even\"\n\
         destinations = 20_000\n"
    );
    let comparison = Comparison::load("weighted.toml", &text).unwrap();
    run(&comparison, Identity::default(), std::path::Path::new("unused"), &Silent).unwrap()
}

#[test]
fn the_unit_of_equal_weights_changes_no_figure() {
    let strategies = "\"slots\", \"ring\", \"ketama\", \"straw2\", \"multi-probe\", \"two-choice\"";
    let cells = |weight: &str| {
        let result = weighted(weight, strategies, "timing = false\ncell_limit_s = 1");
        assert!(result.refusals.is_empty(), "{:?}", result.refusals);
        let abouts: Vec<String> = result.strategies.into_iter().map(|it| it.about).collect();
        let figures = result.balance.into_iter().map(|cell| {
            let expected = cell.expected.map_or(0.0, |expected| expected.peak);
            [cell.peak, cell.least, cell.cv, expected, cell.p_value.unwrap_or_default()]
        });
        (abouts, figures.flatten().collect::<Vec<f64>>())
    };
    let (abouts, figures) = cells("[1]");
    for weight in ["[0.01]", "[1048576]", "[1e-300]", "[1e308]"] {
        let (these, same) = cells(weight);
        assert_eq!(these, abouts, "{weight}");
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        assert!(figures.iter().zip(&same).all(close), "{weight}: {same:?} {figures:?}");
    }
}

/// nginx's circle has 160 points for each unit of weight, and what is expected has to follow.
#[test]
fn theory_follows_the_points_that_weights_give() {
    for (weight, points) in [("[0.1]", 16.0), ("[4]", 640.0)] {
        let result = weighted(weight, "\"ketama-nginx\"", "timing = false");
        let expected = result.balance[0].expected.unwrap().cv;
        let ring = (7.0f64 / (8.0 * points + 1.0) + 7.0 / 20_000.0).sqrt();
        assert!((expected / ring - 1.0).abs() < 0.1, "{expected} for {ring}");
        let told = format!("the 32-bit circle of nginx, {points} points per node");
        assert_eq!(result.strategies[0].about, told);
    }
    let result = weighted("[1, 3]", "\"ring\"", "timing = false");
    assert_eq!(result.strategies[0].about, "a circle with 100 to 300 points per node");
}

/// Everything that is placed by chance has an expectation and a test, under weights and popularity of
/// any kind.
#[test]
fn every_strategy_has_its_theory() {
    let text = "name = \"all\"\nabout = \"x\"\n[compare]\nnodes = [6]\nweights = [1, 3]\n\
                timing = false\nhashes = [\"md5\"]\n[[compare.population]]\nname = \"even\"\n\
                destinations = 20_000\n[[compare.population]]\nname = \"skewed\"\n\
                destinations = 3000\npopularity = { zipf = 0.8 }\n";
    for text in [text.to_owned(), text.replace("[1, 3]", "[2]")] {
        let comparison = Comparison::load("all.toml", &text).unwrap();
        let nowhere = std::path::Path::new("unused");
        let result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
        let by_count = |strategy: &str| !strategy.starts_with("slots-");
        let cells: Vec<_> = result.balance.iter().filter(|it| by_count(&it.strategy)).collect();
        assert_eq!(cells.len(), 2 * 19);
        for cell in cells {
            let expected = cell.expected.unwrap();
            // Chance gives less than one in a thousand of either; the names are always the same.
            assert!(cell.p_value.unwrap() > 0.001, "{cell:?}");
            let excess = (cell.peak - 1.0) / (expected.peak - 1.0);
            // A circle of six nodes may be lucky.
            let circle = ["ring", "ketama", "ketama-nginx"].contains(&cell.strategy.as_str());
            let least = if circle { 0.2 } else { 0.4 };
            assert!((least..2.5).contains(&excess), "{cell:?}");
        }
    }
}

/// libketama counts points by the average weight, so that a heavier node takes some from all.
#[test]
fn what_a_ketama_ring_moves_is_expected_only_where_the_others_keep_their_points() {
    let doubled = "weight = { nodes = 1, factor = 2.0 }";
    let changes = ["add = 1", "remove = 1", doubled];
    let cells = |strategy: &str| changed(strategy, "nodes = [8]", &changes).movement;
    let expected: Vec<bool> = cells("ketama").iter().map(|cell| cell.expected.is_some()).collect();
    assert_eq!(expected, [true, true, false]);
    let collateral: Vec<bool> = cells("ketama").iter().map(|cell| cell.collateral > 0.0).collect();
    assert_eq!(collateral, [false, false, true]);
    for cell in cells("ring") {
        assert!(cell.expected == Some(cell.optimal) && cell.collateral == 0.0, "{cell:?}");
    }
}

/// What cannot be built, or not in time, is refused before anything is built, and the others'
/// results stand.
#[test]
fn a_strategy_that_cannot_be_built_takes_nothing_from_the_others() {
    let strategies = "\"ketama-nginx\", \"maglev\", \"rendezvous\"";
    let refused = |weights: &str, more: &str| {
        let begun = std::time::Instant::now();
        let result = weighted(weights, strategies, more);
        assert!(begun.elapsed().as_secs() < 8, "{weights}");
        assert!(result.balance.iter().any(|cell| cell.strategy == "rendezvous"), "{weights}");
        let refused = |strategy: &str| {
            let refusals = result.refusals.iter().filter(|it| it.strategy == strategy);
            refusals.map(|it| it.reason.clone()).collect::<String>()
        };
        [refused("ketama-nginx"), refused("maglev")]
    };
    let [nginx, maglev] = refused("[1048576]", "timing = true");
    assert!(nginx.contains("above the limit of 33554432") && maglev.is_empty(), "{nginx} {maglev}");
    let [nginx, _] = refused("[10000]", "timing = true\ncell_limit_s = 1");
    assert!(nginx.contains("to build, above cell_limit_s, which is 1"), "{nginx}");
    let small = "[1, 1, 1, 1, 1, 1, 1, 1e-9]";
    let [nginx, maglev] = refused(small, "timing = false\nreplicas = 8");
    assert!(nginx.contains("`n8`") && maglev.contains("`n8`"), "{nginx} {maglev}");
}

/// One destination has half of the messages, so each placement of whole ones has a peak of 2 on four
/// nodes. Message by message no node is above its bound, and what the ring places above the bounds
/// is what must spill.
#[test]
fn no_node_is_above_its_bound_when_messages_spill() {
    let compared = |settings: &str| {
        let text = format!(
            "name = \"spill\"\nabout = \"x\"\n[compare]\nnodes = [4]\ntiming = false\n\
             strategies = [\"bounded-load\", \"ring\"]\n{settings}\n[[compare.population]]\n\
             name = \"urls\"\ndestinations = 10_000\npopularity = {{ hot = 1, share = 0.5 }}\n"
        );
        let comparison = Comparison::load("spill.toml", &text).unwrap();
        let nowhere = std::path::Path::new("unused");
        let result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
        result.to_json().expect("a result that can be written");
        result
    };
    let result = compared("");
    let peak = |name: &str| result.balance.iter().find(|c| c.strategy == name).unwrap().peak;
    assert!(peak("bounded-load") >= 2.0, "a whole destination: {}", peak("bounded-load"));
    let [cell] = &result.spilling[..] else { panic!("{:?}", result.spilling) };
    assert_eq!((cell.factor, cell.in_flight, cell.peak), (1.25, 400, 1.25), "{cell:?}");
    assert!(cell.share_peak <= 1.25 + 1e-3 && cell.share_peak > 1.2, "{cell:?}");
    assert!((cell.unbounded_peak - peak("ring")).abs() < 1e-9, "{cell:?}");
    assert!(cell.least_spilled >= 0.5 - 1.25 / 4.0 - 1e-9, "{cell:?}");
    assert!((cell.least_spilled - 0.01..0.6).contains(&cell.spilled), "{cell:?}");
    assert!(cell.hottest_on >= 2, "{cell:?}");
    let told = summary::table(&result);
    assert!(told.contains("bounded-load by messages, 400 in flight: peak 1.2500"), "{told}");
    assert!(told.contains("the hottest destination is on "), "{told}");

    let loose = compared("load_factor = 3.0\nin_flight = 4000");
    let [cell] = &loose.spilling[..] else { panic!("{:?}", loose.spilling) };
    assert_eq!((cell.spilled, cell.least_spilled, cell.hottest_on), (0.0, 0.0, 1), "{cell:?}");
    assert!((cell.share_peak / cell.unbounded_peak - 1.0).abs() < 0.02, "{cell:?}");
    assert!(loose.strategies[0].about.contains("3 times"), "{:?}", loose.strategies[0]);

    let limited = compared("cell_limit_s = 0.09");
    let asked: Vec<&str> = limited.refusals.iter().map(|it| it.asked.as_str()).collect();
    assert!(limited.spilling.is_empty() && asked == ["spill messages on 4 nodes"], "{asked:?}");

    let heavy = compared("weights = [3.0, 1.0, 1.0, 1.0]\nin_flight = 600");
    let [cell] = &heavy.spilling[..] else { panic!("{:?}", heavy.spilling) };
    assert!(cell.peak <= 1.25 + 1e-9 && cell.spilled >= cell.least_spilled - 0.01, "{cell:?}");
}

#[test]
fn names_with_one_hash_tag_are_placed_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let names: String =
        (0..60).map(|n| format!("cart:{{user{}}}:{n}\n", if n % 2 == 0 { 0 } else { n })).collect();
    std::fs::write(folder.path().join("names.txt"), names).unwrap();
    let file = folder.path().join("tags.toml").display().to_string();
    let peak = |hash_tags: bool| {
        let text = format!(
            "name = \"tags\"\nabout = \"x\"\n[compare]\nnodes = [6]\ntiming = false\n\
             strategies = [\"slots\", \"slots-split\"]\n[[compare.population]]\nname = \"carts\"\n\
             names = {{ file = 'names.txt', hash_tags = {hash_tags} }}\n"
        );
        let comparison = Comparison::load(&file, &text).unwrap();
        let nowhere = std::path::Path::new("unused");
        let result = run(&comparison, Identity::default(), nowhere, &Silent).unwrap();
        let reasons: Vec<String> = result.refusals.iter().map(|r| r.reason.clone()).collect();
        (result.balance[0].clone(), reasons)
    };
    let (together, refused) = peak(true);
    assert!((together.bound - 3.0).abs() < 1e-9 && together.peak >= 3.0, "{together:?}");
    assert_eq!(refused, ["names with one hash tag must stay together"]);
    let (apart, refused) = peak(false);
    assert!(apart.bound == 1.0 && apart.peak < 2.0 && refused.is_empty(), "{apart:?}");
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
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/hashing");
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
