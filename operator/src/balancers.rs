//! The balancers in front of a pool, as the controller sees them.

use std::sync::Arc;

use lbpool_api::RoutingDocument;
use lbpool_core::{BalancerReport, Balancing};

/// Why balancers did not take a routing document: their own words.
#[derive(Debug, thiserror::Error)]
#[error("the balancers did not take the routing document")]
pub struct Refused(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Who routes requests by the documents that the controller publishes.
pub trait Balancers: Send + Sync {
    /// Hands out a routing document. On one machine it returns when every worker routes by it; in a cluster when it is
    /// stored, and [`Balancers::reports`] tells who has it.
    fn publish(&self, document: &RoutingDocument) -> impl Future<Output = Result<(), Refused>> + Send;

    /// What each balancer says about itself; one that does not answer is listed with epoch 0.
    fn reports(&self) -> impl Future<Output = Vec<BalancerReport>> + Send;

    /// Which of them answer requests, as far as was seen; asked in every pass, so it asks nobody.
    fn balancing(&self) -> Balancing {
        Balancing::default()
    }

    /// The document that is stored, whoever wrote it: asked before the first pass, and where [`Balancers::is_current`]
    /// says no. `last` is what the controller knows; where nothing is stored but with it, that is the answer.
    fn stored(
        &self,
        last: Option<RoutingDocument>,
    ) -> impl Future<Output = Result<Option<RoutingDocument>, Refused>> + Send {
        async { Ok(last) }
    }

    /// Whether what is stored is still what was published last.
    fn is_current(&self) -> bool {
        true
    }
}

impl<B: Balancers> Balancers for Arc<B> {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        B::publish(self, document).await
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        B::reports(self).await
    }

    fn balancing(&self) -> Balancing {
        B::balancing(self)
    }

    async fn stored(&self, last: Option<RoutingDocument>) -> Result<Option<RoutingDocument>, Refused> {
        B::stored(self, last).await
    }

    fn is_current(&self) -> bool {
        B::is_current(self)
    }
}
