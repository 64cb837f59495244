{{/*
Names are fixed, not made from the release's name: a cluster has one CSIDriver
csi.hostdir.io, so it has one hostdir.
*/}}

{{- define "hostdir.labels" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* hostdir.nodeSelector tells the DaemonSet's pods; it can never change. */}}
{{- define "hostdir.nodeSelector" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/component: node
{{- end }}

{{- define "hostdir.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
