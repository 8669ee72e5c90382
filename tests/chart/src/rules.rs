//! Rules of roles with the comments above them, as rendered: a YAML parser drops comments.

use std::mem;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{Object, object};

/// A rule and why it is there.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The role.
    pub role: Object,
    /// The rule itself.
    pub rule: Value,
    /// The comment above it, in one line.
    pub comment: String,
}

// === impl Rule ===

impl Rule {
    /// Whether the role is one that adds to the cluster's own roles for people.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        let labels = self.role.0["metadata"]["labels"].as_object();
        labels.is_some_and(|labels| labels.keys().any(|key| key.contains("/aggregate-to-")))
    }

    /// The texts of a part of the rule, such as `verbs`.
    #[must_use]
    pub fn texts(&self, part: &str) -> Vec<&str> {
        let values = self.rule[part].as_array().map_or(&[][..], Vec::as_slice);
        values.iter().filter_map(Value::as_str).collect()
    }
}

/// The rules of a rendered text, in order.
///
/// # Errors
/// Where it is no YAML, or where its lines do not show as many rules as the parser sees.
pub fn rules(rendered: &str) -> Result<Vec<Rule>> {
    let mut all = Vec::new();
    for document in rendered.split("\n---\n") {
        for role in object::parse(document)? {
            let rules = role.list("/rules");
            let comments = comments(document);
            ensure!(
                comments.len() == rules.len() || rules.is_empty(),
                "{role}: rules are not written as expected"
            );
            all.extend(rules.iter().zip(comments).map(|(rule, comment)| Rule {
                role: role.clone(),
                rule: rule.clone(),
                comment,
            }));
        }
    }
    Ok(all)
}

/// The comment above each rule of a document.
fn comments(document: &str) -> Vec<String> {
    let mut comments = Vec::new();
    let mut lines = Vec::new();
    for line in document.lines().skip_while(|line| *line != "rules:") {
        let content = line.trim_start();
        if let Some(text) = content.strip_prefix("# ") {
            lines.push(text);
        } else if content.starts_with("- apiGroups:") {
            comments.push(mem::take(&mut lines).join(" "));
        }
    }
    comments
}

/// The rules as rows of a table.
#[must_use]
pub fn table<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> String {
    let rows = rules.into_iter().map(|rule| {
        let groups = rule.texts("apiGroups");
        let resources = rule.texts("resources").into_iter().map(|resource| {
            let group = groups.first().filter(|group| !group.is_empty());
            group.map_or_else(|| format!("`{resource}`"), |group| format!("`{resource}.{group}`"))
        });
        let names = match rule.texts("resourceNames").as_slice() {
            [] => String::new(),
            names => format!(" named `{}`", names.join("`, `")),
        };
        format!(
            "| {}{names} | {} | {} |\n",
            resources.collect::<Vec<_>>().join(", "),
            rule.texts("verbs").join(", "),
            rule.comment.replace('|', "\\|"),
        )
    });
    format!(
        "| resources | verbs | who needs it, and what for |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_goes_with_the_comment_above_it() {
        let rules = rules(
            "kind: Role\nmetadata: {name: books}\nrules:\n  # code.rs: first\n  # and second.\n  - apiGroups: [apps]\n    \
             resources: [deployments]\n    verbs: [get]\n  - apiGroups: ['']\n    resources: [pods]\n    verbs: [list]\n---\nkind: Role\n",
        )
        .unwrap();
        let comments: Vec<_> = rules.iter().map(|rule| rule.comment.as_str()).collect();
        assert_eq!(comments, ["code.rs: first and second.", ""]);
        assert!(
            table(&rules).contains("| `deployments.apps` | get | code.rs: first and second. |\n"),
            "{}",
            table(&rules)
        );
    }
}
