{{- define "kvsync.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "kvsync.fullname" -}}
{{- $name := include "kvsync.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "kvsync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kvsync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kvsync.labels" -}}
{{ include "kvsync.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "kvsync.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "kvsync.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "kvsync.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* A pattern of the operator's settings as a regular expression of CEL (RE2): only "*" means anything. */ -}}
{{- define "kvsync.regex" -}}
{{ . | replace "." "[.]" | replace "*" "[^/]*" }}
{{- end }}

{{- /* Several patterns as one regular expression, for a whole name. */ -}}
{{- define "kvsync.anyOf" -}}
{{- $all := list -}}
{{- range . -}}
{{- $all = append $all (include "kvsync.regex" .) -}}
{{- end -}}
^({{ join "|" $all }})$
{{- end }}

{{- /* What pods of the release that are not the operator carry: no selector of the operator matches them. */ -}}
{{- define "kvsync.labelsOf" -}}
app.kubernetes.io/name: {{ printf "%s-%s" (include "kvsync.name" .root | trunc 55 | trimSuffix "-") .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The ServiceAccount of the Job that undoes everything; empty where nobody gives it rights. */ -}}
{{- define "kvsync.undoAccount" -}}
{{- if .Values.uninstall.undo.serviceAccountName -}}
{{ .Values.uninstall.undo.serviceAccountName }}
{{- else if .Values.rbac.create -}}
{{ include "kvsync.fullname" . | trunc 58 | trimSuffix "-" }}-undo
{{- end -}}
{{- end }}

{{- /* "true" where the Job that undoes everything is part of the release. */ -}}
{{- define "kvsync.undoes" -}}
{{- if and .Values.uninstall.undo.enabled (include "kvsync.undoAccount" .) -}}true{{- end -}}
{{- end }}

{{- /* A duration such as 90s, 30m or 2h in seconds. */ -}}
{{- define "kvsync.seconds" -}}
{{ mul (regexFind "^[0-9]+" . | atoi) (get (dict "s" 1 "m" 60 "h" 3600) (regexFind "[smh]$" .)) }}
{{- end }}

{{- /* "true" where a value of true, false or Auto holds: Auto is for what belongs to the whole cluster. */ -}}
{{- define "kvsync.inCluster" -}}
{{- if or (eq (toString .value) "true") (and (eq (toString .value) "Auto") (not .root.Values.watchNamespaces)) -}}true{{- end -}}
{{- end }}

{{- /* The version of the API in which the admission policy is written; empty where none is served. */ -}}
{{- define "kvsync.admissionServed" -}}
{{- range list "v1" "v1beta1" -}}
{{- if $.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/%s/MutatingAdmissionPolicy" .) -}}{{ . }} {{ end -}}
{{- end -}}
{{- end }}

{{- /* The same where the policy is part of the release, empty where it is not. True is for whoever renders
without a cluster: v1, unless an older one is named. */ -}}
{{- define "kvsync.admission" -}}
{{- $served := include "kvsync.admissionServed" . | splitList " " | first -}}
{{- $wanted := toString .Values.admission.enabled -}}
{{- if eq $wanted "true" -}}
{{ default "v1" $served }}
{{- else if and (eq $wanted "Auto") (not .Values.watchNamespaces) -}}
{{ $served }}
{{- end -}}
{{- end }}

{{- /* "true" where the label of namespaces lets objects in: only then are namespaces read. */ -}}
{{- define "kvsync.readsNamespaces" -}}
{{- range .Values.gatewayAccess.gateways -}}{{- if not .namespaces -}}true{{- end -}}{{- end -}}
{{- end }}

{{- /* The port at which metrics and health are served; empty where they are not. */ -}}
{{- define "kvsync.metricsPort" -}}
{{- if ne .Values.metricsAddress "off" -}}{{ regexFind "[0-9]+$" .Values.metricsAddress }}{{- end -}}
{{- end }}

{{- /* Gateways as `kvsync run` and `kvsync doctor` take them, one a line. */ -}}
{{- define "kvsync.gatewayArgs" -}}
{{- range .Values.gatewayAccess.gateways }}
- {{ printf "--gateway=%s%s" .gateway (ternary (printf "=%s" (join "," .namespaces)) "" (not (empty .namespaces))) | quote }}
{{- end }}
{{- end }}

{{- /* objectSelector in one line, as `kvsync run` and kubectl take it; empty where it selects all. */ -}}
{{- define "kvsync.objectSelector" -}}
{{- $parts := list -}}
{{- with .Values.objectSelector -}}
{{- range $key, $value := .matchLabels -}}
{{- $parts = append $parts (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- range .matchExpressions -}}
{{- $values := join "," .values -}}
{{- $forms := dict "In" (printf "%s in (%s)" .key $values) "NotIn" (printf "%s notin (%s)" .key $values) "Exists" .key "DoesNotExist" (printf "!%s" .key) -}}
{{- $parts = append $parts (get $forms .operator) -}}
{{- end -}}
{{- end -}}
{{ join "," $parts }}
{{- end }}

{{- /* The binding of a role to an account. */ -}}
{{- define "kvsync.bound" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- /* What is asked of values together, beyond the schema; fails with what to do. */ -}}
{{- define "kvsync.check" -}}
{{- if .Values.watchNamespaces -}}
{{- range .Values.gatewayAccess.gateways -}}
{{- if not .namespaces -}}
{{- fail (printf "watchNamespaces: labels of namespaces can be read in the whole cluster only. List in gatewayAccess.gateways, for %s, the namespaces whose objects may have it changed: namespaces: [%s]" .gateway (join ", " $.Values.watchNamespaces)) -}}
{{- end -}}
{{- if contains "*" .gateway -}}
{{- fail (printf "watchNamespaces: a Role cannot be limited to a pattern. Name the gateway %s of gatewayAccess.gateways in full." .gateway) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
