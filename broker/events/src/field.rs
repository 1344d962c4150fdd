//! Fields of events as the seam's values and back.

use paceline_runtime::trace::{Event, Value};

/// What a field may hold.
pub(crate) trait Field<'a>: Sized {
    fn value(self) -> Value<'a>;
    fn read(value: Value<'a>) -> Option<Self>;
}

/// The field of that name, if the event has one that holds such a thing: the next of `rest`, or
/// wherever else it stands.
pub(crate) fn next<'a, F: Field<'a>>(
    event: &Event<'a>,
    rest: &mut std::slice::Iter<'_, (&'a str, Value<'a>)>,
    name: &str,
) -> Option<F> {
    let found = rest.next().filter(|(field, _)| *field == name);
    let (_, value) = found.or_else(|| event.fields.iter().find(|(field, _)| *field == name))?;
    F::read(*value)
}

impl<'a> Field<'a> for u64 {
    fn value(self) -> Value<'a> {
        Value::U64(self)
    }

    fn read(value: Value<'a>) -> Option<Self> {
        value.as_u64()
    }
}

impl<'a> Field<'a> for bool {
    fn value(self) -> Value<'a> {
        Value::Bool(self)
    }

    fn read(value: Value<'a>) -> Option<Self> {
        value.as_bool()
    }
}

impl<'a> Field<'a> for &'a str {
    fn value(self) -> Value<'a> {
        Value::Str(self)
    }

    fn read(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}
