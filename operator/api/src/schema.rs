//! Schemas of the Kubernetes types that the resource embeds: their structure, without their descriptions.
//!
//! With descriptions the CRD has 342 KB and `kubectl apply` refuses it (its annotation may have 262,144 bytes); without
//! a structure a typo in a template would pass unseen.

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, PodTemplateSpec, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    transform::{Transform, transform_subschemas},
};

struct WithoutDescriptions;

impl Transform for WithoutDescriptions {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove("description");
        transform_subschemas(self, schema);
    }
}

fn bare<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    WithoutDescriptions.transform(&mut schema);
    schema
}

pub(crate) fn template(generator: &mut SchemaGenerator) -> Schema {
    bare::<PodTemplateSpec>(generator)
}

pub(crate) fn resources(generator: &mut SchemaGenerator) -> Schema {
    bare::<ResourceRequirements>(generator)
}

pub(crate) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    bare::<Vec<Toleration>>(generator)
}

pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    bare::<Affinity>(generator)
}

pub(crate) fn spread(generator: &mut SchemaGenerator) -> Schema {
    bare::<Vec<TopologySpreadConstraint>>(generator)
}

pub(crate) fn pull_secrets(generator: &mut SchemaGenerator) -> Schema {
    bare::<Vec<LocalObjectReference>>(generator)
}
