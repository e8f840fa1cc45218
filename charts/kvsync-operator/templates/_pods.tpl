{{- /* What every pod of the release has in common: where it may run, as whom, with which rights. */ -}}
{{- define "kvsync.podOf" -}}
{{- with .root.Values -}}
serviceAccountName: {{ $.account }}
automountServiceAccountToken: true
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .podSecurityContext | nindent 2 }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What every container of the release has in common. */ -}}
{{- define "kvsync.containerOf" -}}
image: {{ include "kvsync.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- /* The annotations of what stands only while the release is uninstalled, in this order of weights. */ -}}
{{- define "kvsync.undoHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
# What failed stays, to be read; the next attempt clears it away.
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
