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
