//! Schemas of the Kubernetes types that the resource embeds: their structure, without their descriptions.
//!
//! With descriptions the CRD has 342 KB and `kubectl apply` refuses it (its annotation may have 262,144 bytes); without
//! a structure a typo in a template would pass unseen.

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, PodTemplateSpec, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use schemars::{
    JsonSchema, Schema, SchemaGenerator, json_schema,
    transform::{Transform, transform_subschemas},
};

/// A name of a header or cookie (RFC 9110, 5.6.2).
pub(crate) const TOKEN: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
/// A JSON pointer (RFC 6901) to something within a value.
pub(crate) const POINTER: &str = "^(/([^~/]|~[01])*)+$";
/// A path as it stands in a request.
pub(crate) const PATH: &str = "^/[!-\"$-~]*$";

/// A name of a Secret (RFC 1123, in lower case).
pub(crate) const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

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

/// Limits apply to a number, the pattern to a name.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 65535,
        "pattern": "^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$",
    })
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
