//! What a page must and must not hold.

use super::*;
use crate::compare::tests::sample;
use crate::compare::{ChangedNode, Focus, Refusal};
use crate::result::Identity;

#[test]
fn a_page_has_its_parts_in_order() {
    let mut result = sample();
    result.refusals.push(Refusal {
        strategy: "slots".into(),
        asked: "fly".into(),
        reason: "no wings".into(),
    });
    let page = compare_page(&result).unwrap();
    let parts: Vec<&str> =
        page.split("<h2>").skip(1).filter_map(|s| s.split("</h2>").next()).collect();
    assert_eq!(
        parts,
        [
            "Why",
            "What it does not solve",
            "Balance",
            "Movement",
            "Spilling",
            "Cost",
            "Hash functions",
            "A course of changes",
            "In the simulated cluster",
            "Not compared"
        ]
    );
    let lead = page.find("Use slots with xxh3").unwrap();
    assert!(lead < page.find("<h2>").unwrap());
}

#[test]
fn a_page_says_who_left_and_who_joined() {
    let mut result = sample();
    result.movement[0].left = vec![ChangedNode { name: "n1".into(), weight: 1.0 }];
    let page = compare_page(&result).unwrap();
    for told in ["n1 left; n3 (weight 2) joined", "slots, add 1 node: n3 is new"] {
        assert!(page.contains(told), "{told}");
    }
    let many = (0..20).map(|n| ChangedNode { name: format!("m{n}"), weight: 1.0 });
    result.movement[0].left = many.collect();
    let page = compare_page(&result).unwrap();
    assert!(page.contains("m6, m7, 12 more left") && !page.contains("m8"));
}

#[test]
fn a_page_fetches_nothing() {
    let page = compare_page(&sample()).unwrap();
    for outside in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn an_empty_comparison_says_so() {
    let focus = Focus { population: "p".into(), nodes: 3 };
    let page = compare_page(&CompareResult::new(Identity::default(), focus)).unwrap();
    assert!(page.contains("Nothing can be recommended"));
    assert!(page.contains("badge bad"));
}

#[test]
fn zeros_and_single_points_still_make_a_page() {
    let mut result = sample();
    for cell in &mut result.balance {
        (cell.peak, cell.cv, cell.bound) = (1.0, 0.0, 1.0);
    }
    result.movement[0].optimal = 0.0;
    result.cost[0].bytes = 0.0;
    result.profiles[0].relative_loads = vec![];
    result.courses[0].steps[0].relative_loads = vec![None, None];
    result.salted[0].p_values.clear();
    result.simulated[0].nodes.clear();
    let page = compare_page(&result).unwrap();
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn everything_that_came_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let text = sample().to_json().unwrap();
    let quoted = serde_json::to_string(evil).unwrap();
    let quoted = &quoted[1..quoted.len() - 1];
    let mut text = text.replace("slots", quoted).replace("xxh3", quoted).replace("uniform", quoted);
    for word in ["flapping", "add 1 node", "n2 leaves", "\"n1"] {
        text = text
            .replace(word, &format!("{}{quoted}", if word.starts_with('"') { "\"" } else { "" }));
    }
    let page = compare_page(&CompareResult::from_json(&text).unwrap()).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
}
