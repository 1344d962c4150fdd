//! A selector's value for one message, by the three-valued logic of SQL-92: `None` is unknown.

use std::cmp::Ordering;

use super::{
    Field, Fields,
    expression::{Arithmetic, Comparison, Expression, Literal},
};

/// Whether a condition holds.
pub(super) fn truth(condition: &Expression, fields: &impl Fields, converts: bool) -> Option<bool> {
    let of = |condition| truth(condition, fields, converts);
    let value_of = |expression| value(expression, fields, converts);
    match condition {
        Expression::Not(inner) => of(inner).map(|is| !is),
        Expression::And(all) => chain(all.iter().map(of), false),
        Expression::Or(all) => chain(all.iter().map(of), true),
        Expression::Comparison { how, sides } => {
            let [left, right] = &**sides;
            compare(*how, value_of(left), value_of(right), converts)
        }
        Expression::Between { is, parts } => {
            let [what, low, high] = &**parts;
            let (what, low, high) = (value_of(what), value_of(low), value_of(high));
            let compare = |how, bound| compare(how, what, bound, converts);
            // JMS 2.0, section 3.8.1.1, explains both by these.
            if *is {
                let parts = [(Comparison::GreaterOrEqual, low), (Comparison::LessOrEqual, high)];
                chain(parts.into_iter().map(|(how, bound)| compare(how, bound)), false)
            } else {
                let parts = [(Comparison::Less, low), (Comparison::Greater, high)];
                chain(parts.into_iter().map(|(how, bound)| compare(how, bound)), true)
            }
        }
        Expression::In { is, what, texts } => match fields.field(what) {
            Field::Text(text) => Some(texts.iter().any(|known| **known == *text) == *is),
            _ => None,
        },
        Expression::Like { is, what, pattern } => match fields.field(what) {
            Field::Null => None,
            Field::Text(text) => Some(pattern.matches(text) == *is),
            _ => Some(!is),
        },
        Expression::Null { is, what } => Some((fields.field(what) == Field::Null) == *is),
        Expression::Literal(_)
        | Expression::Identifier(_)
        | Expression::Negative(_)
        | Expression::Arithmetic { .. } => match value_of(condition) {
            Field::Null => None,
            Field::Bool(is) => Some(is),
            Field::Text(text) => Some(converts && is_true(text)),
            Field::Int(_) | Field::Double(_) => Some(false),
        },
    }
}

/// Of several conditions, of which one that is `decisive` decides: `false` for `AND`, `true` for `OR`.
fn chain(all: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for one in all {
        match one {
            Some(is) if is == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn value<'a>(expression: &'a Expression, fields: &'a impl Fields, converts: bool) -> Field<'a> {
    match expression {
        Expression::Literal(Literal::Bool(is)) => Field::Bool(*is),
        Expression::Literal(Literal::Int(number)) => Field::Int(*number),
        Expression::Literal(Literal::Double(number)) => Field::Double(*number),
        Expression::Literal(Literal::Text(text)) => Field::Text(text),
        Expression::Identifier(identifier) => fields.field(identifier),
        Expression::Negative(inner) => match as_number(value(inner, fields, converts), converts) {
            Field::Int(number) => Field::Int(number.wrapping_neg()),
            Field::Double(number) => Field::Double(-number),
            _ => Field::Null,
        },
        Expression::Arithmetic { how, sides } => {
            let [left, right] = sides.each_ref().map(|side| value(side, fields, converts));
            compute(*how, as_number(left, converts), as_number(right, converts))
        }
        condition => truth(condition, fields, converts).map_or(Field::Null, Field::Bool),
    }
}

fn compute<'a>(how: Arithmetic, left: Field<'a>, right: Field<'a>) -> Field<'a> {
    if let (Field::Int(left), Field::Int(right)) = (left, right) {
        let result = match how {
            Arithmetic::Add => Some(left.wrapping_add(right)),
            Arithmetic::Subtract => Some(left.wrapping_sub(right)),
            Arithmetic::Multiply => Some(left.wrapping_mul(right)),
            Arithmetic::Divide => (right != 0).then(|| left.wrapping_div(right)),
            Arithmetic::Remainder => (right != 0).then(|| left.wrapping_rem(right)),
        };
        return result.map_or(Field::Null, Field::Int);
    }
    let (Some(left), Some(right)) = (as_double(left), as_double(right)) else { return Field::Null };
    Field::Double(match how {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    })
}

fn compare(how: Comparison, left: Field<'_>, right: Field<'_>, converts: bool) -> Option<bool> {
    let is_number = |field| matches!(field, Field::Int(_) | Field::Double(_));
    let (left, right) = match (left, right) {
        (Field::Null, _) | (_, Field::Null) => return None,
        (Field::Text(text), other) if converts && is_number(other) => (read_number(text), other),
        (other, Field::Text(text)) if converts && is_number(other) => (other, read_number(text)),
        (Field::Text(text), Field::Bool(is)) if converts => {
            (Field::Bool(is_true(text)), Field::Bool(is))
        }
        (Field::Bool(is), Field::Text(text)) if converts => {
            (Field::Bool(is), Field::Bool(is_true(text)))
        }
        both => both,
    };
    let (order, has_order) = match (left, right) {
        (Field::Int(left), Field::Int(right)) => (Some(left.cmp(&right)), true),
        (Field::Text(left), Field::Text(right)) => (Some(left.cmp(right)), false),
        (Field::Bool(left), Field::Bool(right)) => (Some(left.cmp(&right)), false),
        _ => match (as_double(left), as_double(right)) {
            (Some(left), Some(right)) => (left.partial_cmp(&right), true),
            _ => (None, false),
        },
    };
    Some(match how {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => has_order && order.is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => has_order && order.is_some_and(Ordering::is_le),
        Comparison::Greater => has_order && order.is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => has_order && order.is_some_and(Ordering::is_ge),
    })
}

fn as_double(field: Field<'_>) -> Option<f64> {
    match field {
        Field::Int(number) => Some(number as f64),
        Field::Double(number) => Some(number),
        _ => None,
    }
}

fn as_number(field: Field<'_>, converts: bool) -> Field<'_> {
    match field {
        Field::Text(text) if converts => read_number(text),
        other => other,
    }
}

/// A text as the number that it says, if any.
fn read_number(text: &str) -> Field<'_> {
    if let Ok(number) = text.trim().parse() {
        return Field::Int(number);
    }
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.map_or(Field::Text(text), Field::Double)
}

/// As Java reads a truth value.
fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}
