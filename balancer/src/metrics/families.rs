//! Every family, its help and its values.

use std::sync::atomic::Ordering::Relaxed;

use super::{Family, Kind, Out, Seen};
use crate::{
    proxy::error::Reason,
    stats::{Abuse, BUCKETS, Count, Handshake, Hold, Retry, Spill, TunnelEnd, WorkerStats},
};

/// Labels of [`WorkerStats::requests`], in its order.
const CLASSES: [&str; 6] = ["aborted", "1xx", "2xx", "3xx", "4xx", "5xx"];
const MEMBER: &[&str] = &["member"];

/// Every family that a balancer has, [`lbpool_daemon::PhaseMetrics`]'s aside.
pub const FAMILIES: &[Family] = &[
    // --- the table ---
    Family {
        name: "lbpool_table_info",
        kind: Kind::Gauge,
        labels: &["pool", "algorithm", "digest"],
        help: "Always 1. The table that is routed by: balancers with the same digest route alike",
        read: |seen, out| {
            let algorithm = format!("{:?}", seen.snapshot.routing.algorithm);
            out.labelled(&[&seen.snapshot.pool, &algorithm, &seen.snapshot.digest], 1);
        },
    },
    Family {
        name: "lbpool_table_epoch",
        kind: Kind::Gauge,
        labels: &[],
        help: "Epoch of the routing document that all workers route by; 0 before the first",
        read: |seen, out| out.put(seen.shared.epoch()),
    },
    Family {
        name: "lbpool_table_members",
        kind: Kind::Gauge,
        labels: &[],
        help: "Seats of the table",
        read: |seen, out| out.put(seen.snapshot.members.len() as u64),
    },
    Family {
        name: "lbpool_table_changes",
        kind: Kind::Counter,
        labels: &[],
        help: "Routing documents that were put into use",
        read: |seen, out| out.put(seen.shared.tables()),
    },
    Family {
        name: "lbpool_table_moved_ratio",
        kind: Kind::Gauge,
        labels: &[],
        help: "Share of the key space that changed hands with the present routing document",
        read: |seen, out| out.put(seen.snapshot.moved),
    },
    Family {
        name: "lbpool_table_moved_shares",
        kind: Kind::Counter,
        labels: &[],
        help: "Sum of those shares over all routing documents so far",
        read: |seen, out| out.put(seen.shared.moved()),
    },
    // --- members ---
    Family {
        name: "lbpool_member_ready",
        kind: Kind::Gauge,
        labels: MEMBER,
        help: "1 where requests may go to the member: its document says that it serves, and it is neither ejected nor ill",
        read: |seen, out| members(seen, out, |member| Some(member.ready(seen.now).is_some().into())),
    },
    Family {
        name: "lbpool_member_ejected",
        kind: Kind::Gauge,
        labels: MEMBER,
        help: "1 while the member is ejected for failures of its requests",
        read: |seen, out| {
            members(seen, out, |member| {
                Some(u64::from(!member.target.as_ref()?.breaker().admits(seen.now)))
            });
        },
    },
    Family {
        name: "lbpool_member_key_share_ratio",
        kind: Kind::Gauge,
        labels: MEMBER,
        help: "Share of the key space that the member owns",
        read: |seen, out| {
            for (member, share) in seen.snapshot.members.iter().zip(&seen.shares) {
                out.labelled(&[&member.name], *share);
            }
        },
    },
    Family {
        name: "lbpool_member_requests",
        kind: Kind::Counter,
        labels: MEMBER,
        help: "Requests sent to what sits in the seat, each time of a repeated one counted; starts again with a successor",
        read: |seen, out| members(seen, out, |member| Some(member.target.as_ref()?.requests())),
    },
    Family {
        name: "lbpool_member_failures",
        kind: Kind::Counter,
        labels: MEMBER,
        help: "Failures that it caused: connections that did not come about, or ended before the answer did",
        read: |seen, out| members(seen, out, |member| Some(member.target.as_ref()?.failures())),
    },
    Family {
        name: "lbpool_member_in_flight",
        kind: Kind::Gauge,
        labels: MEMBER,
        help: "Requests in flight on the member",
        read: |seen, out| members(seen, out, |member| Some(member.target.as_ref()?.in_flight())),
    },
    // --- requests ---
    Family {
        name: "lbpool_requests",
        kind: Kind::Counter,
        labels: &["class"],
        help: "Requests by class of their status; aborted: the client went away before the answer",
        read: |seen, out| closed(seen, out, &CLASSES, |stats| &stats.requests),
    },
    Family {
        name: "lbpool_request_duration_seconds",
        kind: Kind::Histogram,
        labels: &[],
        help: "Time from the end of a request's head to the end of its answer",
        read: latency,
    },
    Family {
        name: "lbpool_requests_in_flight",
        kind: Kind::Gauge,
        labels: &[],
        help: "Requests that are read, held, or sent",
        read: |seen, out| out.put(seen.sum(|stats| &stats.in_flight)),
    },
    Family {
        name: "lbpool_requests_held",
        kind: Kind::Gauge,
        labels: &[],
        help: "Requests that wait for a member that is away (whenAway: Hold)",
        read: |seen, out| out.put(seen.sum(|stats| &stats.held)),
    },
    Family {
        name: "lbpool_holds",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Requests that waited: returned went to their member, timed_out and full spilled",
        read: |seen, out| closed(seen, out, &labels(Hold::ALL, Hold::label), |stats| &stats.holds),
    },
    Family {
        name: "lbpool_spills",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Requests that went to another member than their key's: it is away, above the load bound, or failed",
        read: |seen, out| closed(seen, out, &labels(Spill::ALL, Spill::label), |stats| &stats.spills),
    },
    Family {
        name: "lbpool_retries",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Requests that were sent again: no connection, a kept connection that was closed, reset before the answer, hung: neither an answer nor a good probe, or refused over HTTP/2 before it was looked at",
        read: |seen, out| closed(seen, out, &labels(Retry::ALL, Retry::label), |stats| &stats.retries),
    },
    Family {
        name: "lbpool_retries_denied",
        kind: Kind::Counter,
        labels: &[],
        help: "Requests that were not sent again because the budget was used up",
        read: |seen, out| out.put(seen.sum(|stats| &stats.retries_denied)),
    },
    Family {
        name: "lbpool_own_answers",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Answers that no member gave, by their X-Lbpool-Reason",
        read: |seen, out| closed(seen, out, &labels(Reason::ALL, Reason::label), |stats| &stats.replies),
    },
    // --- connections ---
    Family {
        name: "lbpool_connections",
        kind: Kind::Gauge,
        labels: &[],
        help: "Client connections that are open",
        read: |seen, out| out.put(seen.sum(|stats| &stats.connections)),
    },
    Family {
        name: "lbpool_connections_accepted",
        kind: Kind::Counter,
        labels: &[],
        help: "Client connections accepted",
        read: |seen, out| out.put(seen.sum(|stats| &stats.accepted)),
    },
    Family {
        name: "lbpool_http2_connections",
        kind: Kind::Gauge,
        labels: &[],
        help: "Client connections over HTTP/2 that are open: some of lbpool_connections",
        read: |seen, out| out.put(seen.sum(|stats| &stats.http2_connections)),
    },
    Family {
        name: "lbpool_http2_connections_accepted",
        kind: Kind::Counter,
        labels: &[],
        help: "Client connections over HTTP/2 accepted: some of lbpool_connections_accepted",
        read: |seen, out| out.put(seen.sum(|stats| &stats.http2_accepted)),
    },
    Family {
        name: "lbpool_http2_requests",
        kind: Kind::Counter,
        labels: &[],
        help: "Requests that came over HTTP/2: some of lbpool_requests",
        read: |seen, out| out.put(seen.sum(|stats| &stats.http2_requests)),
    },
    Family {
        name: "lbpool_http2_abuses",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "HTTP/2 connections that were ended because of what the client cost: streams that it reset at once, or frames that ask for nothing",
        read: |seen, out| {
            closed(seen, out, &labels(Abuse::ALL, Abuse::label), |stats| {
                &stats.http2_abuses
            });
        },
    },
    Family {
        name: "lbpool_client_aborts",
        kind: Kind::Counter,
        labels: &[],
        help: "Clients that went away in the middle of a request",
        read: |seen, out| out.put(seen.sum(|stats| &stats.client_aborts)),
    },
    Family {
        name: "lbpool_upstream_connects",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections made to members",
        read: |seen, out| out.put(seen.sum(|stats| &stats.upstream_connects)),
    },
    Family {
        name: "lbpool_upstream_connect_failures",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections to members that did not come about",
        read: |seen, out| out.put(seen.sum(|stats| &stats.upstream_connect_failures)),
    },
    Family {
        name: "lbpool_upstream_reuses",
        kind: Kind::Counter,
        labels: &[],
        help: "Requests that were sent over a kept connection",
        read: |seen, out| out.put(seen.sum(|stats| &stats.upstream_reuses)),
    },
    // --- tunnels ---
    Family {
        name: "lbpool_tunnels",
        kind: Kind::Gauge,
        labels: &[],
        help: "Tunnels (upgraded connections, such as WebSockets) that are open; each is in flight on its member",
        read: |seen, out| out.put(seen.sum(|stats| &stats.tunnels)),
    },
    Family {
        name: "lbpool_tunnels_opened",
        kind: Kind::Counter,
        labels: &[],
        help: "Tunnels opened: requests that a member answered with 101",
        read: |seen, out| out.put(seen.sum(|stats| &stats.tunnels_opened)),
    },
    Family {
        name: "lbpool_tunnel_ends",
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Tunnels that ended: finished by both sides, idle for --tunnel-idle, dismissed because their member left or the balancer ended, or broken by a connection that did",
        read: |seen, out| {
            closed(seen, out, &labels(TunnelEnd::ALL, TunnelEnd::label), |stats| {
                &stats.tunnel_ends
            });
        },
    },
    Family {
        name: "lbpool_tunnel_bytes",
        kind: Kind::Counter,
        labels: &["direction"],
        help: "Bytes that went through tunnels",
        read: |seen, out| {
            out.labelled(&["to_member"], seen.sum(|stats| &stats.tunnel_up));
            out.labelled(&["to_client"], seen.sum(|stats| &stats.tunnel_down));
        },
    },
    // --- TLS ---
    Family {
        name: "lbpool_tls_handshakes",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Handshakes of clients: done, failed, timed_out, or plain where the client spoke no TLS",
        read: |seen, out| {
            closed(seen, out, &labels(Handshake::ALL, Handshake::label), |stats| {
                &stats.handshakes
            });
        },
    },
    Family {
        name: "lbpool_tls_certificate_reads",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Times that --tls-cert and --tls-key were read: used, or refused with the certificate before kept",
        read: |seen, out| {
            let identity = seen.shared.config.tls.as_ref();
            out.labelled(&["used"], identity.map_or(0, |identity| identity.used.get()));
            out.labelled(&["refused"], identity.map_or(0, |identity| identity.refused.get()));
        },
    },
    Family {
        name: "lbpool_tls_certificate_refused",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while the files of --tls-cert and --tls-key are wrong or missing, and what they said before is used: the log says why",
        read: |seen, out| {
            let identity = seen.shared.config.tls.as_ref();
            out.put(identity.is_some_and(|identity| identity.is_refused.load(Relaxed)));
        },
    },
    // --- the process ---
    Family {
        name: "lbpool_workers",
        kind: Kind::Gauge,
        labels: &[],
        help: "Worker threads",
        read: |seen, out| out.put(seen.shared.stats().len() as u64),
    },
    Family {
        name: "lbpool_panics",
        kind: Kind::Counter,
        labels: &[],
        help: "Connections lost to a bug of ours: please report it",
        read: |seen, out| out.put(seen.sum(|stats| &stats.panics)),
    },
    Family {
        name: "lbpool_members_file_reads",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Changes of the members file: routed, or refused with the routing before it kept",
        read: |seen, out| {
            if let Some(file) = seen.file {
                out.labelled(&["routed"], file.routed.load(Relaxed));
                out.labelled(&["refused"], file.refused.load(Relaxed));
            }
        },
    },
    Family {
        name: "lbpool_members_file_refused",
        kind: Kind::Gauge,
        labels: &[],
        help: "1 while the members file is wrong or missing, and what it said before is routed by: the log says why",
        read: |seen, out| {
            if let Some(file) = seen.file {
                out.put(file.is_refused.load(Relaxed));
            }
        },
    },
    // --- a cluster ---
    Family {
        name: "lbpool_balancer_routing_delay_seconds",
        kind: Kind::Histogram,
        labels: &[],
        help: "In a cluster: time from a watch's event to all workers routing by what it changed",
        read: |seen, out| {
            if let Some(cluster) = seen.cluster {
                let counts: Vec<u64> = cluster.delay.iter().map(Count::get).collect();
                micros(&counts, cluster.delay_sum.get(), out);
            }
        },
    },
    Family {
        name: "lbpool_routing_documents",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "In a cluster: routing documents that were routed, refused as wrong (the log says why), or older than the one before",
        read: |seen, out| {
            if let Some(cluster) = seen.cluster {
                out.labelled(&["routed"], cluster.routed.get());
                out.labelled(&["refused"], cluster.refused.get());
                out.labelled(&["older"], cluster.older.get());
            }
        },
    },
    Family {
        name: "lbpool_discovery_doubted_members",
        kind: Kind::Gauge,
        labels: &[],
        help: "In a cluster: members that are routed to although their endpoints are not ready, because most endpoints are not ready at once, or that of the last one; 0 in quiet times",
        read: |seen, out| {
            if let Some(cluster) = seen.cluster {
                out.put(cluster.doubted.load(Relaxed));
            }
        },
    },
    Family {
        name: "lbpool_discovery_errors",
        kind: Kind::Counter,
        labels: &["what"],
        help: "In a cluster: lists and watches that the API server refused or did not answer; routing goes on by what is known",
        read: |seen, out| {
            if let Some(cluster) = seen.cluster {
                out.labelled(&["document"], cluster.document_errors.get());
                out.labelled(&["endpoints"], cluster.endpoint_errors.get());
            }
        },
    },
    Family {
        name: "lbpool_snapshot_writes",
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "In a cluster: writes of the snapshot that a restarted balancer routes by without the API server (--snapshot)",
        read: |seen, out| {
            if let Some(cluster) = seen.cluster {
                out.labelled(&["written"], cluster.written.get());
                out.labelled(&["failed"], cluster.unwritten.get());
            }
        },
    },
];

/// A value per seat of the table, for those that have one.
fn members(seen: &Seen<'_>, out: &mut Out<'_>, value: impl Fn(&crate::snapshot::Member) -> Option<u64>) {
    for member in &seen.snapshot.members {
        if let Some(value) = value(member) {
            out.labelled(&[&member.name], value);
        }
    }
}

/// A value per label of a closed set, zeros too: a rate has a start then.
fn closed<const N: usize>(
    seen: &Seen<'_>,
    out: &mut Out<'_>,
    labels: &[&str],
    counts: fn(&WorkerStats) -> &[Count; N],
) {
    for (i, label) in labels.iter().enumerate() {
        let sum: u64 = seen
            .shared
            .stats()
            .iter()
            .filter_map(|stats| counts(stats).get(i))
            .map(Count::get)
            .sum();
        out.labelled(&[label], sum);
    }
}

fn labels<T: Copy>(all: &[T], label: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(label).collect()
}

fn latency(seen: &Seen<'_>, out: &mut Out<'_>) {
    let stats = seen.shared.stats();
    let counts: Vec<u64> = (0..BUCKETS)
        .map(|i| stats.iter().map(|stats| stats.latency[i].get()).sum())
        .collect();
    micros(&counts, seen.sum(|stats| &stats.latency_sum), out);
}

/// A histogram of microseconds, by [`BUCKETS`].
#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years of microseconds")]
fn micros(counts: &[u64], sum: u64, out: &mut Out<'_>) {
    let bound = |i: usize| {
        if i == BUCKETS - 1 {
            f64::INFINITY
        } else {
            (1_u64 << i) as f64 / 1e6
        }
    };
    let buckets: Vec<(f64, u64)> = counts.iter().enumerate().map(|(i, n)| (bound(i), *n)).collect();
    out.histogram(&buckets, sum as f64 / 1e6);
}
