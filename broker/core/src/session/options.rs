//! What a consumer asks for in its destination's name, as ActiveMQ's clients read it:
//! `NAME?consumer.prefetchSize=1&consumer.exclusive=true`.

/// The options of a consumer. What is not said is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) prefetch: Option<u32>,
    pub(super) selector: Option<String>,
    pub(super) exclusive: bool,
    pub(super) priority: Option<i8>,
    pub(super) no_local: bool,
    pub(super) retroactive: bool,
}

impl Options {
    /// Takes a destination and its options apart.
    ///
    /// # Errors
    /// If there is an option that means nothing here, or not what it says. The text says which.
    pub(super) fn split(text: &str) -> Result<(&str, Self), String> {
        let Some((name, query)) = text.split_once('?') else { return Ok((text, Self::default())) };
        let mut options = Self::default();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decode(value);
            let number =
                || format!("the destination's option `{key}` is no such number: `{value}`");
            let is_true = value.eq_ignore_ascii_case("true");
            match key {
                "consumer.prefetchSize" => {
                    options.prefetch = Some(value.parse().map_err(|_| number())?);
                }
                "consumer.priority" => {
                    options.priority = Some(value.parse().map_err(|_| number())?);
                }
                "consumer.selector" => options.selector = Some(value),
                "consumer.exclusive" => options.exclusive = is_true,
                "consumer.noLocal" => options.no_local = is_true,
                "consumer.retroactive" => options.retroactive = is_true,
                // Whether ActiveMQ has a thread for it.
                "consumer.dispatchAsync" => {}
                _ => return Err(format!("the destination's option `{key}` is not supported")),
            }
        }
        Ok((name, options))
    }
}

/// Reads what a URL encodes: `+` is a blank, `%41` the byte of that number.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(encoded) => {
                decoded.push(encoded);
                at += 3;
            }
            None => {
                decoded.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_the_name() {
        assert_eq!(Options::split("a.b"), Ok(("a.b", Options::default())));
        let text = "q?consumer.prefetchSize=1&consumer.exclusive=TRUE&consumer.priority=-7\
                    &consumer.selector=a%3D'%C3%BC+1'&consumer.dispatchAsync=false";
        let options = Options {
            prefetch: Some(1),
            selector: Some("a='ü 1'".into()),
            exclusive: true,
            priority: Some(-7),
            ..Options::default()
        };
        assert_eq!(Options::split(text), Ok(("q", options)));
    }

    #[test]
    fn what_means_nothing_is_named() {
        let named = |text| Options::split(text).unwrap_err();
        assert!(named("q?consumer.size=1").contains("consumer.size"));
        assert!(named("q?consumer.prefetchSize=-1").contains("`-1`"));
        assert!(named("q?consumer.priority=128").contains("consumer.priority"));
        assert_eq!(decode("100%+%zz%4"), "100% %zz%4");
    }
}
