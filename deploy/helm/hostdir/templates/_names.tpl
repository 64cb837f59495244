{{/*
Names are fixed, not made from the release's name: a cluster has one CSIDriver
csi.hostdir.io, so it has one hostdir.
*/}}

{{- define "hostdir.labels" -}}
{{ include "hostdir.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "hostdir.selectorLabels" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/component: node
{{- end }}

{{- define "hostdir.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
