{{/*
Names are fixed, not made from the release's name: a cluster has one CSIDriver
csi.hostdir.io, so it has one hostdir.
*/}}

{{/*
hostdir.meta is the labels and annotations of an object. The chart's own win over those
of commonLabels: selectors and people look for them.
*/}}
{{- define "hostdir.meta" -}}
{{- include "hostdir.metaWith" (list . dict dict) -}}
{{- end }}

{{/* hostdir.metaWith is the same for an object with more: (list ROOT LABELS ANNOTATIONS). */}}
{{- define "hostdir.metaWith" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/name" "hostdir" "app.kubernetes.io/version" $root.Chart.AppVersion -}}
labels: {{- merge $own (index . 1) $root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (deepCopy (index . 2)) $root.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* hostdir.podMeta is that of a pod: (list ROOT COMPONENT LABELS ANNOTATIONS). */}}
{{- define "hostdir.podMeta" -}}
{{- $labels := merge (dict "app.kubernetes.io/component" (index . 1)) (index . 2) -}}
{{- include "hostdir.metaWith" (list (index . 0) $labels (index . 3)) -}}
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

{{- define "hostdir.nodeServiceAccount" -}}
{{ include "hostdir.serviceAccount" (list "serviceAccount" "hostdir-node" .Values.serviceAccount) }}
{{- end }}

{{- define "hostdir.controllerServiceAccount" -}}
{{ include "hostdir.serviceAccount" (list "controller.serviceAccount" "hostdir-controller" .Values.controller.serviceAccount) }}
{{- end }}

{{- define "hostdir.serviceAccount" -}}
{{- $account := index . 2 -}}
{{- if not (or $account.create $account.name) -}}
{{- fail (printf "%s: with create: false, name must be that of a service account which is there" (index . 0)) -}}
{{- end -}}
{{- $account.name | default (index . 1) -}}
{{- end }}

{{- define "hostdir.image" -}}
{{- include "hostdir.imageOf" (list . (dict "repository" .Values.image.repository "tag" (.Values.image.tag | default .Chart.AppVersion))) -}}
{{- end }}

{{/*
hostdir.imageOf is an image's full name: (list ROOT IMAGE). As for container runtimes, a
first part with a dot or a colon, or localhost, is a registry; imageRegistry takes its place.
*/}}
{{- define "hostdir.imageOf" -}}
{{- $image := index . 1 -}}
{{- $repository := $image.repository -}}
{{- with (index . 0).Values.imageRegistry -}}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{ $repository }}:{{ $image.tag }}
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
