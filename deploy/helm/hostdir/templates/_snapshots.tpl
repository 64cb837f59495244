{{/*
hostdir.snapshots is true, or empty, as the value says. auto goes by what the cluster
has: a VolumeSnapshotClass is an error where there is no such thing.
*/}}
{{- define "hostdir.snapshots" -}}
{{- $enabled := toString .Values.snapshots.enabled -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") (.Capabilities.APIVersions.Has "snapshot.storage.k8s.io/v1")) -}}
true
{{- end -}}
{{- end }}
