//! The chart's values with their comments, read from values.yaml as people see it: a YAML parser drops comments.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Starts the comment of a value; further lines of it start with `# `.
const MARK: &str = "# -- ";

/// A value as documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Its path, such as `operator.image.tag`.
    pub path: String,
    /// Its default as JSON.
    pub default: String,
    /// What it is for.
    pub meaning: String,
}

/// Every value that has a comment, in order.
///
/// # Errors
/// Where a comment has no value, or a value no comment: neither would be in the README.
pub fn documented(text: &str) -> Result<Vec<Documented>> {
    let defaults: Value = serde_yaml::from_str(text).context("values.yaml")?;
    let mut found = Vec::new();
    // Keys that lead to the present line, with their indents.
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut comment: Option<String> = None;
    // Lines deeper than this belong to a value that has its comment.
    let mut within: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if within.is_some_and(|own| indent > own) || content.is_empty() {
            continue;
        }
        within = None;
        if let Some(start) = content.strip_prefix(MARK) {
            ensure!(
                comment.is_none(),
                "line {number}: the comment above belongs to no value"
            );
            comment = Some(start.to_owned());
        } else if let Some(more) = content.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                comment.push(' ');
                comment.push_str(more);
            }
        } else {
            let (key, _) = content
                .split_once(':')
                .with_context(|| format!("line {number}: no key"))?;
            above.retain(|&(outer, _)| outer < indent);
            above.push((indent, key));
            let keys: Vec<_> = above.iter().map(|&(_, key)| key).collect();
            let path = keys.join(".");
            let default = defaults.pointer(&format!("/{}", keys.join("/")));
            let default = default.with_context(|| format!("line {number}: {path} is not what the parser sees"))?;
            match (comment.take(), default) {
                (Some(meaning), default) => {
                    within = Some(indent);
                    found.push(Documented {
                        path,
                        default: default.to_string(),
                        meaning,
                    });
                }
                (None, Value::Object(inner)) if !inner.is_empty() => {}
                (None, _) => bail!("line {number}: {path} has no comment that starts with {MARK:?}"),
            }
        }
    }
    ensure!(comment.is_none(), "the last comment belongs to no value");
    Ok(found)
}

/// The values as rows of a table.
#[must_use]
pub fn table(values: &[Documented]) -> String {
    let rows = values.iter().map(|value| {
        // A bar would end the cell.
        let meaning = value.meaning.replace('|', "\\|");
        format!("| `{}` | `{}` | {meaning} |\n", value.path, value.default)
    });
    format!(
        "| value | default | meaning |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_goes_with_the_value_below_it() {
        let values = documented(
            "# A file.\n\nouter:\n  # -- First line\n  # and second.\n  inner: {a: 1}\n  # -- A list.\n  list:\n    - x\n# -- Last.\nlast: \"\"\n",
        )
        .unwrap();
        let rows: Vec<_> = values
            .iter()
            .map(|it| (&*it.path, &*it.default, &*it.meaning))
            .collect();
        assert_eq!(
            rows,
            [
                ("outer.inner", r#"{"a":1}"#, "First line and second."),
                ("outer.list", r#"["x"]"#, "A list."),
                ("last", r#""""#, "Last."),
            ]
        );
    }

    #[test]
    fn a_value_without_a_comment_is_an_error() {
        let error = documented("outer:\n  # -- One.\n  one: 1\n  two: 2\n").unwrap_err();
        assert!(
            error.to_string().starts_with("line 4: outer.two has no comment"),
            "{error}"
        );
    }
}
