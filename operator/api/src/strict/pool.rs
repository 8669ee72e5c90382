//! A file that holds a pool.

use serde::Deserialize;
use serde_yaml::Value;

use super::{Document, Error, Fault, documents, node};
use crate::{
    LoadBalancerPool, PoolSpec, PoolStatus,
    names::{API_VERSION, KIND},
};

/// A pool from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolFile {
    /// The pool.
    pub pool: LoadBalancerPool,
    /// Documents of other kinds in the same file (`Service web`), which mean nothing on one machine.
    pub skipped: Vec<String>,
    /// Position of the pool's document in the file, for [`PoolFile::error`].
    index: usize,
}

/// The resource as it stands in a file. The derived type knows neither `apiVersion` nor `kind` as fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    spec: PoolSpec,
    /// What `kubectl get -o yaml` printed may be used as a file.
    status: Option<PoolStatus>,
}

/// Reads the pool of a file, in YAML or JSON. `file` names it in errors.
///
/// Exactly one `LoadBalancerPool` is expected; documents of other kinds beside it, as files for `kubectl apply` have
/// them, are skipped and named.
///
/// # Errors
/// Where the text is no YAML, holds no pool or several, or where the pool has an unknown field, a key twice or a value
/// of the wrong type.
pub fn pool_from_yaml(file: &str, text: &str) -> Result<PoolFile, Error> {
    let (pools, others): (Vec<_>, Vec<_>) = documents(file, text)?
        .into_iter()
        .partition(|document| word(&document.value, "kind") == Some(KIND));
    let skipped: Vec<String> = others.iter().map(|document| title(&document.value)).collect();
    let document = match pools.as_slice() {
        [document] => document,
        [] => return Err(no_pool(file, text, &others)),
        more => {
            let names: Vec<_> = more.iter().map(|document| title(&document.value)).collect();
            let message = format!(
                "the file holds {} pools ({}): write one per file",
                more.len(),
                names.join(", ")
            );
            return Err(Error::whole(file, message));
        }
    };
    let wrong = |faults| Error::located(file, text, document.index, faults);
    let version = word(&document.value, "apiVersion");
    if version != Some(API_VERSION) {
        let found = version.map_or("is missing".to_owned(), |version| format!("is {version:?}"));
        return Err(wrong(vec![Fault::new(
            "apiVersion",
            format!("{found}, must be {API_VERSION}"),
        )]));
    }
    let (written, faults) = node::read::<Written>(&document.value);
    match written {
        Some(Written {
            metadata, spec, status, ..
        }) if faults.is_empty() => Ok(PoolFile {
            pool: LoadBalancerPool { metadata, spec, status },
            skipped,
            index: document.index,
        }),
        _ => Err(wrong(faults)),
    }
}

// === impl PoolFile ===

impl PoolFile {
    /// What a later check found wrong with the pool, with the lines of its file.
    #[must_use]
    pub fn error(&self, file: &str, text: &str, faults: Vec<Fault>) -> Error {
        Error::located(file, text, self.index, faults)
    }
}

fn no_pool(file: &str, text: &str, others: &[Document]) -> Error {
    let Some(first) = others.first() else {
        return Error::whole(file, format!("the file is empty, expected a {KIND}"));
    };
    if others.len() > 1 || word(&first.value, "kind").is_some() {
        let kinds: Vec<_> = others.iter().map(|document| title(&document.value)).collect();
        let message = format!("the file holds no {KIND}, only: {}", kinds.join(", "));
        return Error::whole(file, message);
    }
    let message = format!("the field `kind` is missing, expected `apiVersion: {API_VERSION}` and `kind: {KIND}`");
    Error::located(file, text, first.index, vec![Fault::new("", message)])
}

/// `Service web`, as far as it is known.
fn title(value: &Value) -> String {
    let kind = word(value, "kind").unwrap_or("a document without kind");
    let name = value.get("metadata").and_then(|metadata| word(metadata, "name"));
    name.map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"))
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
