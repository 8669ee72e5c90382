//! The environment of a member, as Kubernetes would build it from the template's first container.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource};
use lbpool_api::MemberName;
use lbpool_core::validate::Problem;

/// Path of the container that is run.
pub(super) const CONTAINER: &str = "spec.template.spec.containers[0]";

/// Who a member is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub seat: MemberName,
    pub name: String,
    pub uid: String,
    pub namespace: String,
    pub port: u16,
    /// Where it will be reached, if that is known before it starts.
    pub address: Option<IpAddr>,
}

impl Identity {
    /// What every member finds in its environment.
    pub fn variables(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("SERVER_ID".to_owned(), self.seat.to_string()),
            ("HOSTNAME".to_owned(), self.seat.host().into_owned()),
            ("PORT".to_owned(), self.port.to_string()),
        ])
    }

    /// What the downward API would say.
    fn field(&self, path: &str) -> Option<String> {
        match path {
            "metadata.name" => Some(self.name.clone()),
            "metadata.namespace" => Some(self.namespace.clone()),
            "metadata.uid" => Some(self.uid.clone()),
            "status.podIP" | "status.hostIP" => self.address.map(|address| address.to_string()),
            _ => None,
        }
    }

    fn fields(&self) -> String {
        let addresses = if self.address.is_some() {
            ", status.podIP and status.hostIP"
        } else {
            ""
        };
        format!("only these are known here: metadata.name, metadata.namespace, metadata.uid{addresses}")
    }
}

/// Variables that the template sets, ours among them; the member gets them on top of our own environment.
///
/// `SERVER_ID`, `HOSTNAME` and `PORT` are ours whatever the template says: a template that fixes `PORT` for its
/// container would otherwise start every member of a machine on the same port.
pub(super) fn variables(container: &Container, identity: &Identity) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let ours = identity.variables();
    let mut variables = ours.clone();
    let mut problems = Vec::new();
    if container.env_from.as_ref().is_some_and(|from| !from.is_empty()) {
        problems.push(refused(
            "envFrom",
            "there are no ConfigMaps and Secrets here: name the variables under env",
        ));
    }
    for (i, variable) in container.env.iter().flatten().enumerate() {
        match value(variable, i, identity, &variables) {
            Ok(value) if !ours.contains_key(&variable.name) => _ = variables.insert(variable.name.clone(), value),
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(variables)
    } else {
        Err(problems)
    }
}

fn value(
    variable: &EnvVar,
    i: usize,
    identity: &Identity,
    known: &BTreeMap<String, String>,
) -> Result<String, Problem> {
    let name = &variable.name;
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(refused(
            &format!("env[{i}].name"),
            "must not be empty and hold no = and no NUL",
        ));
    }
    if variable.value.as_ref().is_some_and(|value| value.contains('\0')) {
        return Err(refused(&format!("env[{i}].value"), "must hold no NUL"));
    }
    match &variable.value_from {
        None => Ok(expand(variable.value.as_deref().unwrap_or_default(), known)),
        Some(source) => from_source(source, i, identity),
    }
}

fn from_source(source: &EnvVarSource, i: usize, identity: &Identity) -> Result<String, Problem> {
    if let Some(field) = &source.field_ref {
        return identity
            .field(&field.field_path)
            .ok_or_else(|| refused(&format!("env[{i}].valueFrom.fieldRef.fieldPath"), &identity.fields()));
    }
    let kind = if source.secret_key_ref.is_some() {
        "secretKeyRef"
    } else if source.config_map_key_ref.is_some() {
        "configMapKeyRef"
    } else if source.resource_field_ref.is_some() {
        "resourceFieldRef"
    } else {
        return Err(refused(&format!("env[{i}].valueFrom"), "must name a source"));
    };
    Err(refused(
        &format!("env[{i}].valueFrom.{kind}"),
        "can not be read here: write a value, or use fieldRef",
    ))
}

fn refused(field: &str, message: &str) -> Problem {
    Problem {
        path: format!("{CONTAINER}.{field}"),
        message: message.to_owned(),
    }
}

/// Kubernetes' own expansion: `$(NAME)` is the variable's value, or stays as it is where there is none; `$$` is `$`.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(yaml: &str) -> Container {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn identity() -> Identity {
        Identity {
            seat: "Seat-A".parse().unwrap(),
            name: "seat-a-x7k2p".into(),
            uid: "u-1".into(),
            namespace: "default".into(),
            port: 20_001,
            address: Some([127, 0, 0, 1].into()),
        }
    }

    #[test]
    fn references_expand_as_in_a_cluster() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, want) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)z", "x1y1z"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$(A", "$(A"),
            ("$A $", "$A $"),
            ("$()", "$()"),
        ] {
            assert_eq!(expand(text, &known), want, "{text:?}");
        }
    }

    #[test]
    fn values_see_what_stands_before_them_and_ours() {
        let container = container(
            "{name: c, env: [{name: LATE, value: $(EARLY)}, {name: EARLY, value: 'on $(PORT)'}, {name: BOTH, value: '$(EARLY) as $(SERVER_ID)'}]}",
        );
        let variables = variables(&container, &identity()).unwrap();
        assert_eq!(variables["LATE"], "$(EARLY)");
        assert_eq!(variables["BOTH"], "on 20001 as Seat-A");
    }

    #[test]
    fn server_id_hostname_and_port_are_ours() {
        let container = container("{name: c, env: [{name: PORT, value: '5000'}, {name: SERVER_ID, value: x}]}");
        let variables = variables(&container, &identity()).unwrap();
        assert_eq!(
            [&variables["SERVER_ID"], &variables["HOSTNAME"], &variables["PORT"]],
            ["Seat-A", "seat-a", "20001"]
        );
    }

    #[test]
    fn fields_of_the_pod_are_those_of_the_process() {
        let env: Vec<String> = [
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
            "status.podIP",
            "status.hostIP",
        ]
        .iter()
        .enumerate()
        .map(|(i, path)| format!("{{name: V{i}, valueFrom: {{fieldRef: {{fieldPath: {path}}}}}}}"))
        .collect();
        let variables = variables(
            &container(&format!("{{name: c, env: [{}]}}", env.join(", "))),
            &identity(),
        )
        .unwrap();
        let got: Vec<&str> = (0..5).map(|i| variables[&format!("V{i}")].as_str()).collect();
        assert_eq!(got, ["seat-a-x7k2p", "default", "u-1", "127.0.0.1", "127.0.0.1"]);
    }

    #[test]
    fn everything_that_can_not_be_had_is_named_at_once() {
        let container = container(
            "{name: c, envFrom: [{secretRef: {name: s}}], env: [{name: OK, value: '1'}, {name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: N, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: 'a=b', value: x}]}",
        );
        let paths: Vec<String> = variables(&container, &identity())
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        let first = "spec.template.spec.containers[0]";
        assert_eq!(
            paths,
            [
                format!("{first}.envFrom"),
                format!("{first}.env[1].valueFrom.secretKeyRef"),
                format!("{first}.env[2].valueFrom.fieldRef.fieldPath"),
                format!("{first}.env[3].name"),
            ]
        );
    }
}
