//! The digest that a document carries: of the table that its members make.

use std::sync::Arc;

use lbpool_api::{RoutingDocument, pool};
use lbpool_ring::{Algorithm, Member, Table};

use crate::Error;

/// The table of the last document. Who sits in a seat is not in it, so most documents need no other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    last: Option<(Algorithm, Arc<Table>)>,
}

impl Tables {
    /// Fills in the digest, and returns the share of the slots that change hands. A new table is built from the last one,
    /// on a thread of its own kind: it takes milliseconds.
    pub async fn stamp(&mut self, document: &mut RoutingDocument) -> Result<f64, Error> {
        let mut moved = 0.0;
        let epoch = document.epoch;
        let (algorithm, members) = parts(document);
        let last = self.last.take();
        let table = match last {
            Some((of, table)) if of == algorithm && table.members() == members => table,
            last => {
                let make = move || match last {
                    Some((_, before)) => {
                        let table = before.change(algorithm, &members)?;
                        let moved = table.moved_from(&before);
                        Ok((table, moved))
                    }
                    None => Table::build_with(algorithm, &members).map(|table| (table, 0.0)),
                };
                let built = tokio::task::spawn_blocking(make)
                    .await
                    .map_err(|_| Error::TableLost { epoch })?;
                let (table, share) = built.map_err(|source| Error::Table { epoch, source })?;
                moved = share;
                Arc::new(table)
            }
        };
        document.digest = format!("{:016x}", table.digest());
        self.last = Some((algorithm, table));
        Ok(moved)
    }
}

/// What the table of a document is built from.
pub(crate) fn parts(document: &RoutingDocument) -> (Algorithm, Vec<Member>) {
    let members = document
        .members
        .iter()
        .map(|member| Member::weighted(member.name.as_str(), member.weight));
    (algorithm(document.routing.algorithm), members.collect())
}

const fn algorithm(algorithm: pool::Algorithm) -> Algorithm {
    match algorithm {
        pool::Algorithm::Rendezvous => Algorithm::Rendezvous,
        pool::Algorithm::Ring => Algorithm::Ring,
        pool::Algorithm::Maglev => Algorithm::Maglev,
        pool::Algorithm::Classroom => Algorithm::Classroom,
    }
}
