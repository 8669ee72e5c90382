//! Writes the reference of the resource, a table for each struct, from the definition: `docs/reference/pool.md`.

use std::fmt::Write as _;

use serde_json::Value;

/// Fields whose schema is Kubernetes' own: its documentation explains them.
const FOREIGN: [(&str, &str); 7] = [
    ("spec.template", "PodTemplateSpec"),
    ("spec.balancer.resources", "ResourceRequirements"),
    ("spec.balancer.podTemplate.spec.affinity", "Affinity"),
    ("spec.balancer.podTemplate.spec.tolerations", "Toleration[]"),
    (
        "spec.balancer.podTemplate.spec.topologySpreadConstraints",
        "TopologySpreadConstraint[]",
    ),
    (
        "spec.balancer.podTemplate.spec.imagePullSecrets",
        "LocalObjectReference[]",
    ),
    ("status.conditions", "Condition[]"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let definition = lbpool_api::crd::json()?;
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut out = String::from(
        "# The resource `LoadBalancerPool`\n\nGenerated from the types: `make generate`. Every rule below is part of the \
         resource's definition, so an API server and `lbpool` refuse what breaks one, with the field's path. A duration is a \
         whole number above zero and a unit: `500ms`, `2s`, `10m`, `1h`.\n",
    );
    for section in ["spec", "status"] {
        object(&mut out, section, &root[section])?;
    }
    print!("{out}");
    Ok(())
}

/// The table of an object, then those of the objects in it.
fn object(out: &mut String, path: &str, schema: &Value) -> std::fmt::Result {
    let Some(fields) = schema["properties"].as_object() else {
        return Ok(());
    };
    write!(out, "\n## `{path}`\n")?;
    if let Some(text) = schema["description"].as_str() {
        write!(out, "{}\n\n", one_line(text))?;
    }
    out.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
    for (name, field) in fields {
        let at = format!("{path}.{name}");
        let default = field.get("default").filter(|value| !value.is_object());
        let default = default.map_or(String::new(), |value| format!("`{value}`"));
        let mut meaning = one_line(field["description"].as_str().unwrap_or_default());
        for limit in limits(field) {
            write!(meaning, " {limit}")?;
        }
        writeln!(
            out,
            "| `{name}` | {} | {default} | {} |",
            kind(&at, field),
            meaning.trim()
        )?;
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        write!(out, "\nRule: {}.\n", rule["message"].as_str().unwrap_or_default())?;
    }
    for (name, field) in fields {
        let at = format!("{path}.{name}");
        if FOREIGN.iter().any(|(foreign, _)| *foreign == at) {
            continue;
        }
        object(out, &at, field)?;
        object(out, &format!("{at}[]"), &field["items"])?;
    }
    Ok(())
}

fn kind(path: &str, field: &Value) -> String {
    if let Some((_, kind)) = FOREIGN.iter().find(|(foreign, _)| *foreign == path) {
        return (*kind).to_owned();
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return values.join(", ");
    }
    if is_duration(field) {
        return "duration".to_owned();
    }
    match field["type"].as_str() {
        Some("array") => format!("{}[]", kind(&format!("{path}[]"), &field["items"])),
        Some("object") if field.get("additionalProperties").is_some() => "map of strings".to_owned(),
        other => other.unwrap_or("any").to_owned(),
    }
}

/// They all have one rule, which the introduction tells once.
fn is_duration(field: &Value) -> bool {
    field["x-kubernetes-validations"][0]["rule"]
        .as_str()
        .is_some_and(|rule| rule.contains("duration(self)"))
}

/// What bounds a value, as sentences.
fn limits(field: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    if let (Some(low), Some(high)) = (field["minimum"].as_i64(), field["maximum"].as_i64()) {
        limits.push(format!("{low} to {high}."));
    }
    if let Some(most) = field["maxItems"].as_i64() {
        limits.push(format!("At most {most}."));
    }
    for rule in field["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if field.get("properties").is_none() && !is_duration(field) {
            limits.push(format!("Rule: {}.", rule["message"].as_str().unwrap_or_default()));
        }
    }
    limits
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}
