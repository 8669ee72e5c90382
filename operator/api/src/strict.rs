//! YAML (or JSON) read strictly: what a person got wrong is reported with file, line, field path and what was expected.
//!
//! The types' own parsing stays lenient, as that of an API server's clients must be: a newer operator may have written
//! fields that this one does not know. A file that a person wrote is another matter: there a field that nobody knows
//! is a typo. All unknown fields are reported in one go, inside Kubernetes types too.
//!
//! As in an API server, a field that is present and empty (`routing:` with nothing below it) counts as absent.

mod fault;
mod locate;
mod node;
mod pool;

use serde::{Deserialize, de::DeserializeOwned};
use serde_yaml::Value;

pub use fault::{Error, Fault};
pub use locate::line_of;
pub use pool::{PoolFile, pool_from_yaml};

/// Reads the one document of a file. `file` names it in errors.
///
/// # Errors
/// Where the text is no YAML, has a key twice, an unknown field or a value of the wrong type, or where it does not hold
/// exactly one document.
///
/// ```
/// use lbpool_api::{RoutingDocument, strict};
///
/// let error = strict::from_yaml::<RoutingDocument>("demo.yaml", "pool: demo\nmembers: []\nepohc: 3\n").unwrap_err();
/// assert_eq!(error.to_string(), "demo.yaml:3: epohc: unknown field, did you mean `epoch`?");
/// ```
pub fn from_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Error> {
    let documents = documents(file, text)?;
    match documents.as_slice() {
        [document] => typed(file, text, document),
        [] => Err(Error::whole(file, "the file is empty")),
        more => Err(Error::whole(
            file,
            format!("the file holds {} documents, expected one", more.len()),
        )),
    }
}

/// One document of a file.
struct Document {
    /// Its position in the file, empty ones counted.
    index: usize,
    value: Value,
}

/// The documents of a file that are not empty.
fn documents(file: &str, text: &str) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        // Keys that stand twice are found here, whatever the type; so are broken quotes and indents.
        let parsed = Value::deserialize(document).and_then(|mut value| value.apply_merge().map(|()| value));
        let value = parsed.map_err(|error| Error::syntax(file, text, index, &error))?;
        if !value.is_null() {
            documents.push(Document { index, value });
        }
    }
    Ok(documents)
}

/// A document as a `T`, with all that is wrong with it.
fn typed<T: DeserializeOwned>(file: &str, text: &str, document: &Document) -> Result<T, Error> {
    let (value, faults) = node::read::<T>(&document.value);
    value
        .filter(|_| faults.is_empty())
        .ok_or_else(|| Error::located(file, text, document.index, faults))
}

#[cfg(test)]
mod tests;
