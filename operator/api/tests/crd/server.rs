//! What an API server does with an object of a `CustomResourceDefinition`: defaults, structure, list types, rules.

use std::collections::HashSet;

use kube_cel::{ErrorKind, ValidationError, Validator, apply_defaults};
use lbpool_api::crd;
use serde_json::Value;

pub struct Server {
    /// As the definition has it.
    schema: Value,
    structure: jsonschema::Validator,
    rules: Validator,
}

impl Server {
    pub fn new() -> Self {
        let schema = crd::json().unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        Self {
            structure: jsonschema::validator_for(&schema).unwrap(),
            rules: Validator::new(),
            schema,
        }
    }

    /// Drops nulls, then fills in defaults.
    pub fn defaulted(&self, object: &Value) -> Value {
        let mut object = object.clone();
        prune_nulls(&mut object);
        apply_defaults(&self.schema, &object)
    }

    /// Everything that is wrong with an object: the field and the message. Rules are looked at in a sound object only.
    pub fn errors(&self, object: &Value) -> Vec<(String, String)> {
        let object = self.defaulted(object);
        let mut errors = self.unsound(&object);
        if errors.is_empty() {
            errors.extend(
                self.broken(&object)
                    .into_iter()
                    .map(|error| (error.field_path, error.message)),
            );
        }
        errors
    }

    /// The rules that an object breaks, as [`Server::rules`] names them; none where it breaks several.
    pub fn broken_rules(&self, object: &Value) -> Vec<String> {
        let object = self.defaulted(object);
        let broken = if self.unsound(&object).is_empty() {
            self.broken(&object)
        } else {
            Vec::new()
        };
        let [error] = broken.as_slice() else { return Vec::new() };
        let place: String = error
            .field_path
            .split('[')
            .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
            .collect();
        vec![format!("{place}: {}", error.rule)]
    }

    /// Every rule with its place: `spec.port: type(self) == ...`.
    pub fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        collect_rules("", &self.schema["properties"]["spec"], "spec", &mut rules);
        rules
    }

    fn unsound(&self, object: &Value) -> Vec<(String, String)> {
        let errors = self.structure.iter_errors(object);
        let mut errors: Vec<_> = errors
            .map(|error| (dotted(&error.instance_path().to_string()), error.to_string()))
            .collect();
        duplicates("", &self.schema, object, &mut errors);
        errors
    }

    fn broken(&self, object: &Value) -> Vec<ValidationError> {
        let errors = self
            .rules
            .validate(&self.schema, object, None)
            .map_or_else(kube_cel::ValidationErrors::into_vec, |()| Vec::new());
        for error in &errors {
            // A rule that can not be compiled or run would refuse everything.
            assert_eq!(error.kind, ErrorKind::ValidationFailure, "{error:?}");
        }
        errors
    }
}

fn collect_rules(outer: &str, schema: &Value, name: &str, rules: &mut Vec<String>) {
    let at = if outer.is_empty() {
        name.to_owned()
    } else {
        format!("{outer}.{name}")
    };
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        rules.push(format!("{at}: {}", rule["rule"].as_str().unwrap()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(&at, property, name, rules);
    }
    if let Some(items) = schema.get("items") {
        collect_rules("", items, &at, rules);
    }
}

fn prune_nulls(object: &mut Value) {
    match object {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// Lists that are sets or maps.
fn duplicates(at: &str, schema: &Value, value: &Value, errors: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                duplicates(&at, &schema["properties"][name], value, errors);
            }
        }
        Value::Array(items) => {
            let mut seen = HashSet::new();
            for (i, item) in items.iter().enumerate() {
                let identity = match schema["x-kubernetes-list-type"].as_str() {
                    Some("set") => item.to_string(),
                    Some("map") => {
                        let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
                        keys.iter().map(|key| item[key.as_str().unwrap()].to_string()).collect()
                    }
                    _ => i.to_string(),
                };
                if !seen.insert(identity) {
                    errors.push((format!("{at}[{i}]"), "Duplicate value".to_owned()));
                }
                duplicates(&format!("{at}[{i}]"), &schema["items"], item, errors);
            }
        }
        _ => {}
    }
}

/// `/spec/members/1/name` as `spec.members[1].name`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            path.extend(["[", part, "]"]);
        } else {
            path.extend([if path.is_empty() { "" } else { "." }, part]);
        }
    }
    path
}
