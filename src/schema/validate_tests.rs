#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test may panic"
)]

use proptest::prelude::*;
use serde_json::json;

use crate::schema::Version;

use super::super::testkit::{column, own, type_of, view, view_of, writable};
use super::*;

/// Knows the rows 1 to 9 of every kind, and the taken name `taken`.
struct Rows;

impl Refs for Rows {
    fn exists(&self, kind: &str, wire: &str) -> Result<bool> {
        Ok(kind != "nothing" && WireId::parse(wire).is_some_and(|w| (1..10).contains(&w.id.0)))
    }

    fn is_taken(&self, _: &str, value: &str) -> Result<bool> {
        Ok(value == "taken")
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_477_994_400_000)
    }
}

fn every_field() -> Vec<(&'static str, Field)> {
    let array_of_enum = Field {
        options: Some(vec!["NET".into(), "SYS".into()]),
        ..writable("array[enum]")
    };
    vec![
        (
            "text",
            Field {
                nullable: true,
                ..writable("string")
            },
        ),
        ("secret", writable("password")),
        ("blob", writable("blob")),
        (
            "count",
            Field {
                min: Some(-1),
                max: Some(100),
                ..writable("int")
            },
        ),
        (
            "scale",
            Field {
                default: Some(json!(1)),
                ..writable("int")
            },
        ),
        ("big", writable("int")),
        ("ratio", writable("float")),
        ("flag", writable("boolean")),
        (
            "when",
            Field {
                nullable: true,
                ..writable("date")
            },
        ),
        (
            "mode",
            Field {
                options: Some(vec!["a".into(), "b".into()]),
                nullable: true,
                ..writable("enum")
            },
        ),
        ("caps", array_of_enum),
        (
            "any",
            Field {
                nullable: true,
                ..writable("json")
            },
        ),
        ("words", writable("array[string]")),
        ("numbers", writable("array[int]")),
        ("labels", writable("map[string]")),
        ("metadata", writable("map[json]")),
        ("stackId", writable("reference[stack]")),
        ("nowhere", writable("reference[nothing]")),
        ("friends", writable("array[reference[thing]]")),
        ("aliases", writable("map[reference[thing]]")),
        (
            "inner",
            Field {
                nullable: true,
                ..writable("inner")
            },
        ),
        ("inners", writable("array[inner]")),
        ("named", writable("map[inner]")),
        ("lost", writable("notThere")),
        (
            "name",
            Field {
                unique: true,
                min_length: Some(2),
                max_length: Some(5),
                valid_chars: Some("a-zA-Z0-9-._".into()),
                ..writable("string")
            },
        ),
        (
            "noSlash",
            Field {
                invalid_chars: Some("/\\\\".into()),
                ..writable("string")
            },
        ),
        (
            "created",
            Field {
                create: false,
                update: false,
                ..writable("date")
            },
        ),
        (
            "onlyCreate",
            Field {
                update: false,
                ..writable("string")
            },
        ),
        (
            "onlyUpdate",
            Field {
                create: false,
                ..writable("string")
            },
        ),
    ]
}

fn sample(version: Version, extra: Vec<(&str, Field)>) -> View {
    let fields = |list: Vec<(&str, Field)>| list.into_iter().map(|(name, f)| (name.to_owned(), f)).collect();
    let mut all = every_field();
    all.extend(extra);
    let stored = type_of(
        "thing",
        &[1],
        &[
            ("stackId", column("reference[stack]", Column::ParentId)),
            ("text", own("string", 0, "null")),
        ],
    );
    let mut stack = type_of("stack", &[], &[]);
    stack.prefix = "1st".into();
    let inner = vec![
        (
            "image",
            Field {
                required: true,
                ..writable("string")
            },
        ),
        (
            "tty",
            Field {
                default: Some(json!(false)),
                ..writable("boolean")
            },
        ),
        (
            "version",
            Field {
                create: false,
                default: Some(json!("0")),
                ..writable("string")
            },
        ),
        (
            "count",
            Field {
                nullable: true,
                ..writable("int")
            },
        ),
        (
            "alias",
            Field {
                unique: true,
                ..writable("string")
            },
        ),
        ("next", writable("inner")),
    ];
    let stack_name = if version == Version::V1 { "environment" } else { "stack" };
    view(
        version,
        1,
        vec![
            view_of(stored, "thing", fields(all)),
            view_of(stack, stack_name, fields(vec![])),
            view_of(type_of("inner", &[], &[]), "inner", fields(inner)),
        ],
    )
}

/// The converted body as JSON, or `Code field`.
fn check(view: &View, body: Value, purpose: Purpose) -> std::result::Result<Value, String> {
    let ty = view.types.get("thing").unwrap();
    input(view, ty, body.as_object().unwrap(), purpose, &Rows)
        .map(Value::Object)
        .map_err(|e| {
            format!(
                "{} {}",
                e.code.as_deref().unwrap_or("-"),
                e.field.as_deref().unwrap_or("-")
            )
        })
}

#[test]
fn values_are_converted_by_type() {
    let view = sample(Version::V2Beta, vec![]);
    for (sent, kept) in [
        (json!({"text": 5}), json!({"text": "5"})),
        (json!({"text": 1.5}), json!({"text": "1.5"})),
        (json!({"text": true}), json!({"text": "true"})),
        (json!({"text": null}), json!({"text": null})),
        (json!({"text": ""}), json!({"text": ""})),
        (json!({"count": "5"}), json!({"count": 5})),
        (json!({"count": " -1 "}), json!({"count": -1})),
        (json!({"count": 5.0}), json!({"count": 5})),
        (json!({"big": i64::MIN}), json!({"big": i64::MIN})),
        (json!({"ratio": "1.5"}), json!({"ratio": 1.5})),
        (json!({"ratio": 2}), json!({"ratio": 2})),
        (json!({"flag": "true"}), json!({"flag": true})),
        (json!({"flag": false}), json!({"flag": false})),
        (json!({"flag": 1}), json!({"flag": true})),
        (json!({"flag": 0}), json!({"flag": false})),
        (
            json!({"when": "2016-11-01T10:00:00Z"}),
            json!({"when": "2016-11-01T10:00:00Z"}),
        ),
        (
            json!({"when": 1_477_994_400_999_i64}),
            json!({"when": "2016-11-01T10:00:00Z"}),
        ),
        (json!({"when": "now"}), json!({"when": "2016-11-01T10:00:00Z"})),
        (json!({"when": " "}), json!({})),
        (json!({"mode": null}), json!({"mode": null})),
        (json!({"caps": "NET"}), json!({"caps": ["NET"]})),
        (json!({"any": {"a": [null, 1]}}), json!({"any": {"a": [null, 1]}})),
        (json!({"words": [80, "x", true]}), json!({"words": ["80", "x", "true"]})),
        (json!({"words": "foo:/bar"}), json!({"words": ["foo:/bar"]})),
        (json!({"words": []}), json!({"words": []})),
        (json!({"numbers": "7"}), json!({"numbers": [7]})),
        (json!({"labels": {"a": 1}}), json!({"labels": {"a": "1"}})),
        (json!({"labels": {"a": null}}), json!({"labels": {"a": null}})),
        (json!({"metadata": {"a": null}}), json!({"metadata": {"a": null}})),
        (json!({"stackId": "1e5"}), json!({"stackId": "1st5"})),
        (json!({"friends": "1x3"}), json!({"friends": ["1t3"]})),
        (json!({"aliases": {"db": "1t2"}}), json!({"aliases": {"db": "1t2"}})),
        (json!({"scale": null}), json!({})),
        (json!({"inner": null}), json!({"inner": null})),
        (
            json!({"created": "junk", "unknown": {}, "onlyCreate": 1, "id": "1t1"}),
            json!({}),
        ),
        (json!({"onlyUpdate": "x"}), json!({"onlyUpdate": "x"})),
    ] {
        assert_eq!(check(&view, sent.clone(), Purpose::Update), Ok(kept), "{sent}");
    }
}

#[test]
fn bad_values_are_refused_with_code_and_field() {
    let view = sample(Version::V2Beta, vec![]);
    for (sent, refusal) in [
        (json!({"text": {}}), "InvalidFormat text"),
        (json!({"text": ["a"]}), "InvalidFormat text"),
        (json!({"count": "five"}), "InvalidFormat count"),
        (json!({"count": ""}), "InvalidFormat count"),
        (json!({"count": 5.5}), "InvalidFormat count"),
        (json!({"count": true}), "InvalidFormat count"),
        (json!({"big": 1e300}), "InvalidFormat big"),
        (json!({"big": u64::MAX}), "InvalidFormat big"),
        (json!({"big": "9223372036854775808"}), "InvalidFormat big"),
        (json!({"ratio": "inf"}), "InvalidFormat ratio"),
        (json!({"flag": "yes"}), "InvalidFormat flag"),
        (json!({"flag": 2}), "InvalidFormat flag"),
        (json!({"flag": 1.5}), "InvalidFormat flag"),
        (json!({"when": "yesterday"}), "InvalidDateFormat when"),
        (json!({"when": i64::MAX}), "InvalidDateFormat when"),
        (json!({"when": true}), "InvalidDateFormat when"),
        (json!({"count": null}), "NotNullable count"),
        (json!({"count": -2}), "MinLimitExceeded count"),
        (json!({"count": 101}), "MaxLimitExceeded count"),
        (json!({"mode": "c"}), "InvalidOption mode"),
        (json!({"caps": ["NET", "X"]}), "InvalidOption caps"),
        (json!({"words": ["a", null]}), "NotNullable words"),
        (json!({"words": [["a"]]}), "InvalidFormat words"),
        (json!({"labels": {"a": {}}}), "InvalidFormat labels"),
        (json!({"labels": "a"}), "InvalidFormat labels"),
        (json!({"labels": []}), "InvalidFormat labels"),
        (json!({"stackId": 5}), "InvalidReference stackId"),
        (json!({"stackId": "5"}), "InvalidReference stackId"),
        (json!({"stackId": ""}), "InvalidReference stackId"),
        (json!({"stackId": "1st10"}), "InvalidReference stackId"),
        (json!({"stackId": null}), "NotNullable stackId"),
        (json!({"nowhere": "1n1"}), "InvalidReference nowhere"),
        (json!({"friends": ["1t1", "1t99"]}), "InvalidReference friends"),
        (json!({"aliases": {"db": "1t99"}}), "InvalidReference aliases"),
        (json!({"lost": {}}), "InvalidFormat lost"),
        (json!({"name": "taken"}), "NotUnique name"),
        (json!({"name": "a"}), "MinLengthExceeded name"),
        (json!({"name": "a/"}), "InvalidCharacters name"),
        (json!({"name": "a/b/c/"}), "MaxLengthExceeded name"),
        (json!({"noSlash": "a\\b"}), "InvalidCharacters noSlash"),
        (json!({"count": "x", "flag": "x"}), "InvalidFormat count"),
        (json!({"flag": "x", "count": "x"}), "InvalidFormat flag"),
    ] {
        assert_eq!(
            check(&view, sent.clone(), Purpose::Update),
            Err(refusal.to_owned()),
            "{sent}"
        );
    }
}

#[test]
fn creation_applies_defaults_and_then_asks_for_what_is_required() {
    let required = |ty| Field {
        required: true,
        ..writable(ty)
    };
    let view = sample(
        Version::V2Beta,
        vec![
            ("need", required("string")),
            ("needs", required("array[string]")),
            (
                "given",
                Field {
                    required: true,
                    default: Some(json!("d")),
                    ..writable("string")
                },
            ),
            (
                "fixed",
                Field {
                    create: false,
                    default: Some(json!("7")),
                    ..writable("int")
                },
            ),
            (
                "kind",
                Field {
                    create: false,
                    default: Some(json!("user")),
                    source: Source::Column(Column::Kind),
                    ..writable("string")
                },
            ),
        ],
    );
    for (sent, answer) in [
        (json!({}), Err("MissingRequired need")),
        (json!({"need": null}), Err("NotNullable need")),
        (json!({"count": "x"}), Err("InvalidFormat count")),
        (json!({"need": "a"}), Err("MissingRequired needs")),
        (json!({"need": "a", "needs": []}), Err("MissingRequired needs")),
        (
            json!({"need": "a", "needs": "b", "onlyUpdate": "x"}),
            Ok(json!({"need": "a", "needs": ["b"], "fixed": 7, "given": "d", "scale": 1})),
        ),
        (
            json!({"need": "a", "needs": "b", "scale": null, "given": "e"}),
            Ok(json!({"need": "a", "needs": ["b"], "given": "e", "fixed": 7, "scale": 1})),
        ),
    ] {
        assert_eq!(
            check(&view, sent.clone(), Purpose::Create),
            answer.map_err(str::to_owned),
            "{sent}"
        );
    }
}

#[test]
fn embedded_objects_follow_the_rules_of_creation() {
    let view = sample(Version::V2Beta, vec![]);
    let inner = json!({"type": "inner", "image": "i", "tty": false, "version": "0"});
    for (sent, answer) in [
        (
            json!({"inner": {"image": "i", "junk": 1, "version": "9"}}),
            Ok(json!({"inner": inner})),
        ),
        (
            json!({"inner": {"image": "i", "alias": "taken", "count": null}}),
            Ok(
                json!({"inner": {"type": "inner", "alias": "taken", "count": null, "image": "i", "tty": false, "version": "0"}}),
            ),
        ),
        (json!({"inners": {"image": "i"}}), Ok(json!({"inners": [inner]}))),
        (
            json!({"named": {"a": {"image": "i"}}}),
            Ok(json!({"named": {"a": inner}})),
        ),
        (
            json!({"inner": {"image": "i", "next": {"image": "i"}}}),
            Ok(json!({"inner": {"type": "inner", "image": "i", "next": inner, "tty": false, "version": "0"}})),
        ),
        (json!({"inner": "text"}), Err("MissingRequired image")),
        (json!({"inner": {}}), Err("MissingRequired image")),
        (
            json!({"inner": {"image": "i", "next": {"image": {}}}}),
            Err("InvalidFormat image"),
        ),
        (json!({"inners": [null]}), Err("NotNullable inners")),
    ] {
        let got = check(&view, sent.clone(), Purpose::Update);
        assert_eq!(got, answer.map_err(str::to_owned), "{sent}");
    }
    let text = |sent| check(&view, sent, Purpose::Update).unwrap().to_string();
    assert_eq!(
        text(json!({"inner": {"image": "i", "count": 1}})),
        text(json!({"inner": {"count": 1, "image": "i"}}))
    );
    assert!(text(json!({"inner": {"count": 1, "image": "i"}})).starts_with(r#"{"inner":{"type":"inner","count":1"#));
}

#[test]
fn v1_takes_the_environment_for_the_stack() {
    let stack = || vec![("stackId", writable("reference[stack]"))];
    let mut v1 = sample(Version::V1, stack());
    let thing = v1.types.get_mut("thing").and_then(std::sync::Arc::get_mut).unwrap();
    thing.copies = vec![("environmentId".to_owned(), "stackId".to_owned())];
    for (sent, answer) in [
        (json!({"environmentId": "1e5"}), Ok(json!({"stackId": "1st5"}))),
        (json!({"stackId": "1st5"}), Ok(json!({"stackId": "1st5"}))),
        (
            json!({"environmentId": "1e99", "stackId": "1st5"}),
            Ok(json!({"stackId": "1st5"})),
        ),
        (json!({"environmentId": "1e99"}), Err("InvalidReference stackId")),
    ] {
        assert_eq!(
            check(&v1, sent.clone(), Purpose::Update),
            answer.map_err(str::to_owned),
            "{sent}"
        );
    }
    let v2 = sample(Version::V2Beta, stack());
    assert_eq!(
        check(&v2, json!({"environmentId": "1e5"}), Purpose::Update),
        Ok(json!({}))
    );
}

#[test]
fn deep_nesting_is_refused() {
    let view = sample(Version::V2Beta, vec![]);
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert!(check(&view, json!({"any": nested(64)}), Purpose::Update).is_ok());
    assert_eq!(
        check(&view, json!({"any": nested(65)}), Purpose::Update),
        Err("InvalidFormat any".into())
    );
    assert_eq!(
        check(&view, json!({"junk": nested(65)}), Purpose::Update),
        Ok(json!({}))
    );
}

#[test]
fn character_classes_read_as_regular_expressions_do() {
    for (class, inside, outside) in [
        ("a-zA-Z0-9-._", "azAZ09-._", "/ é"),
        ("a-zA-Z0-9_.-", "az09_.-", "/,"),
        ("*._0-9a-zA-Z;=", "*._09azAZ;=", "-/"),
        ("a-zA-Z0-9-", "a9-", "._"),
        ("^/", "ab-", "/"),
        ("\\-a", "-a", "b\\"),
        ("", "", "a"),
    ] {
        for c in inside.chars() {
            assert!(is_in_class(class, c), "{c} in {class}");
        }
        for c in outside.chars() {
            assert!(!is_in_class(class, c), "{c} not in {class}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".*",
        Just("1st5".to_owned()),
        Just("true".to_owned()),
        Just("now".to_owned()),
        Just("2016-11-01T10:00:00Z".to_owned()),
        "[0-9]{1,30}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("image".to_owned()),
        Just("next".to_owned()),
        Just("count".to_owned()),
        ".{0,3}"
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|list| Value::Object(list.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic_and_what_it_accepts_it_accepts_again(values in prop::collection::vec((0..29_usize, any_json()), 0..4)) {
        let view = sample(Version::V2Beta, vec![]);
        let fields = every_field();
        let body: Map<String, Value> = values.into_iter().filter_map(|(at, v)| Some((fields.get(at)?.0.to_owned(), v))).collect();
        for purpose in [Purpose::Create, Purpose::Update, Purpose::Embedded] {
            if let Ok(once) = check(&view, Value::Object(body.clone()), purpose) {
                prop_assert_eq!(check(&view, once.clone(), purpose), Ok(once));
            }
        }
    }
}
