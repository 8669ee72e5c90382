//! What is wrong, in words.

use serde::de::{Expected, Unexpected};
use serde_yaml::Value;

/// Most fields that are listed in a message.
const FIELDS: usize = 24;

/// A value of another kind than expected.
pub(super) fn mismatch(value: &Value, what: &str) -> String {
    let found = match value {
        Value::Null => "is empty".to_owned(),
        Value::Bool(value) => format!("is {value}"),
        Value::Number(number) => format!("is the number {number}"),
        Value::String(text) => format!("is the text {:?}", short_text(text)),
        Value::Sequence(_) => "is a list".to_owned(),
        Value::Mapping(_) => "is a map".to_owned(),
        Value::Tagged(tagged) => format!("has the tag {}", tagged.tag),
    };
    let hint = match value {
        Value::Bool(_) | Value::Number(_) if what == "a text" => ": write it in quotes",
        Value::String(text) if text.parse::<i64>().is_ok() && what == "a whole number" => " without quotes",
        _ => "",
    };
    format!("{found}, must be {what}{hint}")
}

/// A value of the right kind that the type refused.
pub(super) fn invalid(found: Unexpected<'_>, expected: &dyn Expected) -> String {
    let found = match found {
        Unexpected::Str(text) => format!("the text {:?}", short_text(text)),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unit => "empty".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    };
    let expected = expected.to_string();
    let expected = match expected.as_str() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0",
        "i32" | "a 32-bit integer" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number",
        "IntOrString" => "a whole number or a text",
        "Quantity" => "a quantity, such as 1, 500m or 64Mi",
        other => other,
    };
    format!("is {found}, must be {expected}")
}

/// A field that nobody knows.
pub(super) fn unknown_field(name: &str, known: &[&str]) -> String {
    match similar(name, known) {
        Some(near) => format!("unknown field, did you mean `{near}`?"),
        None => format!("unknown field, expected {}", fields(known)),
    }
}

/// A word that is none of those possible.
pub(super) fn unknown_variant(name: &str, known: &[&str]) -> String {
    let hint = similar(name, known)
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    format!("is {:?}, must be {}{hint}", short_text(name), one_of(known))
}

/// `one of A, B, C`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [one] => (*one).to_owned(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// The fields of an object, not too many of them.
pub(super) fn fields(known: &[&str]) -> String {
    match known.len() {
        0 => "no fields".to_owned(),
        1 => format!("the field {}", known[0]),
        2..=FIELDS => format!("the fields {}", known.join(", ")),
        more => format!("the fields {} and {} more", known[..FIELDS].join(", "), more - FIELDS),
    }
}

/// Any value, short enough for a message.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => short_text(text),
        Value::Sequence(_) => "[...]".to_owned(),
        Value::Mapping(_) => "{...}".to_owned(),
        Value::Tagged(tagged) => tagged.tag.to_string(),
    }
}

fn short_text(text: &str) -> String {
    const CHARS: usize = 60;
    let mut short: String = text.chars().take(CHARS).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

/// The known word that was probably meant.
fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    /// Below this, Jaro-Winkler pairs words that nobody would take for each other.
    const CLOSE: f64 = 0.8;
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|word| (*word, strsim::jaro_winkler(&lower, &word.to_lowercase())))
        .filter(|&(_, likeness)| likeness >= CLOSE)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(word, _)| word)
}
