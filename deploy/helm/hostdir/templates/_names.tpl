{{/*
Names are fixed, not made from the release's name: a cluster has one CSIDriver
csi.hostdir.io, so it has one hostdir.
*/}}

{{- define "hostdir.labels" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* The selectors tell the pods of DaemonSet and Deployments apart; they can never change. */}}
{{- define "hostdir.nodeSelector" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/component: node
{{- end }}

{{- define "hostdir.controllerSelector" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/component: controller
{{- end }}

{{- define "hostdir.snapshotControllerSelector" -}}
app.kubernetes.io/name: hostdir
app.kubernetes.io/component: snapshot-controller
{{- end }}

{{- define "hostdir.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/*
hostdir.apiAccess is the volume that Kubernetes would mount into every container
of a pod, those without business with the API server too.
*/}}
{{- define "hostdir.apiAccess" -}}
- name: api-access
  projected:
    defaultMode: {{ .mode }}
    sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap:
        name: kube-root-ca.crt
        items: [{key: ca.crt, path: ca.crt}]
    - downwardAPI:
        items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end }}

{{/* hostdir.monitoringLabels are the chart's and those of the values, of which Prometheus and Grafana select by some. */}}
{{- define "hostdir.monitoringLabels" -}}
{{ include "hostdir.labels" (index . 0) }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}
