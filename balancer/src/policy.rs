//! The routing policy of a document, checked and ready for use by requests.

use std::time::Duration;

use lbpool_api::pool::{AwayPolicy, KeyPart, KeySource, Routing};

/// What requests obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where keys are found, in order.
    pub key: Vec<Source>,
    /// The JSON pointers among them, each once. None: nobody looks into bodies.
    pub pointers: Vec<String>,
    /// What happens to the keys of a member that is not ready.
    pub away: AwayPolicy,
    /// How long a request waits for its owner.
    pub hold_timeout: Duration,
    /// Percent of the mean load that a member may carry. 0: no bound.
    pub load_bound: u64,
    /// How often a request is sent again at most.
    pub attempts: u32,
    /// Percent of the requests that may be sent again.
    pub budget: u32,
    /// Until a member accepts a connection.
    pub connect: Duration,
    /// Until an answer begins, and between its parts.
    pub response: Duration,
    /// Until an idle connection is closed.
    pub idle: Duration,
}

/// One source of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One part is the key.
    Part(Part),
    /// Several parts together are.
    Join(Vec<Part>),
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Value of a header.
    Header(String),
    /// Value of a cookie.
    Cookie(String),
    /// Value of a parameter of the query.
    Query(String),
    /// The whole path.
    Path,
    /// The first so many segments of the path.
    PathPrefix(u32),
    /// The client's address.
    SourceIp,
    /// The value that a JSON pointer finds in the body.
    JsonBody(String),
}

/// Why a policy can not be used. The field's path follows `routing.`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No field is set, or several are.
    #[error("key[{at}]: set exactly one of header, cookie, query, path, pathPrefix, sourceIP, jsonBody, join")]
    NotOne {
        /// Index of the source, with `.join[n]` where it is a part.
        at: String,
    },
    /// A key from the body, by something that is no JSON pointer.
    #[error(
        "key[{at}].jsonBody: {pointer:?} is no JSON pointer: write /user, or /user/id; ~ as ~0 and / in a name as ~1"
    )]
    JsonBody {
        /// What was written.
        pointer: String,
        /// Index of the source, with `.join[n]` where it is a part.
        at: String,
    },
}

impl Policy {
    /// Checks `routing` and makes it ready for use.
    ///
    /// # Errors
    /// Where a key source is not exactly one, or is no JSON pointer where it should be.
    pub fn compile(routing: &Routing) -> Result<Self, Error> {
        let key = routing
            .key
            .iter()
            .enumerate()
            .map(|(at, source)| Source::compile(at, source));
        let key = key.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            pointers: pointers(&key),
            key,
            away: routing.when_away.policy,
            hold_timeout: routing.when_away.hold_timeout.get(),
            load_bound: u64::from(routing.load_bound),
            attempts: routing.retries.attempts,
            budget: routing.retries.budget,
            connect: routing.timeouts.connect.get(),
            response: routing.timeouts.response.get(),
            idle: routing.timeouts.idle.get(),
        })
    }
}

impl Default for Policy {
    /// What is routed by before the first document: nothing is, only the time-outs count.
    fn default() -> Self {
        let routing = Routing {
            key: Vec::new(),
            ..Routing::default()
        };
        Self {
            key: Vec::new(),
            pointers: Vec::new(),
            away: routing.when_away.policy,
            hold_timeout: routing.when_away.hold_timeout.get(),
            load_bound: 0,
            attempts: 0,
            budget: 0,
            connect: routing.timeouts.connect.get(),
            response: routing.timeouts.response.get(),
            idle: routing.timeouts.idle.get(),
        }
    }
}

/// The JSON pointers of these sources, each once.
fn pointers(sources: &[Source]) -> Vec<String> {
    let parts = sources.iter().flat_map(|source| match source {
        Source::Part(part) => std::slice::from_ref(part),
        Source::Join(parts) => parts,
    });
    let mut pointers: Vec<String> = parts
        .filter_map(|part| match part {
            Part::JsonBody(pointer) => Some(pointer.clone()),
            _ => None,
        })
        .collect();
    pointers.sort_unstable();
    pointers.dedup();
    pointers
}

// === impl Source ===

impl Source {
    fn compile(at: usize, source: &KeySource) -> Result<Self, Error> {
        let part = source.part();
        match &source.join {
            None => Part::compile(at.to_string(), part).map(Self::Part),
            Some(_) if part != KeyPart::default() => Err(Error::NotOne { at: at.to_string() }),
            Some(parts) if parts.is_empty() => Err(Error::NotOne { at: at.to_string() }),
            Some(parts) => {
                let parts = parts.iter().enumerate();
                let parts = parts.map(|(n, part)| Part::compile(format!("{at}].join[{n}"), part.clone()));
                parts.collect::<Result<_, _>>().map(Self::Join)
            }
        }
    }
}

// === impl Part ===

impl Part {
    fn compile(at: String, part: KeyPart) -> Result<Self, Error> {
        let KeyPart {
            header,
            cookie,
            query,
            path,
            path_prefix,
            source_ip,
            json_body,
        } = part;
        if let Some(pointer) = json_body
            .as_ref()
            .filter(|pointer| !lbpool_api::pool::is_json_pointer(pointer))
        {
            let pointer = pointer.clone();
            return Err(Error::JsonBody { pointer, at });
        }
        let mut set = [
            header.map(Self::Header),
            cookie.map(Self::Cookie),
            query.map(Self::Query),
            path.filter(|&yes| yes).map(|_| Self::Path),
            path_prefix.map(Self::PathPrefix),
            source_ip.filter(|&yes| yes).map(|_| Self::SourceIp),
            json_body.map(Self::JsonBody),
        ]
        .into_iter()
        .flatten();
        match (set.next(), set.next()) {
            (Some(part), None) => Ok(part),
            _ => Err(Error::NotOne { at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: KeySource) -> Result<Vec<Source>, Error> {
        let routing = Routing {
            key: vec![source],
            ..Routing::default()
        };
        Policy::compile(&routing).map(|policy| policy.key)
    }

    #[test]
    fn a_join_keeps_the_order_of_its_parts() {
        let path = KeyPart {
            path_prefix: Some(1),
            ..KeyPart::default()
        };
        let user = KeyPart {
            cookie: Some("user".to_owned()),
            ..KeyPart::default()
        };
        let join = KeySource {
            join: Some(vec![path, user]),
            ..KeySource::default()
        };
        assert_eq!(
            key(join),
            Ok(vec![Source::Join(vec![
                Part::PathPrefix(1),
                Part::Cookie("user".to_owned())
            ])])
        );
    }

    #[test]
    fn what_is_not_exactly_one_source_is_refused_with_its_place() {
        let error = key(KeySource::default()).unwrap_err();
        assert!(error.to_string().starts_with("key[0]: set exactly one of"), "{error}");
        let two = KeySource {
            header: Some("A".to_owned()),
            path: Some(true),
            ..KeySource::default()
        };
        assert_eq!(key(two), Err(Error::NotOne { at: "0".to_owned() }));
        let body = KeyPart {
            json_body: Some("user".to_owned()),
            ..KeyPart::default()
        };
        let join = KeySource {
            join: Some(vec![body]),
            ..KeySource::default()
        };
        assert!(
            key(join)
                .unwrap_err()
                .to_string()
                .starts_with("key[0].join[0].jsonBody: \"user\" is no JSON pointer")
        );
    }
}
