//! What a cluster says about a pool, as a plain struct: the routing document, and which Pods are ready and where.
//!
//! Fed by watches (or by hand, in tests) it answers with the document to route by: the routing document with the
//! addresses of its Pods, and with seats vacant whose Pods are not ready. Time is an argument.
//!
//! Two sources that lag behind each other are merged, so each has its say:
//! - who sits in a seat, its weight and the policy: the document alone. Endpoints of Pods that it does not name are those
//!   of a Pod that comes or goes.
//! - where a Pod listens, and what it speaks: its endpoint; the document where there is none, or where it does not say.
//! - whether a Pod that the document calls serving is ready: its endpoint. An endpoint that is missing says nothing: a
//!   Service that was deleted must not stop the traffic. Neither does one that is late: see [`TRUST`].
//!
//! Slices that call most of a pool not ready at once are doubted: a control plane that was frozen or cut off from its nodes
//! says so of Pods that serve. The document's word counts then, and whoever routes finds out who fails: see [`Resolved::doubted`].
//! Of the last Pod that could serve they are doubted too, for a while: see [`ALONE`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use lbpool_api::{
    RoutingDocument,
    routing::{Protocol, RoutedMember},
    status::SeatState,
};
use tokio::time::Instant;

/// How long the document is believed about a Pod that it has just named, while the Pod's endpoint is not ready yet: slices
/// follow a Pod's readiness by some 16 to 50 ms, and the document may be faster. Longer than any slice that comes at all.
pub const TRUST: Duration = Duration::from_secs(3);

/// How long the last Pod that could serve is routed to although its endpoint is not ready. In this time a node is heard of after
/// the API server was away; after it nobody has contradicted the endpoint, the operator may be away too, and one alone may well
/// be not ready.
pub const ALONE: Duration = Duration::from_secs(30);

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of its Pod.
    pub pod: String,
    /// Where it listens, where the slice tells.
    pub address: Option<SocketAddr>,
    /// What it speaks, where the slice tells.
    pub protocol: Option<Protocol>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is ending.
    pub terminating: bool,
}

/// A routing document as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// UID of the object that it was found in: another one after it was deleted and made anew.
    pub uid: String,
    /// What it says.
    pub document: RoutingDocument,
}

/// What became of a document that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is the next one to route by.
    Taken,
    /// It is the present one.
    Same,
    /// It is older than the present one, of this epoch.
    Older(u64),
}

/// What follows from all that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What to route by.
    pub document: RoutingDocument,
    /// The Pods that serve although their endpoints are not ready, because nearly all are not: the slices are more likely
    /// wrong than the Pods. Probes ask them.
    pub doubted: Vec<String>,
    /// When to ask again although nothing was heard.
    pub again: Option<Instant>,
}

/// What endpoints say about a Pod that the document calls serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It is ready.
    Serves,
    /// It is not, but was just named: the document is believed until then.
    Trusted(Instant),
    /// It is not ready.
    NotReady,
    /// It is ending: that is not taken back.
    Ends,
}

/// What all of them say.
#[derive(Debug, Default)]
struct Words {
    serving: usize,
    /// By seat.
    not_ready: Vec<usize>,
    again: Option<Instant>,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Index {
    /// The last document that was routed by.
    routed: Option<Found>,
    /// A newer one, as long as nobody knows whether it can be routed by.
    offered: Option<Found>,
    /// By name of the slice.
    slices: BTreeMap<String, Vec<Endpoint>>,
    /// Pods whose endpoint was ready at some time.
    were_ready: HashSet<String>,
    /// Pods that the document has named since then, and whose endpoint was not.
    trusted: HashMap<String, Instant>,
    /// The one Pod that could serve, and since when it is called not ready.
    alone: Option<(usize, Instant)>,
}

// === impl Index ===

impl Index {
    /// Begins with a document of an earlier life: what is found is compared with it.
    pub fn resume(&mut self, found: Found) {
        self.routed = Some(found);
    }

    /// A document was found. Epochs never go back, unless the object that holds it was made anew: its counter is then
    /// another one, or its writer could not know how far the lost one had come.
    pub fn offer(&mut self, found: Found, now: Instant) -> Offer {
        let present = self.offered.as_ref().or(self.routed.as_ref());
        if let Some(present) = present {
            if *present == found {
                return Offer::Same;
            }
            if present.uid == found.uid && found.document.epoch < present.document.epoch {
                return Offer::Older(present.document.epoch);
            }
            let known: HashSet<&str> = pods(&present.document).collect();
            let new = pods(&found.document).filter(|pod| !known.contains(pod) && !self.were_ready.contains(*pod));
            self.trusted
                .extend(new.map(|pod| (pod.to_owned(), now)).collect::<Vec<_>>());
        }
        let named: HashSet<&str> = pods(&found.document).collect();
        self.trusted.retain(|pod, _| named.contains(pod.as_str()));
        self.offered = Some(found);
        Offer::Taken
    }

    /// What was resolved is routed by.
    pub fn accept(&mut self) {
        if let Some(found) = self.offered.take() {
            self.routed = Some(found);
        }
    }

    /// What was offered can not be routed by: the document before it stays in force. Whether there was an offer.
    pub fn reject(&mut self) -> bool {
        self.offered.take().is_some()
    }

    /// The document in force, as it was found.
    #[must_use]
    pub fn found(&self) -> Option<&Found> {
        self.offered.as_ref().or(self.routed.as_ref())
    }

    /// A slice is new or was changed.
    pub fn apply(&mut self, slice: String, endpoints: Vec<Endpoint>) {
        self.slices.insert(slice, endpoints);
        self.note_ready();
    }

    /// A slice is gone.
    pub fn delete(&mut self, slice: &str) {
        self.slices.remove(slice);
        self.note_ready();
    }

    /// These slices are all.
    pub fn reset(&mut self, slices: impl IntoIterator<Item = (String, Vec<Endpoint>)>) {
        self.slices = slices.into_iter().collect();
        self.note_ready();
    }

    /// What to route by, where a document is known.
    #[must_use]
    pub fn resolve(&mut self, now: Instant) -> Option<Resolved> {
        let Found { document, .. } = self.found()?;
        let mut by_pod: HashMap<&str, Vec<&Endpoint>> = HashMap::new();
        for endpoint in self.slices.values().flatten() {
            by_pod.entry(&endpoint.pod).or_default().push(endpoint);
        }
        let mut words = Words::default();
        let mut members: Vec<RoutedMember> = Vec::with_capacity(document.members.len());
        for (seat, member) in document.members.iter().enumerate() {
            let mut resolved = member.clone();
            let endpoints = member.pod.as_deref().and_then(|pod| by_pod.get(pod));
            if let Some(endpoints) = endpoints {
                resolved.address = address(member, endpoints);
                if let Some(protocol) = endpoints.iter().find_map(|it| it.protocol) {
                    resolved.protocol = protocol;
                }
            }
            if member.state == SeatState::Serving {
                let word = endpoints.map_or(Word::Serves, |endpoints| self.word(endpoints, now));
                if !words.note(seat, word) {
                    resolved.state = SeatState::Vacant;
                }
            }
            members.push(resolved);
        }
        let alone = words.alone_since(self.alone, now);
        let mut doubted = Vec::new();
        for seat in words.doubted(alone, now) {
            if let Some(member) = members.get_mut(seat) {
                member.state = SeatState::Serving;
                doubted.extend(member.pod.clone());
            }
        }
        let document = RoutingDocument {
            members,
            ..document.clone()
        };
        self.alone = alone;
        Some(Resolved {
            document,
            doubted,
            again: words.again,
        })
    }

    /// The document in force with the addresses that are known, and everybody in the state that it says: what is worth
    /// to be kept for a time when nobody tells who is ready.
    #[must_use]
    pub fn keep(&self, resolved: &RoutingDocument) -> Option<Found> {
        let Found { uid, document } = self.found()?;
        let mut kept = document.clone();
        for (member, resolved) in kept.members.iter_mut().zip(&resolved.members) {
            member.address.clone_from(&resolved.address);
            member.protocol = resolved.protocol;
        }
        let uid = uid.clone();
        Some(Found { uid, document: kept })
    }

    /// What the endpoints of a Pod say that the document calls serving.
    fn word(&self, endpoints: &[&Endpoint], now: Instant) -> Word {
        if endpoints.iter().any(|it| it.ready && !it.terminating) {
            return Word::Serves;
        }
        if endpoints.iter().all(|it| it.terminating) {
            return Word::Ends;
        }
        let named = endpoints.first().and_then(|it| self.trusted.get(&it.pod));
        match named.map(|named| *named + TRUST).filter(|end| *end > now) {
            Some(end) => Word::Trusted(end),
            None => Word::NotReady,
        }
    }

    fn note_ready(&mut self) {
        let endpoints = self.slices.values().flatten();
        let there: HashSet<&str> = endpoints.clone().map(|it| it.pod.as_str()).collect();
        self.were_ready.retain(|pod| there.contains(pod.as_str()));
        let ready = endpoints.filter(|it| it.ready).map(|it| it.pod.clone());
        self.were_ready.extend(ready);
        self.trusted.retain(|pod, _| !self.were_ready.contains(pod));
    }
}

// === impl Words ===

impl Words {
    /// Notes a seat; whether it serves as far as this word goes.
    fn note(&mut self, seat: usize, word: Word) -> bool {
        match word {
            Word::Serves => self.serving += 1,
            Word::Trusted(end) => {
                self.serving += 1;
                self.look_again(end);
            }
            Word::NotReady => self.not_ready.push(seat),
            Word::Ends => {}
        }
        matches!(word, Word::Serves | Word::Trusted(_))
    }

    /// The seat that could serve and is called not ready, where all others are away, and since when. Those that end count on
    /// neither side: somebody has deleted them, whatever the nodes' state. Neither do those that the document calls vacant: the
    /// operator has looked at these itself.
    fn alone_since(&self, before: Option<(usize, Instant)>, now: Instant) -> Option<(usize, Instant)> {
        match self.not_ready[..] {
            [seat] if self.serving == 0 => Some(before.filter(|(before, _)| *before == seat).unwrap_or((seat, now))),
            _ => None,
        }
    }

    /// The seats that are called not ready, where those are too many to be believed, or where it is the last one and that is
    /// new.
    fn doubted(&mut self, alone: Option<(usize, Instant)>, now: Instant) -> Vec<usize> {
        let end = alone.map(|(_, since)| since + ALONE);
        if end.is_some_and(|end| end <= now) || self.not_ready.len() <= self.serving {
            return Vec::new();
        }
        if let Some(end) = end {
            self.look_again(end);
        }
        std::mem::take(&mut self.not_ready)
    }

    fn look_again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

/// The Pods that a document names.
fn pods(document: &RoutingDocument) -> impl Iterator<Item = &str> {
    document.members.iter().filter_map(|member| member.pod.as_deref())
}

/// Where a member listens: of several endpoints (a Pod may be in two slices for a moment, or have two families of
/// addresses) the one that the document knows, of its family at least, and a ready one rather than another.
fn address(member: &RoutedMember, endpoints: &[&Endpoint]) -> Option<String> {
    let said: Option<SocketAddr> = member.address.as_ref().and_then(|text| text.parse().ok());
    let fitness = |it: &&(SocketAddr, bool)| {
        let (address, ready) = it;
        let family = said.map_or(address.is_ipv4(), |said| said.is_ipv4() == address.is_ipv4());
        (family, *ready, said == Some(*address))
    };
    let known: Vec<_> = endpoints
        .iter()
        .filter_map(|it| Some((it.address?, it.ready && !it.terminating)))
        .collect();
    match known.iter().max_by_key(fitness) {
        Some((address, _)) => Some(address.to_string()),
        None => member.address.clone(),
    }
}

#[cfg(test)]
mod tests;
