//! Files that are good, and mistakes that are refused with their place.

use super::*;

const GOOD: &str =
    "name = \"c\"\nabout = \"x\"\n[compare]\nnodes = [10]\n[[compare.population]]\nname = \"u\"\n";

#[test]
fn a_short_file_is_enough() {
    let comparison = Comparison::load("c.toml", GOOD).unwrap();
    assert_eq!(comparison.focus_nodes(), 10);
    assert!(Comparison::is_in(GOOD) && !Comparison::is_in("name = \"c\""));
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let refused = |from: &str, to: &str, line: usize, reason: &str| {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD);
        let error = Comparison::load("c.toml", &text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused("nodes = [10]", "nodes = [10]\nnodez = 3", 5, "nodez");
    refused("[10]", "[0]", 4, "from 1 to");
    refused("[10]", "[10]\nstrategies = [\"rings\"]", 5, "`rings`");
    refused("[10]", "[10]\nstrategies = \"ring\"", 5, "[\"ring\"]");
    refused("[10]", "[10]\nstrategies = [\"dx\", \"dx\"]", 5, "`dx` is listed twice");
    refused("[10]", "[10]\nsalts = [\"a\", \"b\", \"a\"]", 5, "twice");
    refused("[10]", "[10]\nhashes = [\"md4\"]", 5, "md4");
    refused("[10]", "[10]\nreplicas = 11", 5, "between 1 and");
    refused("[10]", "[10]\npoints_per_node = 0", 5, "between 1 and 65536");
    refused("[10]", "[100_000]\npoints_per_node = 400", 5, "at most 335 for 100000 nodes");
    refused("[10]", "[10]\nsimulate = true\npoints_per_node = 8", 6, "leave it out");
    refused("[10]", "[10]\nload_factor = 1.0", 5, "above 1 and at most 1000");
    refused("[10]", "[10]\nload_factor = nan", 5, "above 1");
    refused("[10]", "[10]\nsimulate = true\nload_factor = 1.5", 6, "leave it out");
    refused("[10]", "[10]\nin_flight = 9", 5, "1 per node, 10 here, and 1000000");
    refused("[10]", "[10]\nstrategies = [\"ring\"]\nin_flight = 90", 6, "not compared");
    refused("[10]", "[10]\nslots = 9", 5, "at least one slot per node");
    refused("[10]", "[10, 10]", 4, "twice");
    refused("[10]", "{ names = [] }", 4, "or their names");
    refused("[10]", "{ names = [\"a\", \"b\", \"a\"] }", 4, "`a` is listed twice");
    refused("[10]", "{ names = [\"a\", \"\"] }", 4, "cannot be empty");
    refused("[10]", "{ name = [\"a\"] }", 4, "`name`");
    refused("[10]", "{ names = [\"a\"] }\nfocus = { nodes = 2 }", 5, "2 is not among");
    refused("[10]", "[10]\nweights = [1.0,\n0.0]", 6, "above 0");
    refused("[10]", "[10]\nweights = [inf]", 5, "not inf");
    refused("[10]", "[10]\nfocus = { nodes = 11 }", 5, "11");
    refused("[10]", "[10]\nfocus = { population = \"v\" }", 5, "`v`");
    refused("\"u\"\n", "\"u\"\ndestinations = 0\n", 7, "between 1");
    refused("\"u\"\n", "\"u\"\npopularity = { zipf = -1.0 }\n", 7, "exponent");
    refused("\"u\"\n", "\"u\"\npopularity = { zipf = 1.0, hot = 3 }\n", 7, "write \"uniform\"");
    refused("\"u\"\n", "\"u\"\npopularity = \"measured\"\n", 7, "names of a file");
    refused("\"u\"\n", "\"u\"\nnames = \"guid\"\n", 7, "guid");
    let tags = "\"u\"\nnames = { prefix = \"a\", hash_tags = true }\n";
    refused("\"u\"\n", tags, 7, "`hash_tags` are those of a file");
    refused("\"u\"\n", "\"u\"\n[[compare.change]]\nremove = 10\n", 7, "must stay");
    let change = |change: &str, line: usize, reason: &str| {
        refused("\"u\"\n", &format!("\"u\"\n[[compare.change]]\n{change}\n"), line, reason);
    };
    change("remove = -1", 8, "-1 is no number");
    change("remove = { names = [\"n11\"] }", 7, "no node is called `n11`; they are `n1`, `n2`");
    change("remove = { names = [\"n1\", \"n1\"] }", 7, "`n1` is listed twice");
    change("remove = { last = 10 }", 7, "must stay");
    change("remove = { last = 1, names = [\"n1\"] }", 8, "say which nodes: 1");
    change("remove = { nodes = 1, weights = [2.0] }", 8, "say which nodes: 1");
    change("restore = { names = [] }", 7, "at least one");
    change("add = { nodes = 1, weights = [0.0] }", 7, "`weights` are finite and above 0, not 0");
    change("add = { nodes = 1, weights = [] }", 8, "say who joins");
    change("add = { nodes = 1, names = [\"a\"] }", 8, "say who joins");
    change("add = { names = [\"n3\"] }", 7, "called `n3` already");
    change("add = { last = 1 }", 8, "say who joins");
    change("add = { number = 1 }", 8, "`number`");
    change("weight = { nodes = 1 }", 8, "say by how much");
    change("weight = { last = 1, factor = -1.0 }", 7, "`factor`");
    change("weight = { names = [\"x\"], factor = 2.0 }", 7, "`x`");
    refused("\"u\"\n", "\"u\"\n[[compare.change]]\nzone_loss = true\n", 7, "`zones`");
    refused("\"u\"\n", "\"u\"\n[[compare.change]]\nmove = 1\n", 8, "move");
    refused("\"u\"\n", "\"u\"\n[[compare.course]]\nflapping = { steps = 0 }\n", 7, "steps");
    refused("name = \"c\"", "name = \"a b\"", 1, "letters");
    refused("about = \"x\"", "about = \"x\"\nduration = \"5s\"", 3, "simulate = true");
    refused("[10]", "[10]\nsimulate = true", 5, "needs `duration`");
}

#[test]
fn mistakes_in_the_simulated_part_are_refused_with_their_place() {
    let good = GOOD
        .replace("\"x\"", "\"x\"\nduration = \"5s\"")
        .replace("[10]", "[5, 10]\nsimulate = true")
        + "[cluster]\nnodes = 5\nslots = 64\n[[workload]]\nproducers = 1\nconsumers = 1\n\
           destinations = { kind = \"queue\", count = 9 }\nrate = \"10/s\"\n";
    assert_eq!(Comparison::load("c.toml", &good).unwrap().slots(), Some(64));
    let refused = |from: &str, to: &str, line: usize, reason: &str| {
        let error = Comparison::load("c.toml", &good.replace(from, to)).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused("slots = 64", "slots = 9", 11, "at least one slot per node");
    refused("nodes = 5", "nodes = 7", 5, "has 7 nodes");
    refused("[5, 10]", "{ names = [\"a\"] }", 5, "called n1, n2");
    refused("nodes = 5", "nodes = 0", 10, "nodes");
    refused("\"10/s\"", "\"0/s\"", 16, "rate");
}
