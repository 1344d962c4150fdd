use proptest::{collection::vec, prelude::*};

use super::*;

const LIMITS: PrimitiveLimits = PrimitiveLimits { max_entries: 1_000, max_depth: 4 };

fn city() -> Vec<(Text, Primitive)> {
    vec![("city".into(), Primitive::Text("Belgrade".into())), ("area".into(), Primitive::Int(360))]
}

#[test]
fn a_map_is_written_as_xstream_writes_it() {
    let xml = "<map>\n  <entry>\n    <string>city</string>\n    <string>Belgrade</string>\n  </entry>\n  \
               <entry>\n    <string>area</string>\n    <int>360</int>\n  </entry>\n</map>";
    assert_eq!(write(&city(), Notation::Xml), xml);
    let json = r#"{"map":{"entry":[{"string":["city","Belgrade"]},{"string":"area","int":360}]}}"#;
    assert_eq!(write(&city(), Notation::Json), json);
    let one = &city()[..1];
    assert_eq!(
        write(one, Notation::Json),
        r#"{"map":{"entry":{"string":["city","Belgrade"]}}}"#,
        "one alone stands without an array"
    );
    assert_eq!(write(&[], Notation::Json), r#"{"map":""}"#);
    assert_eq!(write(&[], Notation::Xml), "<map/>");
}

#[test]
fn what_others_write_is_read() {
    let texts = [
        (
            Notation::Xml,
            "<?xml version='1.0'?><!-- c --><map><entry><string>city</string>\
          <string>Bel<![CDATA[gra]]>&#100;e</string></entry>\n<entry> <string>area</string><int> 360 </int></entry></map>\n",
        ),
        (
            Notation::Json,
            r#" {"map": {"entry": [{"string": ["city", "Belgrade"]}, {"int": "360", "string": "area"}]}} "#,
        ),
    ];
    for (notation, text) in texts {
        assert_eq!(read(text, notation, LIMITS), Ok(city()), "{text}");
    }
    let single = r#"{"map":{"entry":{"string":["city","Belgrade"]}}}"#;
    assert_eq!(read(single, Notation::Json, LIMITS), Ok(city()[..1].to_vec()));
    for empty in [r#"{"map":""}"#, r#"{"map":{}}"#, r#"{"map":null}"#] {
        assert_eq!(read(empty, Notation::Json, LIMITS), Ok(vec![]));
    }
}

#[test]
fn what_is_no_map_is_refused_and_says_why() {
    let wrong = |notation, text: &str| read(text, notation, LIMITS).unwrap_err().to_string();
    let entry = |value: &str| format!("<map><entry><string>a</string>{value}</entry></map>");
    for (text, why) in [
        ("Hello", "there is text outside of the elements"),
        ("", "there is no element"),
        ("<map>", "`map` does not end"),
        ("<map/><map/>", "there is more than one outermost element"),
        (
            "<!DOCTYPE map [<!ENTITY a 'b'>]><map/>",
            "`DOCTYPE` is not what is expected: no document type is read",
        ),
        (
            "<string>a</string>",
            "`<string>a</string>` is not what is expected: the outermost element is `map`",
        ),
        (&entry("<int>a</int>"), "`a` is no int"),
        (&entry("<byte>128</byte>"), "`128` is no byte"),
        (&entry("<byte-array>?</byte-array>"), "`?` is no byte-array"),
        (&entry("<pojo/>"), "`pojo` is not what is expected: it names no type of a map's values"),
        (
            &entry("<int><int>1</int></int>"),
            "`int` is not what is expected: only maps and lists hold elements",
        ),
        (&entry("<string>&name;</string>"), "there is no entity `name`"),
        (
            &entry(""),
            "`entry` is not what is expected: an entry has a string, its name, and a value",
        ),
        (
            "<map><entry><int>1</int><int>2</int></entry></map>",
            "`entry` is not what is expected: an entry has a string, its name, and a value",
        ),
    ] {
        assert_eq!(wrong(Notation::Xml, text), why, "{text}");
    }
    for (text, why) in [
        (r#"{"map":"#, "EOF while parsing a value at line 1 column 7"),
        ("[]", "an array stands without a name"),
        ("7", "it is not an object with one member"),
        (r#"{"map":"","list":""}"#, "it is not an object with one member"),
        (r#"{"map":{"entry":[[]]}}"#, "an array stands without a name"),
    ] {
        assert_eq!(wrong(Notation::Json, text), why, "{text}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    for notation in [Notation::Xml, Notation::Json] {
        let nested =
            |depth| (0..depth).fold(vec![], |inner, _| vec![("a".into(), Primitive::Map(inner))]);
        assert!(read(&write(&nested(4), notation), notation, LIMITS).is_ok());
        let deep = read(&write(&nested(5), notation), notation, LIMITS);
        assert!(matches!(deep, Err(NoMap::TooDeep(_))), "{deep:?}");
        let many: Vec<_> = (0..1_000).map(|it| (it.to_string().into(), Primitive::Null)).collect();
        let all = read(&write(&many[..999], notation), notation, LIMITS);
        assert_eq!(all.map(|it| it.len()), Ok(999), "the map itself is one");
        let many = read(&write(&many, notation), notation, LIMITS);
        assert_eq!(many, Err(NoMap::TooMany(1_000)));
    }
    let hostile = "<map>".repeat(100_000);
    assert!(matches!(read(&hostile, Notation::Xml, LIMITS), Err(NoMap::TooDeep(_))));
    let hostile = r#"{"map":"#.repeat(100_000);
    assert!(read(&hostile, Notation::Json, LIMITS).is_err());
}

/// Any but NUL, which XML cannot say.
fn text() -> impl Strategy<Value = Text> {
    any::<String>().prop_map(|text| Text::from(text.replace('\0', "0")))
}

fn value() -> impl Strategy<Value = Primitive> {
    let leaf = prop_oneof![
        Just(Primitive::Null),
        any::<bool>().prop_map(Primitive::Bool),
        any::<i8>().prop_map(Primitive::Byte),
        any::<char>()
            .prop_filter("one unit", |it| it.len_utf16() == 1 && *it != '\0')
            .prop_map(|it| Primitive::Char(it as u16)),
        any::<i16>().prop_map(Primitive::Short),
        any::<i32>().prop_map(Primitive::Int),
        any::<i64>().prop_map(Primitive::Long),
        any::<f64>().prop_filter("equal to itself", |it| !it.is_nan()).prop_map(Primitive::Double),
        any::<f32>().prop_filter("equal to itself", |it| !it.is_nan()).prop_map(Primitive::Float),
        text().prop_map(Primitive::Text),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Primitive::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            vec((text(), inner.clone()), 0..4).prop_map(Primitive::Map),
            // Of one type, since JSON groups what is of one.
            vec(any::<i64>().prop_map(Primitive::Long), 0..4).prop_map(Primitive::List),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        map in vec((text(), value()), 0..5)
    ) {
        for notation in [Notation::Xml, Notation::Json] {
            let text = write(&map, notation);
            prop_assert_eq!(read(&text, notation, LIMITS), Ok(map.clone()), "{}", text);
        }
    }

    #[test]
    fn nothing_that_is_read_does_harm(text in any::<String>(), tags in vec("[<>{}\\[\\]\":,&;/a-z0-9 ]{0,12}", 0..20)) {
        for text in [text, tags.concat()] {
            for notation in [Notation::Xml, Notation::Json] {
                let _ = read(&text, notation, LIMITS);
            }
        }
    }
}
