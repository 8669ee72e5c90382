{{/*
What the operator may do with pools and what they are made of: in all namespaces by a ClusterRole, or in each of watchNamespaces by a
Role. Each rule names the code that needs it; `make chart-test` compares these names with the tree.
*/}}
{{- define "lbpool.namespacedRules" -}}
# operator/src/kubernetes/manager.rs: which pools there are, and what they want. Never written: only people and autoscalers change a spec.
- apiGroups: [lbpool.dev]
  resources: [loadbalancerpools]
  verbs: [get, list, watch]
# operator/src/kubernetes/report.rs: status of a pool, by server-side apply.
- apiGroups: [lbpool.dev]
  resources: [loadbalancerpools/status]
  verbs: [patch]
# operator/core/src/build.rs: owner references that block their owner's deletion. Asked for only where the admission plugin
# OwnerReferencesPermissionEnforcement is on.
- apiGroups: [lbpool.dev]
  resources: [loadbalancerpools/finalizers]
  verbs: [update]
# operator/src/fleet/kubernetes.rs: members are Pods, made and deleted by name and UID; operator/src/kubernetes/watch.rs follows them.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
# operator/src/kubernetes/balancers.rs: the routing document `<pool>-routing`, replaced by its resourceVersion. get, list and watch are also what
# operator/core/src/build/access.rs passes on to a pool's balancers: nobody may grant what he does not hold.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update]
# operator/core/src/build/access.rs: only held to be passed on, balancers read where their members are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# operator/src/kubernetes/report.rs: what happened to a pool, for `kubectl describe`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# operator/core/src/build/service.rs: the members' headless Service and the users' Service. This and all that follows is applied by
# operator/src/kubernetes/objects.rs and followed by operator/src/kubernetes/watch.rs, so that it is mended where others changed it.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
# operator/core/src/build/access.rs: what the balancers of a pool run as.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
# operator/core/src/build/access.rs: the Role of a pool's balancers, and its binding.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch]
# operator/core/src/build/balancer.rs: the balancers of a pool.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# operator/core/src/build/budget.rs: how many members and balancers a drained node may take at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
{{- end -}}

{{/* Nodes have no namespace: a ClusterRole in either case. */}}
{{- define "lbpool.nodeRules" -}}
# operator/src/kubernetes/nodes.rs: a member on a node that is not ready gets a successor.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}
