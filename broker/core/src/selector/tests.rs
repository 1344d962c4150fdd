//! The rules of JMS 2.0, section 3.8, one by one, and what ActiveMQ adds to them.

mod properties;

use super::*;
use crate::{Message, UnixMillis, Value, testing};

fn sample() -> Message {
    let text = |text: &str| Value::Text(text.into());
    let properties = [
        ("type", text("car")),
        ("colour", text("blue")),
        ("weight", Value::Int(2500)),
        ("age", Value::Int(17)),
        ("ratio", Value::Double(1.5)),
        ("new", Value::Bool(true)),
        ("old", Value::Bool(false)),
        ("phone", text("12993")),
        ("word", text("loose")),
        ("underscored", text("_foo")),
        ("quote", text("it's")),
        ("digits", text("21")),
        ("decimal", text("2.5")),
        ("yes", text("True")),
        ("raw", Value::Bytes(vec![1].into())),
        ("JMSXGroupID", text("g1")),
    ];
    Message {
        priority: 7,
        timestamp: UnixMillis(1_000),
        expires: Some(UnixMillis(9_000)),
        correlation_id: Some("c-1".into()),
        reply_to: Some("/queue/r".into()),
        properties: properties.map(|(name, value)| (name.into(), value)).into(),
        ..testing::message("q", "ID:1")
    }
}

/// `None` for unknown: neither it nor its negation selects.
fn truth(selector: &str) -> Option<bool> {
    let message = sample();
    let candidate = Candidate { message: &message, redelivered: false, redelivery_count: 2 };
    let parsed = Selector::parse(selector).unwrap_or_else(|why| panic!("`{selector}`: {why}"));
    let (prefix, condition) =
        selector.split_at(selector.find("expressions:").map_or(0, |at| at + 12));
    let negation = Selector::parse(&format!("{prefix}NOT ({condition}\n)")).unwrap();
    match (parsed.matches(&candidate), negation.matches(&candidate)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
        (true, true) => panic!("`{selector}` is both"),
    }
}

fn check(table: &[(&str, Option<bool>)]) {
    for (selector, expected) in table {
        assert_eq!(truth(selector), *expected, "`{selector}`");
    }
}

const TRUE: Option<bool> = Some(true);
const FALSE: Option<bool> = Some(false);
const UNKNOWN: Option<bool> = None;

/// JMS 2.0, section 3.8.1.1, "Literals".
#[test]
fn literals() {
    check(&[
        ("quote = 'it''s'", TRUE),
        ("57 = +57", TRUE),
        ("-957 = 0 - 957", TRUE),
        ("7E3 = 7000", TRUE),
        ("-57.9E2 = -5790.0", TRUE),
        ("7. = 7 AND .5 = 0.5 AND 7d = 7 AND 1.5F = 1.5", TRUE),
        ("0x1F = 31 AND 017 = 15 AND 10L = 10 AND 0 = -0", TRUE),
        ("9223372036854775807 > 0 AND -9223372036854775808 < 0", TRUE),
        ("TRUE", TRUE),
        ("false", FALSE),
        ("TRUE = true", TRUE),
        ("'a' = 'A'", FALSE),
    ]);
}

/// The same section, "Identifiers": JMS's header fields, `JMSX` properties, and all others.
#[test]
fn identifiers() {
    check(&[
        ("JMSPriority = 7", TRUE),
        ("JMSDeliveryMode = 'PERSISTENT'", TRUE),
        ("JMSMessageID = 'ID:1'", TRUE),
        ("JMSTimestamp = 1000", TRUE),
        ("JMSCorrelationID = 'c-1'", TRUE),
        ("JMSType = 'car'", TRUE),
        ("JMSExpiration > 8000", TRUE),
        ("JMSReplyTo = '/queue/r'", TRUE),
        ("JMSRedelivered", FALSE),
        ("JMSXDeliveryCount = 3", TRUE),
        ("JMSXGroupID = 'g1'", TRUE),
        ("jmspriority IS NULL", TRUE),
        ("Colour IS NULL", TRUE),
        ("$none IS NULL AND _none IS NULL AND größe IS NULL", TRUE),
        ("raw IS NULL", TRUE),
    ]);
    let selector = Selector::parse("a = 1 AND (b LIKE 'x' OR NOT a IN ('y')) AND -JMSPriority < c");
    let selector = selector.unwrap();
    let names: Vec<_> = selector.identifiers().iter().map(Identifier::name).collect();
    assert_eq!(names, ["a", "b", "JMSPriority", "c"]);
}

/// The same section, "Arithmetic operators" with the order of precedence, and section 3.8.1.2 on
/// promotion.
#[test]
fn arithmetic() {
    check(&[
        ("1 + 2 * 3 = 7", TRUE),
        ("(1 + 2) * 3 = 9", TRUE),
        ("10 - 2 - 3 = 5", TRUE),
        ("weight / 1000 = 2", TRUE),
        ("weight / 1000.0 = 2.5", TRUE),
        ("-weight = -2500", TRUE),
        ("- -weight = 2500", TRUE),
        ("age % 5 = 2", TRUE),
        ("ratio * 2 = 3", TRUE),
        ("2 + ratio > 3", TRUE),
        ("weight / 0 = 1", UNKNOWN),
        ("weight % 0 = 1", UNKNOWN),
        ("weight / 0.0 > 1", TRUE),
        ("colour + 1 = 2", UNKNOWN),
        ("new + 1 = 2", UNKNOWN),
        ("none + 1 = 2", UNKNOWN),
        ("9223372036854775807 + 1 < 0", TRUE),
        ("-9223372036854775808 / -1 < 0", TRUE),
    ]);
}

/// Sections 3.8.1.1, "Comparison operators", and 3.8.1.2: values of unlike kinds.
#[test]
fn comparison() {
    check(&[
        ("weight = 2500.0", TRUE),
        ("weight <> 2500", FALSE),
        ("age < 18 AND age <= 17 AND age > 16 AND age >= 17", TRUE),
        ("age < 17 OR age > 17", FALSE),
        ("colour = 'blue' AND colour <> 'red'", TRUE),
        ("new = TRUE AND old <> TRUE", TRUE),
        ("colour = 5", FALSE),
        ("colour <> 5", TRUE),
        ("colour > 5", FALSE),
        ("colour < word", FALSE),
        ("digits = 21", FALSE),
        ("new = 'true'", FALSE),
        ("none = 5", UNKNOWN),
        ("none <> 5", UNKNOWN),
        ("none > 5", UNKNOWN),
        ("none = none", UNKNOWN),
        ("(age > 5) = TRUE", TRUE),
        ("age > 5 = FALSE", FALSE),
    ]);
}

/// Section 3.8.1.1: the examples given there for each, and section 3.8.1.2: null.
#[test]
fn between_in_like_and_null() {
    check(&[
        ("age BETWEEN 15 AND 19", TRUE),
        ("age BETWEEN 17 AND 17", TRUE),
        ("age NOT BETWEEN 15 AND 19", FALSE),
        ("age not between 18 and 19", TRUE),
        ("age BETWEEN 18 AND none", FALSE),
        ("age BETWEEN 15 AND none", UNKNOWN),
        ("none BETWEEN 1 AND 2", UNKNOWN),
        ("none NOT BETWEEN 1 AND 2", UNKNOWN),
        ("colour BETWEEN 1 AND 2", FALSE),
        ("colour NOT BETWEEN 1 AND 2", FALSE),
        ("age BETWEEN 10 + 5 AND 20 - 1 AND new", TRUE),
        ("colour IN ('red', 'blue')", TRUE),
        ("colour NOT IN ('red', 'blue')", FALSE),
        ("colour IN ('UK', 'US')", FALSE),
        ("none IN ('UK')", UNKNOWN),
        ("none NOT IN ('UK')", UNKNOWN),
        ("age IN ('17')", UNKNOWN),
        ("phone LIKE '12%3'", TRUE),
        ("phone LIKE '12%4'", FALSE),
        ("phone NOT LIKE '12%3'", FALSE),
        ("word LIKE 'l_se'", FALSE),
        ("word LIKE 'l__se'", TRUE),
        ("word LIKE '%o%o%e'", TRUE),
        ("word LIKE '%'", TRUE),
        ("word LIKE '%%_%'", TRUE),
        ("word LIKE ''", FALSE),
        ("word LIKE 'loos'", FALSE),
        ("underscored LIKE '\\_%' ESCAPE '\\'", TRUE),
        ("word LIKE '\\_%' ESCAPE '\\'", FALSE),
        ("word LIKE 'a%' ESCAPE 'a'", FALSE),
        ("age LIKE '17'", FALSE),
        ("none LIKE '1'", UNKNOWN),
        ("none NOT LIKE '1'", UNKNOWN),
        ("none IS NULL", TRUE),
        ("none IS NOT NULL", FALSE),
        ("colour IS NULL", FALSE),
        ("colour IS NOT NULL", TRUE),
    ]);
}

/// Section 3.8.1.2, tables 3-4 to 3-6.
#[test]
fn three_valued_logic() {
    let values = [("new", TRUE), ("old", FALSE), ("none", UNKNOWN)];
    let and = [[TRUE, FALSE, UNKNOWN], [FALSE, FALSE, FALSE], [UNKNOWN, FALSE, UNKNOWN]];
    let or = [[TRUE, TRUE, TRUE], [TRUE, FALSE, UNKNOWN], [TRUE, UNKNOWN, UNKNOWN]];
    for (row, (left, value)) in values.iter().enumerate() {
        check(&[(&format!("NOT {left}"), value.map(|is| !is))]);
        for (column, (right, _)) in values.iter().enumerate() {
            check(&[
                (&format!("{left} AND {right}"), and[row][column]),
                (&format!("{left} OR {right}"), or[row][column]),
            ]);
        }
    }
    check(&[
        // Section 3.8.1.1: NOT, AND, OR, in that order.
        ("new OR new AND old", TRUE),
        ("NOT old AND old", FALSE),
        ("NOT age = 1", TRUE),
        ("NOT NOT new", TRUE),
        ("colour", FALSE),
        ("age", FALSE),
    ]);
}

/// ActiveMQ, "String Property Conversions / Selecting Against STOMP messages"
/// (<https://activemq.apache.org/selectors>).
#[test]
fn text_is_converted_where_the_prefix_says_so() {
    check(&[
        ("digits > 18", FALSE),
        ("no_convert_string_expressions:digits > 18", FALSE),
        ("convert_string_expressions:digits > 18", TRUE),
        ("convert_string_expressions:18 < digits", TRUE),
        ("convert_string_expressions:digits = 21 AND decimal = 2.5", TRUE),
        ("convert_string_expressions:decimal BETWEEN 2 AND 3", TRUE),
        ("convert_string_expressions:digits * 2 = 42", TRUE),
        ("convert_string_expressions:-digits = -21", TRUE),
        ("convert_string_expressions:colour > 18", FALSE),
        ("convert_string_expressions:colour <> 18", TRUE),
        ("convert_string_expressions:yes = TRUE AND yes", TRUE),
        ("convert_string_expressions:TRUE = colour", FALSE),
        ("convert_string_expressions:digits = '21'", TRUE),
        ("yes", FALSE),
    ]);
}

#[test]
fn blanks_and_comments_mean_nothing() {
    check(&[
        (" \t\r\n age\n=17 ", TRUE),
        ("age /* in * years / */ = 17 -- and no more", TRUE),
        ("age -- comment\n = 17", TRUE),
        ("/**/age=17/***/", TRUE),
    ]);
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    let table = [
        ("", "at column 1: expected a literal, an identifier or `(`, found the end"),
        ("a =", "at column 4: expected a literal, an identifier or `(`, found the end"),
        ("größe = = 1", "at column 9: expected a literal, an identifier or `(`, found `=`"),
        ("a = 1 b", "at column 7: expected an operator or the end, found `b`"),
        ("(a = 1", "at column 7: expected an operator or `)`, found the end"),
        ("a = 'x", "at column 7: expected `'`, the end of the text, found the end"),
        ("a = 1 /* b", "at column 11: expected `*/`, the end of the comment, found the end"),
        ("a # 1", "at column 3: expected a literal, an identifier or an operator, found `#`"),
        ("a != 1", "at column 3: expected a literal, an identifier or an operator, found `!`"),
        ("5", "at column 1: expected a condition, found a number"),
        ("a = 1 AND 'x'", "at column 11: expected a condition, found a text"),
        ("NOT (a + 1)", "at column 5: expected a condition, found a number"),
        ("'x' < 1", "at column 1: expected a number or an identifier, found a text"),
        ("1 + (a = 1) = 2", "at column 5: expected a number or an identifier, found a condition"),
        (
            "a BETWEEN 1, 2",
            "at column 12: expected `AND` between the bounds of `BETWEEN`, found `,`",
        ),
        ("a BETWEEN 'x' AND 2", "at column 11: expected a number or an identifier, found a text"),
        ("a NOT 1", "at column 7: expected `BETWEEN`, `IN` or `LIKE` after `NOT`, found `1`"),
        ("a IN ('x' 'y')", "at column 11: expected `,` or `)`, found 'y'"),
        ("a IN (1)", "at column 7: expected a text in `'`, found `1`"),
        ("'x' IN ('x')", "at column 1: expected an identifier before `IN`, found `'x'`"),
        ("a LIKE b", "at column 8: expected a text in `'`, found `b`"),
        (
            "a LIKE 'b' ESCAPE '\\\\'",
            "at column 19: expected a text of one character after `ESCAPE`, found '\\\\'",
        ),
        ("a IS 5", "at column 6: expected `NULL` or `NOT NULL`, found `5`"),
        ("a = NULL", "at column 5: expected a literal, an identifier or `(`, found `NULL`"),
        ("XPATH '//a'", "at column 1: expected a literal, an identifier or `(`, found `XPATH`"),
        (
            "JMSDestination = 'q'",
            "at column 1: expected an identifier that can be selected by, found `JMSDestination`",
        ),
        ("a = 5x", "at column 5: expected a number that fits into 64 bits, found `5x`"),
        ("a = 09", "at column 5: expected a number that fits into 64 bits, found `09`"),
        ("a = 1e999", "at column 5: expected a number that fits into 64 bits, found `1e999`"),
        (
            "a = 9223372036854775808",
            "at column 5: expected a number that fits into 64 bits, found `9223372036854775808`",
        ),
        (
            "convert_string_expressions:a >",
            "at column 31: expected a literal, an identifier or `(`, found the end",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), expected, "`{text}`");
    }
}

#[test]
fn length_and_depth_are_bounded_and_chains_are_not_deep() {
    let long = format!("a = '{}'", "x".repeat(MAX_LENGTH));
    assert_eq!(Selector::parse(&long), Err(SelectorError::TooLong(long.len())));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Selector::parse(&nested(MAX_DEPTH as usize)).is_ok());
    let too_deep = Err(SelectorError::TooDeep { column: MAX_DEPTH as usize + 2 });
    assert_eq!(Selector::parse(&nested(MAX_DEPTH as usize + 1)), too_deep);
    for (deep, joined) in [("NOT ", ""), ("- ", ""), ("", " + a"), ("", " = a")] {
        let text = format!("{}a{}", deep.repeat(2_000), joined.repeat(2_000));
        assert!(matches!(Selector::parse(&text), Err(SelectorError::TooDeep { .. })), "{text}");
    }
    let chain = vec!["a = 1"; 1_500].join(" OR ");
    let selector = Selector::parse(&chain).unwrap();
    assert_eq!(selector, Selector { text: selector.text.clone(), ..selector.clone() });
    assert_eq!(truth(&vec!["age = 1"; 500].join(" OR ")), FALSE);
}
