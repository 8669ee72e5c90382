//! Host names in a routing document: looked up before it is routed by, and again from time to time.
//!
//! A name that does not resolve leaves its member away and the others alone: one machine that is gone from the DNS must
//! not keep a balancer from starting.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    time::Duration,
};

use lbpool_api::{RoutingDocument, routing::RoutedMember};
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// Time between two look-ups of a name that resolved.
const PERIOD: Duration = Duration::from_secs(10);
/// Time between two look-ups while there is one that does not.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a look-up may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Look-ups at the same time: each holds a thread.
const AT_ONCE: usize = 16;

/// The present document and what its names resolve to.
#[derive(Clone, Debug)]
pub struct Names {
    document: Option<RoutingDocument>,
    /// By `host:port`; `None` where it does not resolve.
    known: HashMap<String, Option<SocketAddr>>,
    next: Instant,
}

// === impl Names ===

impl Names {
    /// `document` with addresses for names, none where a name does not resolve.
    pub async fn resolve(&mut self, document: RoutingDocument) -> RoutingDocument {
        self.known = look_up(names(&document), &self.known).await;
        self.next = Instant::now() + self.period();
        with_addresses(self.document.insert(document).clone(), &self.known)
    }

    /// Waits until a name of the present document resolves to something else, and returns the document with that: to be
    /// routed by as it is. It has no names any more; resolved again, it would end looking up.
    ///
    /// Cancel safe: what was looked up in vain is looked up again.
    pub async fn changed(&mut self) -> RoutingDocument {
        loop {
            let Some(document) = self.document.as_ref().filter(|_| !self.known.is_empty()) else {
                return std::future::pending().await;
            };
            sleep_until(self.next).await;
            let found = look_up(names(document), &self.known).await;
            let changed = (found != self.known).then(|| with_addresses(document.clone(), &found));
            self.known = found;
            self.next = Instant::now() + self.period();
            if let Some(document) = changed {
                return document;
            }
        }
    }

    fn period(&self) -> Duration {
        if self.known.values().all(Option::is_some) {
            PERIOD
        } else {
            AGAIN
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            document: None,
            known: HashMap::new(),
            next: Instant::now(),
        }
    }
}

// === looking up ===

fn names(document: &RoutingDocument) -> BTreeSet<String> {
    let written = document.members.iter().filter_map(|member| member.address.as_ref());
    written
        .filter(|address| address.parse::<SocketAddr>().is_err())
        .cloned()
        .collect()
}

async fn look_up(
    names: BTreeSet<String>,
    known: &HashMap<String, Option<SocketAddr>>,
) -> HashMap<String, Option<SocketAddr>> {
    let mut found = HashMap::with_capacity(names.len());
    let mut left = names.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(name) = left.next()
        {
            running.spawn(async move {
                let addresses = addresses(&name).await;
                (addresses, name)
            });
        }
        let Some(ended) = running.join_next().await else {
            return found;
        };
        if let Ok((addresses, name)) = ended {
            let present = known.get(&name).copied().flatten();
            let address = match choose(addresses, present) {
                Ok(address) => Some(address),
                Err(error) => {
                    if !known.contains_key(&name) {
                        tracing::warn!(name, %error, "does not resolve: its member is away until it does");
                    }
                    present
                }
            };
            if address != present {
                tracing::info!(name, ?address, "resolved");
            }
            found.insert(name, address);
        }
    }
}

/// All addresses of a `host:port`.
pub(crate) async fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    let found = timeout(LIMIT, lookup_host(name)).await;
    found
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map(Iterator::collect)
}

/// One of the addresses. The present one is kept while it is among them: a DNS that turns its list round must not turn
/// connections round.
pub(crate) fn choose(addresses: io::Result<Vec<SocketAddr>>, present: Option<SocketAddr>) -> io::Result<SocketAddr> {
    let addresses = addresses?;
    if let Some(present) = present.filter(|present| addresses.contains(present)) {
        return Ok(present);
    }
    // IPv4 first, as it is what a member that listens at 0.0.0.0 has; then the least, so that balancers agree.
    let best = addresses
        .into_iter()
        .min_by_key(|address| (address.is_ipv6(), *address));
    best.ok_or_else(|| io::Error::other("the name has no address"))
}

/// Puts addresses in the places of names.
fn with_addresses(mut document: RoutingDocument, known: &HashMap<String, Option<SocketAddr>>) -> RoutingDocument {
    for RoutedMember { address, host, .. } in &mut document.members {
        if let Some(found) = address.as_ref().and_then(|name| known.get(name)) {
            // The name is what its certificate is for, wherever it leads.
            let name = address.as_deref().and_then(|address| address.rsplit_once(':'));
            *host = host.take().or_else(|| name.map(|(name, _)| name.to_owned()));
            *address = found.map(|address| address.to_string());
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(address: &str) -> RoutingDocument {
        let text =
            format!("{{pool: web, members: [{{name: a, address: '{address}'}}, {{name: b, address: '10.0.0.1:80'}}]}}");
        serde_yaml::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn a_name_becomes_an_address_and_an_address_stays() {
        let resolved = Names::default().resolve(document("localhost:8080")).await;
        let address: SocketAddr = resolved.members[0].address.as_deref().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback());
        assert_eq!(resolved.members[1].address.as_deref(), Some("10.0.0.1:80"));
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_leaves_its_member_without_an_address() {
        let resolved = Names::default().resolve(document("no-such-host.invalid:80")).await;
        assert_eq!(resolved.members[0].address, None);
        assert_eq!(resolved.members[1].address.as_deref(), Some("10.0.0.1:80"));
    }

    #[tokio::test]
    async fn a_change_of_the_dns_is_a_change_of_the_document() {
        let mut names = Names::default();
        names.resolve(document("localhost:8080")).await;
        let before: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        names.known.insert("localhost:8080".to_owned(), Some(before));
        names.next = Instant::now();
        let changed = timeout(Duration::from_secs(20), names.changed())
            .await
            .expect("a change");
        assert_ne!(changed.members[0].address.as_deref(), Some("192.0.2.1:8080"));
    }

    #[test]
    fn an_address_is_kept_while_the_name_has_it() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, two, six) = (at("10.0.0.1:80"), at("10.0.0.2:80"), at("[::1]:80"));
        assert_eq!(choose(Ok(vec![six, two, one]), None).unwrap(), one);
        assert_eq!(choose(Ok(vec![one, two]), Some(two)).unwrap(), two);
        assert_eq!(choose(Ok(vec![one]), Some(two)).unwrap(), one);
        assert!(choose(Ok(vec![]), Some(two)).is_err());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_any_more_keeps_its_address() {
        let name = "no-such-host.invalid:80";
        let before: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let known = HashMap::from([(name.to_owned(), Some(before))]);
        assert_eq!(look_up(BTreeSet::from([name.to_owned()]), &known).await, known);
    }
}
