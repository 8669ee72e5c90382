//! The line of a field: the text is parsed once more, along the field's path, with an error raised on purpose where the
//! path ends, since the parser tells the place of an error and of nothing else.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The line, from 1, of the field at `path` (`spec.members[1].name`) in the first document of `text`. Where the field
/// itself is absent, that of what should hold it.
#[must_use]
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    line_in(text, 0, path)
}

/// The same in the `index`th document.
pub(super) fn line_in(text: &str, index: usize, path: &str) -> Option<usize> {
    let steps = steps(path);
    // The longest part of the path that is in the text.
    (1..=steps.len()).rev().find_map(|depth| {
        let document = serde_yaml::Deserializer::from_str(text).nth(index)?;
        let error = Walk(&steps[..depth]).deserialize(document).err()?;
        error
            .location()
            .filter(|_| error.to_string().contains(FOUND))
            .map(|location| location.line())
    })
}

const FOUND: &str = "\u{1}found";

enum Step {
    Key(String),
    Index(usize),
}

/// `spec.labels["a.b/c"][1].name` as steps.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some((key, after)) = rest.strip_prefix("[\"").and_then(|quoted| quoted.split_once("\"]")) {
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else if let Some((index, after)) = rest.strip_prefix('[').and_then(|index| index.split_once(']')) {
            steps.extend(index.parse().map(Step::Index));
            rest = after;
        } else {
            let plain = rest.strip_prefix('.').unwrap_or(rest);
            let end = plain.find(['.', '[']).unwrap_or(plain.len());
            if end > 0 {
                steps.push(Step::Key(plain[..end].to_owned()));
            }
            rest = if end == 0 {
                plain.get(1..).unwrap_or_default()
            } else {
                &plain[end..]
            };
        }
    }
    steps
}

/// Goes along a path; fails at its end, and only there.
struct Walk<'a>(&'a [Step]);

/// A key of a mapping on the way.
struct Key<'a> {
    name: &'a str,
    last: bool,
}

/// Fails at the first event of whatever stands here.
struct Fail;

// === impl Walk ===

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a step of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(name), rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(here) = map.next_key_seed(Key {
            name,
            last: rest.is_empty(),
        })? {
            if here {
                map.next_value_seed(Walk(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(index), rest)) = self.0.split_first() {
            for _ in 0..*index {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(());
                }
            }
            if rest.is_empty() {
                seq.next_element_seed(Fail)?;
            } else {
                seq.next_element_seed(Walk(rest))?;
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        if key == self.name && self.last {
            Err(E::custom(FOUND))
        } else {
            Ok(key == self.name)
        }
    }
}

// === impl Fail ===

impl<'de> DeserializeSeed<'de> for Fail {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fail {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FOUND)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(de::Error::custom(FOUND))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(de::Error::custom(FOUND))
    }
    // Scalars: serde's default refuses each of them, saying what was expected, which is FOUND.
}
