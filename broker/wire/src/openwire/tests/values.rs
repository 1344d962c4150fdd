//! Primitive values and content.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::{
    openwire::{
        Fault, MessageKind, content,
        primitives::{Primitive, PrimitiveLimits, read_map, read_stream, write_map, write_stream},
    },
    text::Text,
};

fn any_primitive() -> impl Strategy<Value = Primitive> {
    let scalar = prop_oneof![
        Just(Primitive::Null),
        any::<bool>().prop_map(Primitive::Bool),
        any::<i8>().prop_map(Primitive::Byte),
        any::<u16>().prop_map(Primitive::Char),
        any::<i16>().prop_map(Primitive::Short),
        any::<i32>().prop_map(Primitive::Int),
        any::<i64>().prop_map(Primitive::Long),
        any::<f64>().prop_map(Primitive::Double),
        any::<f32>().prop_map(Primitive::Float),
        ".*".prop_map(|text| Primitive::Text(text.into())),
        "[a\0\u{10000}]{0,3}".prop_map(|text| Primitive::Text(text.repeat(5000).into())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Primitive::Bytes(bytes.into())),
    ];
    scalar.prop_recursive(4, 40, 6, |value| {
        prop_oneof![
            prop::collection::vec((".*", value.clone()), 0..6).prop_map(|entries| {
                Primitive::Map(entries.into_iter().map(|(name, v)| (name.into(), v)).collect())
            }),
            prop::collection::vec(value, 0..6).prop_map(Primitive::List),
        ]
    })
}

proptest! {
    #[test]
    fn primitive_values_survive(values in prop::collection::vec(any_primitive(), 0..8)) {
        let is_flat = |value: &&Primitive| !matches!(value, Primitive::Map(_) | Primitive::List(_));
        let flat: Vec<Primitive> = values.iter().filter(is_flat).cloned().collect();
        let mut out = BytesMut::new();
        write_stream(&flat, &mut out);
        prop_assert_eq!(read_stream(&out.freeze(), PrimitiveLimits::default()), Ok(flat));

        let map: Vec<(Text, Primitive)> = values.into_iter().map(|v| ("\0name".into(), v)).collect();
        let mut out = BytesMut::new();
        write_map(&map, &mut out);
        let bytes = out.freeze();
        prop_assert_eq!(read_map(&bytes, PrimitiveLimits::default()), Ok(map));
        for length in 0..bytes.len().min(300) {
            prop_assert!(read_map(&bytes.slice(..length), PrimitiveLimits::default()).is_err());
        }
    }

    #[test]
    fn content_survives(text in ".*", body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut out = BytesMut::new();
        content::write_text(&text, &mut out);
        let out = out.freeze();
        prop_assert_eq!(content::read_text(&out), Ok(Some(text.into())));
        for kind in MessageKind::ALL {
            let deflated = content::deflate(kind, &body);
            prop_assert_eq!(content::inflate(kind, &deflated, body.len()).unwrap(), &body);
            if let Some(less) = body.len().checked_sub(1) {
                let error = content::inflate(kind, &deflated, less);
                prop_assert_eq!(error, Err(Fault::TooLarge { max: less }));
            }
        }
    }
}

#[test]
fn primitive_values_are_bounded() {
    let limits = PrimitiveLimits { max_entries: 4, max_depth: 1 };
    let read = |entries: &[(Text, Primitive)]| {
        let mut out = BytesMut::new();
        write_map(entries, &mut out);
        read_map(&out.freeze(), limits)
    };
    let map = |value| vec![("x".into(), value)];
    let list = |length| Primitive::List(vec![Primitive::Null; length]);
    assert!(read(&map(list(3))).is_ok());
    assert_eq!(read(&map(list(4))), Err(Fault::TooManyValues { max: 4 }));
    assert!(read(&map(Primitive::Map(map(Primitive::Null)))).is_ok());
    let deeper = map(Primitive::Map(map(list(0))));
    assert_eq!(read(&deeper), Err(Fault::TooDeep { max: 1 }));
    let announced = Bytes::from_static(b"\x7f\xff\xff\xff");
    assert_eq!(read_map(&announced, limits), Err(Fault::TooManyValues { max: 4 }));
    assert_eq!(read_map(&Bytes::from_static(&[0xff; 4]), limits), Ok(vec![]), "null");
    let nested = Bytes::from_static(b"\x0b\0\0\0\0");
    assert_eq!(read_stream(&nested, limits), Err(Fault::UnknownPrimitive(11)));
}

/// A few bytes that inflate to as much as one likes.
#[test]
fn what_inflates_without_end_is_stopped() {
    let bomb = content::deflate(MessageKind::Text, &vec![0; 1 << 20]);
    assert!(bomb.len() < 2000);
    let error = content::inflate(MessageKind::Text, &bomb, 1000);
    assert_eq!(error, Err(Fault::TooLarge { max: 1000 }));
    for (bytes, fault) in [
        (&b"\0\0\0\x01not deflated"[..], Fault::NotDeflated),
        (b"\0\0", Fault::Truncated),
        (b"\xff\xff\xff\xff\0", Fault::TooLarge { max: 1000 }),
    ] {
        let inflated = content::inflate(MessageKind::Bytes, &Bytes::from_static(bytes), 1000);
        assert_eq!(inflated, Err(fault));
    }
    let empty = content::inflate(MessageKind::Bytes, &Bytes::new(), 1000);
    assert_eq!(empty, Ok(Bytes::new()));
}
