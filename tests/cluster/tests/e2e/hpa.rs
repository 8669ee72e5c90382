//! An autoscaler scales a pool by its scale subresource.

use std::time::Duration;

use lbpool_tests_cluster::{Cluster, Namespace, Pool, kubectl, run, wait_for};

const LIMIT: Duration = Duration::from_secs(90);

/// The API of external metrics, by way of the harness' stub on the machine itself.
const METRICS: &str = "
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {namespace: kube-system, name: lbpool-e2e-metrics, port: 443}
---
apiVersion: v1
kind: Service
metadata: {namespace: kube-system, name: lbpool-e2e-metrics}
spec: {ports: [{port: 443, targetPort: 6444}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: kube-system, name: lbpool-e2e-metrics, labels: {kubernetes.io/service-name: lbpool-e2e-metrics}}
addressType: IPv4
ports: [{port: 6444}]
endpoints: [{addresses: [198.18.0.1]}]
";

const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: demo}
spec:
  scaleTargetRef: {apiVersion: lbpool.dev/v1alpha1, kind: LoadBalancerPool, name: demo}
  minReplicas: 2
  maxReplicas: 6
  metrics: [{type: External, external: {metric: {name: lbpool-e2e-requests}, target: {type: AverageValue, averageValue: '10'}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

struct Metrics;

impl Drop for Metrics {
    fn drop(&mut self) {
        // An API that nobody serves breaks discovery for everybody else.
        let _ = run("kubectl", &["delete", "--ignore-not-found", "-f", "-"], METRICS);
    }
}

#[test]
fn an_autoscaler_scales_a_pool_by_an_external_metric() {
    let Some(harness) = Cluster::get().harness_or_skip("an autoscaler") else {
        return;
    };
    let namespace = Namespace::new("hpa");
    let pool = namespace.pool(&Pool::default());
    harness.metric("lbpool-e2e-requests", 45);
    let _removed = Metrics;
    let _ = run("kubectl", &["apply", "-f", "-"], METRICS).ok();
    let _ = namespace.apply(AUTOSCALER).ok();
    let replicas = |wanted: u64| {
        wait_for(&format!("the autoscaler wants {wanted} replicas"), LIMIT, || {
            let replicas = pool.value()?["spec"]["replicas"].take();
            if replicas == wanted {
                Ok(())
            } else {
                Err(format!(
                    "{replicas}: {}",
                    kubectl(&["-n", namespace.name(), "describe", "hpa"]).stdout
                ))
            }
        });
    };
    replicas(5);
    pool.settled(5);
    harness.metric("lbpool-e2e-requests", 15);
    replicas(2);
    pool.settled(2);
    println!("{}", namespace.kubectl(&["get", "hpa"]).ok());
}
