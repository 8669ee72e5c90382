//! The pool of a run, and what people do to it.

use lbpool_api::{LoadBalancerPool, pool::Member};
use lbpool_core::{ValidPool, validate};
use serde_json::json;

use super::rng::Rng;

/// Image that never gets ready.
const BAD: &str = "bad";
const IMAGES: [&str; 4] = ["v1", "v2", "v3", BAD];
/// (maxSurge, maxUnavailable): fixed for a run, so that the bound is known at any moment.
const UPDATES: [(u32, u32); 6] = [(1, 0), (2, 0), (0, 1), (1, 1), (0, 2), (3, 2)];
const NAMES: [&str; 4] = ["S1", "S10", "s5", "web-1"];

pub(crate) struct Pool {
    resource: LoadBalancerPool,
    pub(crate) valid: ValidPool,
}

impl Pool {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let (surge, unavailable) = *rng.pick(&UPDATES);
        let resource: LoadBalancerPool = serde_json::from_value(json!({
            "apiVersion": "lbpool.dev/v1alpha1",
            "kind": "LoadBalancerPool",
            "metadata": {"name": "web", "uid": "u", "generation": 1},
            "spec": {
                "replicas": 1 + rng.below(4),
                "template": {"spec": {"containers": [{"name": "main", "image": "v1"}]}},
                "update": {"maxSurge": surge, "maxUnavailable": unavailable, "drainTimeout": "4s", "progressDeadline": "20s"},
            },
        }))
        .unwrap();
        let valid = validate(&resource).unwrap();
        Self { resource, valid }
    }

    /// One random edit; one that makes the pool invalid is refused, as it is in life.
    pub(crate) fn edit(&mut self, rng: &mut Rng) -> &'static str {
        let mut edited = self.resource.clone();
        let spec = &mut edited.spec;
        let what = match rng.below(10) {
            0..=2 => {
                spec.replicas = i32::try_from(rng.below(7)).unwrap();
                "scale"
            }
            3..=5 => {
                let image = *rng.pick(&IMAGES);
                set_image(spec, image);
                "template"
            }
            6 => {
                let name = rng.pick(&NAMES).parse().unwrap();
                match spec.members.iter().position(|member| member.name == name) {
                    Some(at) => drop(spec.members.remove(at)),
                    None => spec.members.push(Member { name, weight: 1 }),
                }
                "members"
            }
            7 => {
                if let Some(member) = spec.members.first_mut() {
                    member.weight = 1 + u32::try_from(rng.below(4)).unwrap();
                }
                spec.members.reverse();
                "weights"
            }
            8 => {
                let name = format!("web-{}", rng.below(4)).parse().unwrap();
                match spec.retired.iter().position(|retired| *retired == name) {
                    Some(at) => drop(spec.retired.remove(at)),
                    None => spec.retired.push(name),
                }
                "retired"
            }
            _ if rng.chance(500) => {
                spec.update.paused = !spec.update.paused;
                "paused"
            }
            _ => {
                spec.routing.load_bound = 101 + u32::try_from(rng.below(3)).unwrap();
                "policy"
            }
        };
        self.accept(edited);
        what
    }

    /// What a run ends with: mostly a pool that can be served in full.
    pub(crate) fn mend(&mut self, rng: &mut Rng) {
        if rng.chance(250) {
            return;
        }
        let mut mended = self.resource.clone();
        mended.spec.update.paused = false;
        if self.is_bad() {
            set_image(&mut mended.spec, "v1");
        }
        self.accept(mended);
    }

    /// Its template never gets ready.
    pub(crate) fn is_bad(&self) -> bool {
        image(&self.valid) == BAD
    }

    /// All its seats can be served and updated.
    pub(crate) fn can_be_whole(&self) -> bool {
        !self.is_bad() && !self.valid.update.paused
    }

    fn accept(&mut self, mut edited: LoadBalancerPool) {
        edited.metadata.generation = edited.metadata.generation.map(|generation| generation + 1);
        if let Ok(valid) = validate(&edited) {
            self.resource = edited;
            self.valid = valid;
        }
    }
}

pub(crate) fn image(pool: &ValidPool) -> &str {
    pool.template.spec.as_ref().unwrap().containers[0]
        .image
        .as_deref()
        .unwrap()
}

fn set_image(spec: &mut lbpool_api::PoolSpec, image: &str) {
    spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
}
