//! The cases, worked through side by side: most of them end with a wait for what does not come.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    case::{Case, Cases, escaped},
    client::{self, Activity},
    outcome::Outcome,
    proxies::{Commands, Proxy},
};

/// Sets of proxies.
const LANES: usize = 8;

/// What there is to do, and what came of it.
pub(crate) struct Work {
    pub(crate) cases: Cases,
    /// Only cases whose name has this in it, and all bytes are shown.
    only: Option<String>,
    /// How many of the cases were begun, or left out.
    begun: Cell<usize>,
    pub(crate) outcomes: RefCell<BTreeMap<String, [Outcome; 3]>>,
}

/// A set of proxies, one case at a time.
struct Lane {
    proxies: [Proxy; 3],
    _folder: TempDir,
}

// === impl Work ===

impl Work {
    pub(crate) fn new(cases: Cases, only: Option<String>) -> Self {
        Self {
            cases,
            only,
            begun: Cell::new(0),
            outcomes: RefCell::default(),
        }
    }

    /// Works through all cases.
    pub(crate) async fn all(self: &Rc<Self>, commands: &Commands) -> anyhow::Result<()> {
        // What is shown is in the order of the file.
        let lanes = if self.only.is_some() { 1 } else { LANES };
        let mut ready = Vec::new();
        // One after the other, and before the first case: each looks for free ports.
        for _ in 0..lanes {
            ready.push(Lane::start(commands).await?);
        }
        let mut working = JoinSet::new();
        for lane in ready {
            working.spawn_local(lane.run(Rc::clone(self)));
        }
        while let Some(ended) = working.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// The next case that nobody has begun.
    fn next(&self) -> Option<&Case> {
        loop {
            let case = self.cases.all().nth(self.begun.get())?;
            self.begun.set(self.begun.get() + 1);
            if self.only.as_ref().is_none_or(|only| case.name.contains(only)) {
                return Some(case);
            }
        }
    }
}

// === impl Lane ===

impl Lane {
    async fn start(commands: &Commands) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            proxies: Proxy::start_all(commands, folder.path()).await?,
            _folder: folder,
        })
    }

    async fn run(mut self, work: Rc<Work>) -> anyhow::Result<()> {
        while let Some(case) = work.next() {
            let [ours, haproxy, nginx] = &self.proxies;
            let shown = work.only.is_some();
            let (ours, haproxy, nginx) = tokio::try_join!(
                play(case, ours, shown),
                play(case, haproxy, shown),
                play(case, nginx, shown)
            )?;
            let outcomes = [ours, haproxy, nginx];
            work.outcomes.borrow_mut().insert(case.name.clone(), outcomes);
            for proxy in &mut self.proxies {
                proxy.check().with_context(|| format!("after `{}`", case.name))?;
            }
        }
        Ok(())
    }
}

/// Sends a case through one proxy.
async fn play(case: &Case, proxy: &Proxy, shown: bool) -> anyhow::Result<Outcome> {
    let activity = Activity::default();
    proxy.origin.play(case, &activity).await?;
    let got = client::ask(proxy.address, &case.send.bytes()?, &activity).await?;
    let connections = proxy.origin.stop().await;
    let outcome = Outcome::of(case, &connections, &got)?;
    if shown {
        println!("{}, {}: {outcome:?}", case.name, proxy.name);
        for bytes in &connections {
            println!("  origin: {}", escaped(bytes));
        }
        println!("  client: {}", escaped(&got.bytes));
    }
    Ok(outcome)
}
