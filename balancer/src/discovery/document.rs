//! A routing document from text: parsed strictly, then checked for what types can not say.
//!
//! All that is wrong is reported at once, each with the path of its field, so that a file needs one edit, not five.

use std::{collections::HashMap, fmt};

use lbpool_api::{
    RoutingDocument,
    pool::{Health, KeyPart, KeySource, Routing, SEATS_MAX, WEIGHT_MAX, is_json_pointer},
    routing::RoutedMember,
    status::SeatState,
    strict,
};

/// Why a text is no routing document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not parse, or has fields that nobody knows.
    #[error(transparent)]
    Parse(#[from] strict::Error),
    /// It parses, and something in it can not be.
    #[error("{file}: {problems}")]
    Wrong {
        /// Name of the file, as the user gave it.
        file: String,
        /// All of them.
        problems: Problems,
    },
}

/// What is wrong in a document, in its order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field: `members[1].name`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Where members are found, which decides what their entries must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// A member that serves has an address in the document.
    Here,
    /// Addresses may come from elsewhere.
    Elsewhere,
}

/// The document in `text`, in YAML or JSON. `file` names it in errors.
///
/// # Errors
/// Where it does not parse, has an unknown field, or says what can not be.
pub fn parse(file: &str, text: &str, addresses: Addresses) -> Result<RoutingDocument, Error> {
    let document: RoutingDocument = strict::from_yaml(file, text)?;
    check(&document, addresses).map_err(|problems| Error::Wrong {
        file: file.to_owned(),
        problems,
    })?;
    Ok(document)
}

/// Everything about a document that its types can not say.
///
/// # Errors
/// All that is wrong, in the document's order.
pub fn check(document: &RoutingDocument, addresses: Addresses) -> Result<(), Problems> {
    let mut found = Found::default();
    let pool = document.pool.as_bytes();
    if pool.is_empty() || pool.len() > 63 || !pool.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-') {
        found.add("pool", "must have 1 to 63 letters, digits and hyphens");
    }
    let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if !document.digest.is_empty() && (document.digest.len() != 16 || !document.digest.as_bytes().iter().all(hex)) {
        found.add("digest", "must have 16 digits of 0-9a-f, or be left out");
    }
    check_members(&document.members, addresses, &mut found);
    check_routing(&document.routing, &mut found);
    check_health(&document.health, &mut found);
    if found.0.is_empty() {
        Ok(())
    } else {
        Err(Problems(found.0))
    }
}

/// `host:port` in two: a name or an IPv4 address, or an IPv6 address in brackets, and a port above 0.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn address(text: &str) -> Result<(&str, u16), &'static str> {
    const FORM: &str = "must be host:port, such as 10.0.0.1:8080, cache-1.internal:8080 or [fd00::1]:8080";
    if text.contains("://") {
        return Err("must be host:port without a scheme, such as 10.0.0.1:8080 (protocol says what a member speaks)");
    }
    let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
    let port = port
        .parse()
        .ok()
        .filter(|&port: &u16| port > 0)
        .ok_or("must end in a port from 1 to 65535")?;
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return if inner.parse::<std::net::Ipv6Addr>().is_ok() {
            Ok((inner, port))
        } else {
            Err(FORM)
        };
    }
    let fits = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if fits { Ok((host, port)) } else { Err(FORM) }
}

fn check_members(members: &[RoutedMember], addresses: Addresses, found: &mut Found) {
    if members.len() > SEATS_MAX as usize {
        found.add(
            "members",
            format!("has {} entries, at most {SEATS_MAX} are possible", members.len()),
        );
        return;
    }
    let mut names = HashMap::new();
    let mut pods = HashMap::new();
    for (i, member) in members.iter().enumerate() {
        let at = |field: &str| format!("members[{i}].{field}");
        if let Some(before) = names.insert(member.name.host().into_owned(), i) {
            let before = format!(
                "members[{before}] has this name already ({}); case does not count",
                member.name
            );
            found.add(at("name"), before);
        }
        if !(1..=WEIGHT_MAX).contains(&member.weight) {
            found.add(at("weight"), format!("is {}, must be 1 to {WEIGHT_MAX}", member.weight));
        }
        if let Some(pod) = &member.pod {
            if pod.is_empty() || pod.len() > 253 {
                found.add(at("pod"), "must have 1 to 253 characters, or be left out");
            }
            if let Some(before) = pods.insert(pod.as_str(), i) {
                found.add(at("pod"), format!("{pod} sits in members[{before}] already"));
            }
        }
        match &member.address {
            Some(text) => {
                if let Err(wrong) = address(text) {
                    found.add(at("address"), format!("is {text:?}, {wrong}"));
                }
            }
            None if addresses == Addresses::Here && member.state == SeatState::Serving => {
                found.add(
                    at("address"),
                    "is missing: where does this member listen? Write host:port",
                );
            }
            None => {}
        }
        if !matches!(member.state, SeatState::Serving | SeatState::Vacant) {
            let wrong = format!(
                "is {}: only Serving and Vacant seats are in a table",
                member.state.as_str()
            );
            found.add(at("state"), wrong);
        }
    }
}

fn check_routing(routing: &Routing, found: &mut Found) {
    if routing.key.len() > 16 {
        found.add(
            "routing.key",
            format!("has {} sources, at most 16 are possible", routing.key.len()),
        );
    }
    for (i, source) in routing.key.iter().enumerate() {
        check_source(&format!("routing.key[{i}]"), source, found);
    }
    if !matches!(routing.load_bound, 0 | 101..=10_000) {
        found.add("routing.loadBound", "must be 0 (no bound) or 101 to 10000 percent");
    }
    if routing.retries.attempts > 10 {
        found.add("routing.retries.attempts", "must be 0 to 10");
    }
    if routing.retries.budget > 100 {
        found.add("routing.retries.budget", "must be 0 to 100 percent");
    }
}

fn check_source(path: &str, source: &KeySource, found: &mut Found) {
    let part = source.part();
    let Some(parts) = &source.join else {
        return check_part(
            path,
            &part,
            "header, cookie, query, path, pathPrefix, sourceIP, join",
            found,
        );
    };
    if part != KeyPart::default() {
        found.add(path, "has join and another source: set exactly one");
    }
    if !(2..=8).contains(&parts.len()) {
        found.add(
            format!("{path}.join"),
            format!("has {} parts, must have 2 to 8", parts.len()),
        );
    }
    for (i, part) in parts.iter().enumerate() {
        check_part(
            &format!("{path}.join[{i}]"),
            part,
            "header, cookie, query, path, pathPrefix, sourceIP",
            found,
        );
    }
}

fn check_part(path: &str, part: &KeyPart, sources: &str, found: &mut Found) {
    let KeyPart {
        header,
        cookie,
        query,
        path: whole,
        path_prefix,
        source_ip,
        json_body,
    } = part;
    let set = [
        header.is_some(),
        cookie.is_some(),
        query.is_some(),
        whole.is_some(),
        path_prefix.is_some(),
        source_ip.is_some(),
        json_body.is_some(),
    ];
    match set.iter().filter(|&&set| set).count() {
        1 => {}
        n => found.add(path, format!("has {n} sources, set exactly one of {sources}")),
    }
    for (field, value) in [("header", header), ("cookie", cookie)] {
        if value.as_ref().is_some_and(|name| !is_token(name)) {
            found.add(
                format!("{path}.{field}"),
                "must be a name of 1 to 128 letters, digits and !#$%&'*+-.^_`|~",
            );
        }
    }
    if query.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128) {
        found.add(format!("{path}.query"), "must have 1 to 128 characters");
    }
    for (field, value) in [("path", whole), ("sourceIP", source_ip)] {
        if *value == Some(false) {
            found.add(format!("{path}.{field}"), "must be true, or be left out");
        }
    }
    if path_prefix.is_some_and(|segments| !(1..=32).contains(&segments)) {
        found.add(format!("{path}.pathPrefix"), "must be 1 to 32 segments");
    }
    if json_body.as_ref().is_some_and(|pointer| !is_json_pointer(pointer)) {
        found.add(
            format!("{path}.jsonBody"),
            "must be a JSON pointer of at most 256 characters, such as /user/id; ~ is written ~0, / in a name ~1",
        );
    }
}

fn check_health(health: &Health, found: &mut Found) {
    let printable = health.path.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'#');
    if !health.path.starts_with('/') || health.path.len() > 1024 || !printable {
        found.add(
            "health.path",
            "must start with / and have at most 1024 printable characters, none of them a blank or #",
        );
    }
    for (field, value) in [("failures", health.failures), ("successes", health.successes)] {
        if !(1..=100).contains(&value) {
            found.add(format!("health.{field}"), "must be 1 to 100");
        }
    }
}

/// A token of RFC 9110, which names of headers and cookies are.
fn is_token(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[derive(Default)]
struct Found(Vec<Problem>);

// === impl Found ===

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }
}

// === impl Problems ===

impl Problems {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A person mends a few at a time; a generated file may have one for each of its members.
        const SHOWN: usize = 8;
        for (i, Problem { path, message }) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{path} {message}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
