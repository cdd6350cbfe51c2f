//! What is forgiven, how it is told, and what is an error with a place.

#![allow(clippy::unwrap_used)]

use super::*;

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => format!("{text:?}"),
        Value::List(list) => {
            let list: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", list.join(","))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", shown(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

#[test]
fn broken_json_is_forgiven_and_told() {
    let check = |text: &str, value: &str, repairs: &str| {
        let parsed = parse(text).unwrap().unwrap();
        assert_eq!(shown(&parsed.value), value, "{text}");
        let told: Vec<String> = parsed
            .repairs
            .iter()
            .map(|(what, place)| format!("{what}@{}:{}", place.line, place.column))
            .collect();
        assert_eq!(told.join(" | "), repairs, "{text}");
    };
    check(
        r#"{"a": [1, 2.50, true, null, "x"]}"#,
        r#"{a:[1,2.50,true,null,"x"]}"#,
        "",
    );
    check(r#"{"a":1,}"#, "{a:1}", "needless comma@1:7");
    check("[1,\n2,,3,]", "[1,2,3]", "needless comma@2:3");
    check(r#"{,"a":1}"#, "{a:1}", "needless comma@1:2");
    check("{\"a\":1\n\"b\":2}", "{a:1,b:2}", "missing comma@2:1");
    check(
        "{\"a\":\"x\"\n\"b\":2}",
        "{a:\"x\",b:2}",
        "missing comma@2:1",
    );
    check(r#"{"a":1};"#, "{a:1}", "semicolon after the value@1:8");
    check("// c\n{\"a\":1}", "{a:1}", "comment@1:1");
    check(
        "{\"a\":\"x\", // c\n//\"b\": 2\n}",
        "{a:\"x\"}",
        "comment@1:11 | needless comma@1:9",
    );
    check("{/* c */\"a\":1}", "{a:1}", "comment@1:2");
    check("<!-- John's -->\n{\"a\":1}", "{a:1}", "comment@1:1");
    check("<!--\n{\"a\":1}\n-->", "{a:1}", "HTML comment mark@1:1");
    check("//<![CDATA[\n{\"a\":1}\n//]]>", "{a:1}", "CDATA mark@1:3");
    check("// <![CDATA[ {\"a\":1} // ]]>", "{a:1}", "CDATA mark@1:4");
    check("/*<![CDATA[*/{\"a\":1}/*]]>*/", "{a:1}", "comment@1:1");
    check("<![CDATA[{\"a\":1}]]>", "{a:1}", "CDATA mark@1:1");
    check(
        "{\"a\":\"x\ny\tz\"}",
        r#"{a:"x\ny\tz"}"#,
        "control character in a string@1:8",
    );
    check(r#"{"a":"<!-- b --><b>"}"#, r#"{a:"<!-- b --><b>"}"#, "");
    check(r#"{"a":"// b"}"#, r#"{a:"// b"}"#, "");
    check(
        r#"{"a":"17" wide"}"#,
        r#"{a:"17\" wide"}"#,
        "unescaped quote in a string@1:9",
    );
    check(
        r#"{"a":"He said "no", and left","b":2}"#,
        r#"{a:"He said \"no\", and left",b:2}"#,
        "unescaped quote in a string@1:15",
    );
    check(r#"{"a":"x" "b":2}"#, r#"{a:"x",b:2}"#, "missing comma@1:10");
    check(r#"["a", "b"]"#, r#"["a","b"]"#, "");
    check(
        r#"{"a":"x", b:2}"#,
        r#"{a:"x",b:2}"#,
        "key without quotes@1:11",
    );
    check(r#"{'a':'b'}"#, r#"{a:"b"}"#, "single quotes@1:2");
    check("{a:1}", "{a:1}", "key without quotes@1:2");
    check(r#"{"a":,"b":}"#, "{a:null,b:null}", "missing value@1:6");
    check(
        r#"{"a":undefined}"#,
        "{a:null}",
        "word of another language for null@1:6",
    );
    check(r#"{"a":"\'\q"}"#, r#"{a:"'q"}"#, "unknown escape@1:7");
    check(r#"{"a":"\u00e9\ud83d\ude00"}"#, r#"{a:"é😀"}"#, "");
    check(
        r#"{"a":"\ud83d!"}"#,
        "{a:\"\u{fffd}!\"}",
        "half of a surrogate pair@1:7",
    );
    check(
        r#"{"a":"\ud83dA"}"#,
        "{a:\"\u{fffd}A\"}",
        "half of a surrogate pair@1:7",
    );
    check(r#"{"a":"\u12"}"#, r#"{a:"u12"}"#, "unknown escape@1:7");
    check(
        r#"{"a":1}{"b":2}"#,
        "[{a:1},{b:2}]",
        "several values in a row@1:8",
    );
    check(
        r#"{"a":1} </b>"#,
        "{a:1}",
        "text after the value was not read@1:9",
    );
    check(
        "{&quot;a&quot;:&quot;b &amp; c&quot;}",
        r#"{a:"b & c"}"#,
        "HTML entities@1:1",
    );
    check("\u{feff}{\"a\":1}", "{a:1}", "");
    check(r#"{"price":1299.00}"#, "{price:1299.00}", "");
}

#[test]
fn literals_of_scripts_are_read_and_never_executed() {
    let check = |text: &str, value: &str, rest: &str| {
        let (found, length) = literal(text);
        assert_eq!(shown(&found.unwrap()), value, "{text}");
        assert_eq!(&text[length..], rest, "{text}");
    };
    check("{a:1};b()", "{a:1}", ";b()");
    check("{a:'x',\"b\":`y`,}", r#"{a:"x",b:"y"}"#, "");
    check(
        "{a:undefined,b:void 0,c:!0,d:!1,e:NaN}",
        "{a:null,b:null,c:true,d:false,e:null}",
        "",
    );
    check("{a:f(1,{b:\"})\"}),c:2}", "{a:null,c:2}", "");
    check("{a:x.y[0]?1:2,c:2}", "{a:null,c:2}", "");
    check("{a:'x'+y,c:2}", "{a:null,c:2}", "");
    check("{a:function(){return {b:1}},c:2}", "{a:null,c:2}", "");
    check("{a:()=>{b()},c:2}", "{a:null,c:2}", "");
    check("{a,b:1,...rest,c:2}", "{a:null,b:1,:null,c:2}", "");
    check("{1:2,'3':4}", "{1:2,3:4}", "");
    check("{a:new Date(2020,1),b:/* c */3 // d\n}", "{a:null,b:3}", "");
    check(r#"{a:'\x41\u0042\'c'}"#, r#"{a:"AB'c"}"#, "");
    check(
        r#"{a:JSON.parse('{"b":[1,"x"]}'),c:2}"#,
        r#"{a:{b:[1,"x"]},c:2}"#,
        "",
    );
    check(r#"JSON.parse("{\"b\":1}");x"#, "{b:1}", ";x");
    check("[1,,'a']x", r#"[1,"a"]"#, "x");
    check("-1.5;", "-1.5", ";");
    for text in ["{a:1", "{a:'x", "[1,", "", "{a:{{{"] {
        assert_eq!(literal(text).0, None, "{text}");
    }
    assert_eq!(literal(&"[".repeat(100_000)).0, None);
    let deep = format!("JSON.parse('{}1{}')", "[".repeat(100), "]".repeat(100));
    assert_eq!(literal(&deep).0, Some(Value::Null));
}

#[test]
fn blank_blocks_hold_nothing() {
    for text in ["", " \n\t", "// nothing", "<!-- -->"] {
        assert_eq!(
            parse(text).unwrap().map(|parsed| parsed.value),
            None,
            "{text:?}"
        );
    }
}

#[test]
fn unreadable_json_says_where_and_why() {
    let check = |text: &str, expected: &str| {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    };
    check(
        "{\"a\": 1",
        "the block ends before its '}' at line 1, column 8, before the end",
    );
    check(
        "{\"a\":\n  oops}",
        "\"oops\" is not a JSON value at line 2, column 3, before \"oops}\"",
    );
    check(
        "{\"a\" 1}",
        "expected ':' after the key \"a\" at line 1, column 6, before \"1}\"",
    );
    check(
        "{\"a\": \"x",
        "the string is not closed that starts at line 1, column 7, before \"\\\"x\"",
    );
    check(
        "{\"a\": [1}",
        "expected ']' at line 1, column 9, before \"}\"",
    );
    check(
        "/* x",
        "the comment is not closed by */ at line 1, column 1, before \"/* x\"",
    );
    check(
        "{\"a\": \"x\\",
        "the block ends in an escape at line 1, column 9, before \"\\\\\"",
    );
    check(
        "{1: 2}",
        "expected a key in quotes at line 1, column 2, before \"1: 2}\"",
    );
    check(
        "<b>",
        "expected a value at line 1, column 1, before \"<b>\"",
    );
}

#[test]
fn deep_json_is_refused_without_deep_recursion() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with("values nest deeper than 64 levels"),
            "{error}"
        );
        let text = format!(
            "{}1{}",
            open.repeat(JSON_DEPTH_MAX),
            close.repeat(JSON_DEPTH_MAX)
        );
        assert!(parse(&text).is_ok());
    }
}

#[test]
fn many_values_are_refused() {
    let text = format!("[{}1]", "1,".repeat(JSON_VALUES_MAX));
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.starts_with("more than 200000 values"), "{error}");
}
