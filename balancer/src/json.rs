//! What JSON pointers (RFC 6901) find in a text, without a tree of it in memory.
//!
//! A tree of 64 KB of JSON takes up to 6.4 MB (`[{"":0},{"":0},...]`), for each request in flight. Here the text is checked
//! once by `serde_json`'s grammar, then walked; what is kept is what was found. After the check the walk may rely on the
//! text being JSON, and ends with "not found" where that should not be so.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The scalars that `pointers` find, each beside its pointer: a string without its quotes and escapes, a number and a
/// boolean as they are written. What is not there, null, an array or an object is left out; so is everything where the text is
/// not JSON. Of members with the same name the last one counts, as in most parsers.
pub(crate) fn find(text: &[u8], pointers: &[String]) -> Vec<(String, String)> {
    // Whatever ignores a value does not look whether its strings are UTF-8.
    let Ok(text) = std::str::from_utf8(text) else {
        return Vec::new();
    };
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Vec::new();
    }
    let found = |pointer: &String| Some((pointer.clone(), scalar(at(text, pointer)?)?));
    pointers.iter().filter_map(found).collect()
}

/// The text of a value that can be a key.
fn scalar(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.to_owned()),
    }
}

/// The value at a pointer.
fn at<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let mut walk = Walk { text, at: 0 };
    for segment in pointer.split('/').skip(1) {
        let segment = unescaped(segment);
        walk = match walk.peek()? {
            b'{' => walk.member(&segment)?,
            b'[' => walk.element(index(&segment)?)?,
            _ => return None,
        };
    }
    walk.value()
}

fn unescaped(segment: &str) -> Cow<'_, str> {
    if segment.contains('~') {
        Cow::Owned(segment.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(segment)
    }
}

/// A place in an array: digits without leading zeros.
fn index(segment: &str) -> Option<usize> {
    let digits = segment.bytes().all(|byte| byte.is_ascii_digit());
    let plain = segment == "0" || !segment.starts_with('0');
    segment.parse().ok().filter(|_| digits && plain)
}

/// A place in a text that is JSON.
#[derive(Clone, Copy)]
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    /// The next byte that is no white space; the place is there then.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blank.count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// The value that begins here; the place is behind it then.
    fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            _ => {
                let rest = self.text.as_bytes().get(start..)?;
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        self.text.get(start..self.at)
    }

    /// Passes a string over.
    fn string(&mut self) {
        let mut escaped = false;
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        let end = rest.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.at += end.map_or(rest.len() + 1, |end| end + 2);
    }

    /// Passes an array or an object over, however deep.
    fn nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Where the value of the last member of that name is, in the object that begins here.
    fn member(mut self, name: &str) -> Option<Self> {
        let mut found = None;
        self.at += 1;
        while self.peek()? != b'}' {
            let key = self.value()?;
            self.peek().filter(|&byte| byte == b':')?;
            self.at += 1;
            if is_named(key, name) {
                found = Some(self);
            }
            self.value()?;
            self.pass_comma()?;
        }
        found
    }

    /// Where the element of that place is, in the array that begins here.
    fn element(mut self, place: usize) -> Option<Self> {
        self.at += 1;
        for _ in 0..place {
            self.peek().filter(|&byte| byte != b']')?;
            self.value()?;
            self.pass_comma()?;
        }
        self.peek().filter(|&byte| byte != b']')?;
        Some(self)
    }

    fn pass_comma(&mut self) -> Option<()> {
        self.at += usize::from(self.peek()? == b',');
        Some(())
    }
}

/// Whether a name in its quotes is that one.
fn is_named(quoted: &str, name: &str) -> bool {
    if quoted.contains('\\') {
        return serde_json::from_str::<String>(quoted).is_ok_and(|key| key == name);
    }
    quoted.get(1..quoted.len() - 1) == Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn one(text: &str, pointer: &str) -> Option<String> {
        find(text.as_bytes(), &[pointer.to_owned()])
            .pop()
            .map(|(_, value)| value)
    }

    #[test]
    fn text_numbers_and_booleans_are_found_as_they_are_written() {
        let text = r#" { "user" : {"id": "u-7", "n": 1.50, "big": 12345678901234567890123, "e": -1E+3, "vip": true, "no": false,
            "none": null, "empty": "", "esc": "a\"\u00e9\\\n"}, "tags": ["x", [1, {"y": "}]"}], 3], "a/b": 1, "m~n": 2, "": 4, "1": "k" } "#;
        for (pointer, want) in [
            ("/user/id", Some("u-7")),
            ("/user/n", Some("1.50")),
            ("/user/big", Some("12345678901234567890123")),
            ("/user/e", Some("-1E+3")),
            ("/user/vip", Some("true")),
            ("/user/no", Some("false")),
            ("/user/none", None),
            ("/user/empty", Some("")),
            ("/user/esc", Some("a\"é\\\n")),
            ("/user", None),
            ("/user/id/0", None),
            ("/tags", None),
            ("/tags/0", Some("x")),
            ("/tags/1/0", Some("1")),
            ("/tags/1/1/y", Some("}]")),
            ("/tags/2", Some("3")),
            ("/tags/3", None),
            ("/tags/00", None),
            ("/tags/+1", None),
            ("/tags/-", None),
            ("/tags/99999999999999999999999", None),
            ("/a~1b", Some("1")),
            ("/m~0n", Some("2")),
            ("/", Some("4")),
            ("/1", Some("k")),
            ("/other", None),
        ] {
            assert_eq!(one(text, pointer).as_deref(), want, "{pointer}");
        }
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        assert_eq!(
            one(r#"{"a": 1, "b": 2, "\u0061": {"c": 3}, "a": 4}"#, "/a").as_deref(),
            Some("4")
        );
        assert_eq!(one(r#"{"a": {"c": 1}, "a": {"d": 2}}"#, "/a/c"), None);
    }

    #[test]
    fn what_is_not_json_holds_no_key() {
        for text in [
            "",
            "a",
            r#"{"a": 1"#,
            r#"{"a": 1} x"#,
            r#"{"a": 01}"#,
            r#"{"a": 1,}"#,
            r"{'a': 1}",
            "\u{feff}{\"a\": 1}",
            r#"{"a": 1, "b": NaN}"#,
            r#"{"a": "\ud800"}"#,
        ] {
            assert_eq!(one(text, "/a"), None, "{text}");
        }
        assert_eq!(find(b"{\"a\": 1, \"b\": \"\xff\"}", &["/a".to_owned()]), []);
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(one(&deep, "/0/0"), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\/~{}\\[\\],:é ]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\/~01]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn pointers(value: &Value, prefix: &str, found: &mut Vec<String>) {
        found.push(prefix.to_owned());
        match value {
            Value::Array(items) => {
                for (n, item) in (0..=items.len()).zip(items.iter().chain([&Value::Null])) {
                    pointers(item, &format!("{prefix}/{n}"), found);
                }
            }
            Value::Object(members) => {
                for (name, item) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    pointers(item, &format!("{prefix}/{name}"), found);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_does(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let mut all = Vec::new();
            pointers(&value, "", &mut all);
            for pointer in all {
                let want = match value.pointer(&pointer) {
                    Some(Value::String(text)) => Some(text.clone()),
                    Some(other @ (Value::Number(_) | Value::Bool(_))) => Some(other.to_string()),
                    _ => None,
                };
                prop_assert_eq!(one(&text, &pointer), want, "{} in {}", pointer, text);
            }
        }
    }
}
