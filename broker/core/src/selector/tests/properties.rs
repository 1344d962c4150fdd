//! What holds for every selector.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::selector::{
    evaluate,
    expression::{Arithmetic, Comparison, Expression, Literal},
    like::Pattern,
};

const NAMES: [&str; 6] = ["a", "b", "c", "JMSPriority", "JMSType", "JMSRedelivered"];

fn identifier() -> impl Strategy<Value = Identifier> {
    prop::sample::select(&NAMES[..]).prop_map(Identifier::new)
}

fn text() -> impl Strategy<Value = Arc<str>> {
    "[ab%_'!]{0,4}".prop_map(|text| text.into())
}

fn number() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (-3_i64..4).prop_map(|number| Expression::Literal(Literal::Int(number))),
        any::<i64>().prop_map(|number| Expression::Literal(Literal::Int(number))),
        (-1e300_f64..1e300).prop_map(|number| Expression::Literal(Literal::Double(number))),
        identifier().prop_map(Expression::Identifier),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let how = prop::sample::select(vec![
            Arithmetic::Add,
            Arithmetic::Subtract,
            Arithmetic::Multiply,
            Arithmetic::Divide,
            Arithmetic::Remainder,
        ]);
        prop_oneof![
            inner.clone().prop_map(|inner| Expression::Negative(inner.into())),
            (how, inner.clone(), inner).prop_map(|(how, left, right)| Expression::Arithmetic {
                how,
                sides: Box::new([left, right]),
            }),
        ]
    })
}

fn condition() -> impl Strategy<Value = Expression> {
    let how = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let is = any::<bool>();
    let leaf = prop_oneof![
        identifier().prop_map(Expression::Identifier),
        is.prop_map(|is| Expression::Literal(Literal::Bool(is))),
        (how, number(), number()).prop_map(|(how, left, right)| Expression::Comparison {
            how,
            sides: Box::new([left, right]),
        }),
        (is, identifier(), text()).prop_map(|(is, what, text)| Expression::Comparison {
            how: if is { Comparison::Equal } else { Comparison::NotEqual },
            sides: Box::new([
                Expression::Identifier(what),
                Expression::Literal(Literal::Text(text)),
            ]),
        }),
        (is, number(), number(), number()).prop_map(|(is, what, low, high)| Expression::Between {
            is,
            parts: Box::new([what, low, high]),
        }),
        (is, identifier(), prop::collection::vec(text(), 1..4))
            .prop_map(|(is, what, texts)| { Expression::In { is, what, texts: texts.into() } }),
        (is, identifier(), text(), prop::option::of(prop::sample::select(vec!['!', '\'', '%'])))
            .prop_map(|(is, what, text, escape)| Expression::Like {
                is,
                what,
                pattern: Pattern::new(text, escape).into(),
            }),
        (is, identifier()).prop_map(|(is, what)| Expression::Null { is, what }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.prop_map(|inner| Expression::Not(inner.into())),
            several.clone().prop_map(Expression::And),
            several.prop_map(Expression::Or),
        ]
    })
}

fn message() -> impl Strategy<Value = Message> {
    let value = prop_oneof![
        (-3_i64..4).prop_map(Value::Long),
        (-3_f64..4.0).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        text().prop_map(Value::Text),
        (-3_i64..4).prop_map(|number| Value::Text(number.to_string().into())),
    ];
    let names = prop::sample::select(vec!["a", "b", "c", "type"]);
    let properties = prop::collection::vec((names.prop_map(Arc::from), value), 0..4);
    (0_u8..10, properties).prop_map(|(priority, properties)| Message {
        priority,
        properties,
        ..testing::message("q", "m")
    })
}

fn value(condition: &Expression, message: &Message, converts: bool) -> Option<bool> {
    let candidate = Candidate { message, redelivered: true, redelivery_count: 1 };
    evaluate::truth(condition, &candidate, converts)
}

fn not(condition: &Expression) -> Expression {
    Expression::Not(condition.clone().into())
}

/// A pattern, tried in the plainest way.
fn covers(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| covers(rest, &text[skip..])),
        ['_', rest @ ..] => !text.is_empty() && covers(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && covers(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn no_words_make_the_parser_panic(words in prop::collection::vec(prop::sample::select(vec![
        "a", "JMSType", "'x'", "''", "'", "1", "0x", "1e", "1.5", ".", "-", "+", "--", "/*", "*/",
        "(", ")", ",", "=", "<>", "<", "NOT", "AND", "OR", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS",
        "NULL", "TRUE", "*", "%", "9999999999999999999", "é", " ",
    ]), 0..20), blank in any::<bool>()) {
        let text = words.join(if blank { " " } else { "" });
        if let Ok(selector) = Selector::parse(&text) {
            selector.matches(&Candidate {
                message: &sample(), redelivered: false, redelivery_count: 0,
            });
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_tree(condition in condition(), converts in any::<bool>()) {
        let identifiers = Box::default();
        let selector = Selector { text: "".into(), condition, converts, identifiers };
        let written = selector.to_string();
        let read = Selector::parse(&written);
        let read = read.map_err(|why| TestCaseError::fail(format!("`{written}`: {why}")))?;
        prop_assert_eq!(&read.condition, &selector.condition, "`{}`", written);
        prop_assert_eq!(read.converts, converts);
    }

    #[test]
    fn logic_keeps_its_laws(
        left in condition(), right in condition(), message in message(), converts in any::<bool>(),
    ) {
        let value = |condition: &Expression| value(condition, &message, converts);
        prop_assert_eq!(value(&not(&not(&left))), value(&left));
        let (all, any) = (vec![left.clone(), right.clone()], vec![not(&left), not(&right)]);
        prop_assert_eq!(value(&not(&Expression::And(all))), value(&Expression::Or(any)));
        let (any, all) = (vec![left.clone(), right.clone()], vec![not(&left), not(&right)]);
        prop_assert_eq!(value(&not(&Expression::Or(any))), value(&Expression::And(all)));
        let swapped = Expression::And(vec![right.clone(), left.clone()]);
        prop_assert_eq!(value(&Expression::And(vec![left, right])), value(&swapped));
    }

    #[test]
    fn patterns_cover_what_the_plainest_search_finds(
        pattern in "[ab%_]{0,8}", text in "[ab]{0,12}",
    ) {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = covers(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Pattern::new(pattern.as_str().into(), None).matches(&text), expected);
    }
}
