//! One seed: faults and edits, then rest, again and again.

use lbpool_api::PoolStatus;
use lbpool_core::{Action, Observed, Plan};

use super::{
    driver::{Driver, Planner},
    pool::Pool,
    rng::Rng,
    rules::{self, Rule, Violation},
    world::{Effect, World},
};

/// Steps with faults, before each rest.
const UNREST: u64 = 220;
/// Steps after the last fault within which a pool comes to rest: six seats that are updated one after the other, each
/// waiting for a silent balancer until drainTimeout (20 steps).
const REST: u64 = 400;
/// So many passes in a row that do nothing are rest: longer than drainTimeout, so nothing is waited for.
const QUIET: u64 = 25;

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) made: u64,
    pub(crate) ended: u64,
    pub(crate) published: u64,
    /// How often it came to rest, and how often with every seat served.
    pub(crate) settled: u64,
    pub(crate) served: u64,
    /// Folds everything that happened: two runs of a seed are the same.
    pub(crate) trail: u64,
}

struct Run {
    rng: Rng,
    pool: Pool,
    world: World,
    driver: Driver,
    planner: Planner,
    status: PoolStatus,
    outcome: Outcome,
    trace: bool,
}

pub(crate) fn run(seed: u64, steps: u64, planner: Planner, trace: bool) -> Outcome {
    let mut rng = Rng::new(seed);
    let pool = Pool::new(&mut rng);
    let mut run = Run {
        rng,
        pool,
        world: World::new(),
        driver: Driver::default(),
        planner,
        status: PoolStatus::default(),
        outcome: Outcome::default(),
        trace,
    };
    if let Err((rule, text)) = run.all(steps) {
        let violation = Violation {
            rule,
            step: run.world.step,
            text,
        };
        run.say(|| format!("!! {violation}"));
        run.outcome.violation = Some(violation);
    }
    run.outcome
}

type Checked<T> = Result<T, (Rule, String)>;

impl Run {
    fn all(&mut self, steps: u64) -> Checked<()> {
        while self.world.step < steps {
            for _ in 0..UNREST {
                self.disturb();
                self.step(true)?;
            }
            self.pool.mend(&mut self.rng);
            self.come_to_rest()?;
        }
        Ok(())
    }

    fn come_to_rest(&mut self) -> Checked<()> {
        let mut quiet = 0;
        for _ in 0..REST {
            let pass = self.step(false)?;
            let idle = self.driver.is_idle() && pass.as_ref().is_some_and(|(_, plan)| plan.actions.is_empty());
            quiet = if idle { quiet + 1 } else { 0 };
            if quiet < QUIET {
                continue;
            }
            self.outcome.settled += 1;
            let Some((seen, _)) = pass else { return Ok(()) };
            if self.pool.can_be_whole() {
                if !rules::is_whole(&self.pool.valid, &seen) {
                    return Err((Rule::Settles, format!("at rest, but not as it should be: {seen:#?}")));
                }
                self.outcome.served += 1;
                return self.check_status();
            }
            return Ok(());
        }
        Err((Rule::Settles, format!("still busy {REST} steps after the last fault")))
    }

    fn check_status(&self) -> Checked<()> {
        let n = self.pool.valid.seats.len();
        let says = |kind: &str| {
            self.status
                .conditions
                .iter()
                .find(|it| it.type_ == kind)
                .map(|it| it.status.clone())
        };
        let conditions = ["Ready", "Progressing", "Degraded"].map(|kind| says(kind).unwrap_or_default());
        if self.status.ready == format!("{n}/{n}") && conditions == ["True", "False", "False"] {
            return Ok(());
        }
        Err((
            Rule::Silence,
            format!("all is well, but the status says {:#?}", self.status),
        ))
    }

    /// What people and processes do to it.
    fn disturb(&mut self) {
        if self.rng.chance(25) {
            let what = self.pool.edit(&mut self.rng);
            self.say(|| format!("edit: {what}"));
        }
        if self.rng.chance(4) {
            self.driver.restart(self.world.step);
            self.say(|| "the driver restarts".to_owned());
        }
    }

    fn step(&mut self, faults: bool) -> Checked<Option<(Observed, Plan)>> {
        self.world.step += 1;
        if self.pool.is_bad() && !self.world.bad.contains(&self.pool.valid.template_hash) {
            self.world.bad.push(self.pool.valid.template_hash.clone());
        }
        self.world.live(&mut self.rng, faults);
        for request in self.world.due(&mut self.rng) {
            let effect = self.world.apply(request, &mut self.rng);
            self.note(&effect)?;
        }
        rules::fleet(&self.pool.valid, &self.world)?;
        self.world.remember();
        self.pass(faults)
    }

    fn note(&mut self, effect: &Effect) -> Checked<()> {
        let what = match effect {
            Effect::Published => {
                self.outcome.published += 1;
                format!("published {}", self.world.epoch())
            }
            Effect::Made => {
                self.outcome.made += 1;
                self.world
                    .members
                    .last()
                    .map(|made| format!("made {} {}", made.it.id, made.it.name))
                    .unwrap_or_default()
            }
            Effect::Ended(place) => {
                self.outcome.ended += 1;
                let member = &self.world.members[*place];
                rules::ending(&self.pool.valid, &self.world, member)?;
                format!("ended {} {}", member.it.id, member.it.name)
            }
            Effect::Refused => "publication refused".to_owned(),
            Effect::Exists => "exists".to_owned(),
            Effect::Nothing => "nothing to end".to_owned(),
        };
        for byte in what.bytes() {
            self.outcome.trail = (self.outcome.trail ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.say(|| what);
        Ok(())
    }

    fn pass(&mut self, faults: bool) -> Checked<Option<(Observed, Plan)>> {
        let skipped = faults && self.rng.chance(300);
        if self.driver.is_down(self.world.step) || skipped || self.driver.settle(&mut self.world, &mut self.rng, faults)
        {
            return Ok(None);
        }
        let seen = self.driver.observe(&self.world, &mut self.rng, faults);
        let now = self.world.now();
        let plan = (self.planner)(&self.pool.valid, &seen, now);
        for action in &plan.actions {
            self.say(|| format!("plan: {}", brief(action)));
        }
        rules::plan(&self.pool.valid, &seen, &plan)?;
        if !faults || self.rng.chance(50) {
            self.status = lbpool_core::status(&self.pool.valid, &seen, &plan, &self.status, now);
        }
        self.driver.apply(plan.clone(), &mut self.world, &mut self.rng, faults);
        Ok(Some((seen, plan)))
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>5}  {}", self.world.step, what());
        }
    }
}

fn brief(action: &Action) -> String {
    match action {
        Action::Publish { document, reason } => {
            let members = document
                .members
                .iter()
                .map(|it| format!("{}={}", it.name, it.pod.as_deref().unwrap_or("-")));
            format!(
                "publish {} {reason:?}: {}",
                document.epoch,
                members.collect::<Vec<_>>().join(" ")
            )
        }
        Action::Create(create) => format!("create {} for {:?} {:?}", create.name, create.replaces, create.reason),
        Action::Delete(delete) => format!("delete {} {} {:?}", delete.id, delete.name, delete.reason),
    }
}
