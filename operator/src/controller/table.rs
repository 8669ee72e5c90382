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
    /// Fills in the digest. A new table is built from the last one, on a thread of its own kind: it takes milliseconds.
    pub async fn stamp(&mut self, document: &mut RoutingDocument) -> Result<(), Error> {
        let epoch = document.epoch;
        let algorithm = algorithm(document.routing.algorithm);
        let members: Vec<Member> = document
            .members
            .iter()
            .map(|member| Member::weighted(member.name.as_str(), member.weight))
            .collect();
        let last = self.last.take();
        let table = match last {
            Some((of, table)) if of == algorithm && table.members() == members => table,
            last => {
                let make = move || match last {
                    Some((_, table)) => table.change(algorithm, &members),
                    None => Table::build_with(algorithm, &members),
                };
                let built = tokio::task::spawn_blocking(make)
                    .await
                    .map_err(|_| Error::TableLost { epoch })?;
                Arc::new(built.map_err(|source| Error::Table { epoch, source })?)
            }
        };
        document.digest = format!("{:016x}", table.digest());
        self.last = Some((algorithm, table));
        Ok(())
    }
}

const fn algorithm(algorithm: pool::Algorithm) -> Algorithm {
    match algorithm {
        pool::Algorithm::Rendezvous => Algorithm::Rendezvous,
        pool::Algorithm::Ring => Algorithm::Ring,
        pool::Algorithm::Maglev => Algorithm::Maglev,
        pool::Algorithm::Classroom => Algorithm::Classroom,
    }
}
