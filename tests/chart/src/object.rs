//! One object of a manifest.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::Deserialize as _;
use serde_json::Value;

/// An object, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

// === impl Object ===

impl Object {
    /// The text at a JSON pointer; empty where there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace; empty where it has none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// The list at a JSON pointer; empty where there is none.
    #[must_use]
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.0
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The specification of the Pods that it makes, for kinds that make some.
    #[must_use]
    pub fn pod_spec(&self) -> Option<&Value> {
        self.0
            .pointer("/spec/template/spec")
            .filter(|_| matches!(self.kind(), "Deployment" | "Job"))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace() {
            "" => write!(f, "{} {}", self.kind(), self.name()),
            namespace => write!(f, "{} {namespace}/{}", self.kind(), self.name()),
        }
    }
}

/// The objects of a text with several documents; empty documents are left out.
///
/// # Errors
/// Where it is no YAML.
pub fn parse(text: &str) -> Result<Vec<Object>> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).context("not YAML"))
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .map(|value| value.map(Object))
        .collect()
}
