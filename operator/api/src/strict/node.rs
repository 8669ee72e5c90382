//! A deserializer over parsed YAML that knows where it is, collects the fields that nobody knows, and says what it
//! expected in words of a person.

mod words;

use std::{cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};
use serde_yaml::{Mapping, Value};

use super::Fault;

/// A value as a `T`, and all that is wrong with it: every unknown field before the first value of a wrong type.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> (Option<T>, Vec<Fault>) {
    let faults = RefCell::default();
    let node = Node {
        value,
        path: &Path::Root,
        faults: &faults,
    };
    let read = T::deserialize(node);
    let mut faults = faults.into_inner();
    match read {
        Ok(value) => (Some(value), faults),
        Err(Halt { path, message }) => {
            faults.push(Fault::new(path.unwrap_or_default(), message));
            (None, faults)
        }
    }
}

/// Where a value stands: a list from the inside out, so that no text is made until it is needed.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

/// One value at its place.
#[derive(Clone, Copy)]
struct Node<'a> {
    value: &'a Value,
    path: &'a Path<'a>,
    faults: &'a RefCell<Vec<Fault>>,
}

/// Why parsing stopped. Its path is that of the innermost value.
#[derive(Debug)]
struct Halt {
    path: Option<String>,
    message: String,
}

/// The entries of a mapping. With `fields`, those of a struct: unknown keys are reported, empty values skipped.
struct Entries<'a> {
    node: Node<'a>,
    rest: serde_yaml::mapping::Iter<'a>,
    fields: Option<&'static [&'static str]>,
    value: Option<(&'a str, &'a Value)>,
}

struct Items<'a> {
    node: Node<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

/// A variant of an enum: its name alone, or the one key of a mapping.
struct Variant<'a> {
    node: Node<'a>,
    name: &'a str,
    content: Option<&'a Value>,
}

// === impl Node ===

impl<'a> Node<'a> {
    fn expected<T>(self, what: &str) -> Result<T, Halt> {
        Err(Halt::at(self.path, words::mismatch(self.value, what)))
    }

    fn place<T>(self, result: Result<T, Halt>) -> Result<T, Halt> {
        result.map_err(|halt| Halt {
            path: halt.path.or_else(|| Some(self.path.to_string())),
            ..halt
        })
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        mapping: &'a Mapping,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        self.place(visitor.visit_map(Entries {
            node: self,
            rest: mapping.iter(),
            fields,
            value: None,
        }))
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.place(match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(value) => visitor.visit_str(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., Some(value)) => visitor.visit_f64(value),
                _ => self.expected("a number"),
            },
            Value::Sequence(items) => visitor.visit_seq(Items {
                node: self,
                items: items.iter().enumerate(),
            }),
            Value::Mapping(mapping) => self.map(mapping, None, visitor),
            Value::Tagged(tagged) => Err(Halt::at(
                self.path,
                format!("the YAML tag {} has no meaning here", tagged.tag),
            )),
        })
    }
}

/// Types that one kind of value alone can be read as.
macro_rules! only {
    ($($method:ident: $pattern:pat => $what:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
            match self.value {
                $pattern => self.scalar(visitor),
                _ => self.expected($what),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Halt;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.scalar(visitor)
    }

    only! {
        deserialize_bool: Value::Bool(_) => "true or false",
        deserialize_i8: Value::Number(_) => "a whole number",
        deserialize_i16: Value::Number(_) => "a whole number",
        deserialize_i32: Value::Number(_) => "a whole number",
        deserialize_i64: Value::Number(_) => "a whole number",
        deserialize_u8: Value::Number(_) => "a whole number",
        deserialize_u16: Value::Number(_) => "a whole number",
        deserialize_u32: Value::Number(_) => "a whole number",
        deserialize_u64: Value::Number(_) => "a whole number",
        deserialize_f32: Value::Number(_) => "a number",
        deserialize_f64: Value::Number(_) => "a number",
        deserialize_str: Value::String(_) => "a text",
        deserialize_string: Value::String(_) => "a text",
        deserialize_seq: Value::Sequence(_) => "a list",
        deserialize_map: Value::Mapping(_) => "a map",
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Halt> {
        self.place(visitor.visit_newtype_struct(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        match self.value {
            Value::Mapping(mapping) => self.map(mapping, Some(fields), visitor),
            _ => self.expected(&format!("an object with {}", words::fields(fields))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let (name, content) = match self.value {
            Value::String(name) => (name.as_str(), None),
            Value::Mapping(mapping) => match mapping.iter().next() {
                Some((Value::String(name), content)) if mapping.len() == 1 => (name.as_str(), Some(content)),
                _ => return self.expected(&words::one_of(variants)),
            },
            _ => return self.expected(&words::one_of(variants)),
        };
        self.place(visitor.visit_enum(Variant {
            node: self,
            name,
            content,
        }))
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

// === impl Entries ===

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Halt;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Halt> {
        for (key, value) in self.rest.by_ref() {
            let Value::String(key) = key else {
                let message = format!("the key {} must be a text: write it in quotes", words::short(key));
                return Err(Halt::at(self.node.path, message));
            };
            if let Some(fields) = self.fields {
                if !fields.contains(&key.as_str()) {
                    let path = Path::Key(self.node.path, key).to_string();
                    self.node
                        .faults
                        .borrow_mut()
                        .push(Fault::new(path, words::unknown_field(key, fields)));
                    continue;
                }
                if value.is_null() {
                    continue;
                }
            }
            self.value = Some((key, value));
            let key: StrDeserializer<'_, Halt> = key.as_str().into_deserializer();
            return seed.deserialize(key).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Halt> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = Path::Key(self.node.path, key);
        let node = Node {
            value,
            path: &path,
            faults: self.node.faults,
        };
        node.place(seed.deserialize(node))
    }
}

// === impl Items ===

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Halt;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Halt> {
        let Some((index, value)) = self.items.next() else {
            return Ok(None);
        };
        let path = Path::Index(self.node.path, index);
        let node = Node {
            value,
            path: &path,
            faults: self.node.faults,
        };
        node.place(seed.deserialize(node)).map(Some)
    }
}

// === impl Variant ===

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Halt;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Halt> {
        let name: StrDeserializer<'_, Halt> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Halt;

    fn unit_variant(self) -> Result<(), Halt> {
        if self.content.is_none() {
            Ok(())
        } else {
            self.node.expected("a text")
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Halt> {
        let Some(value) = self.content else {
            return self.node.expected("an object with one key");
        };
        let path = Path::Key(self.node.path, self.name);
        let node = Node {
            value,
            path: &path,
            faults: self.node.faults,
        };
        node.place(seed.deserialize(node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Halt> {
        let Some(value) = self.content else {
            return self.node.expected("an object with one key");
        };
        Node { value, ..self.node }.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Halt> {
        let Some(value) = self.content else {
            return self.node.expected("an object with one key");
        };
        Node { value, ..self.node }.deserialize_struct("", fields, visitor)
    }
}

// === impl Halt ===

impl Halt {
    fn at(path: &Path<'_>, message: String) -> Self {
        Self {
            path: Some(path.to_string()),
            message,
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Halt {}

impl de::Error for Halt {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: None,
            message: message.to_string(),
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            path: None,
            message: words::invalid(found, expected),
        }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            path: None,
            message: words::invalid(found, expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self {
            path: None,
            message: words::unknown_variant(variant, expected),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            path: None,
            message: format!("the field `{field}` is missing"),
        }
    }
}

// === impl Path ===

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Index(outer, index) => write!(f, "{outer}[{index}]"),
            Self::Key(outer, key) => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                match outer {
                    _ if key.is_empty() || !key.bytes().all(plain) => write!(f, "{outer}[\"{key}\"]"),
                    Self::Root => f.write_str(key),
                    _ => write!(f, "{outer}.{key}"),
                }
            }
        }
    }
}
