{{/* Prefix of all names: the release's name where it says lbpool already. */}}
{{- define "lbpool.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "lbpool.operator" -}}
{{- printf "%s-operator" (include "lbpool.fullname" .) -}}
{{- end -}}

{{- define "lbpool.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lbpool.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the operator's Pods: they never change. */}}
{{- define "lbpool.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of everything. Helm adds app.kubernetes.io/managed-by itself; deploy/ has none. */}}
{{- define "lbpool.labels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lbpool
{{- end -}}

{{- define "lbpool.operatorLabels" -}}
{{ include "lbpool.labels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "lbpool.demoLabels" -}}
{{ include "lbpool.labels" . }}
app.kubernetes.io/component: demo
{{- end -}}

{{/* (dict "root" $ "image" .Values.operator.image) */}}
{{- define "lbpool.image" -}}
{{- $name := printf "%s/%s" .root.Values.image.registry .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What Pod Security "restricted" asks of a container, and a root file system that can not be written to. */}}
{{- define "lbpool.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lbpool.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Port of /livez, /readyz and /metrics of an operator. */}}
{{- define "lbpool.adminPort" -}}9280{{- end -}}

{{/* Port of the admin listener of a balancer. */}}
{{- define "lbpool.balancerAdminPort" -}}9180{{- end -}}
