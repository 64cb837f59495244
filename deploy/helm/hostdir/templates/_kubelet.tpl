{{/*
hostdir.checkKubeletDir refuses what the program would refuse of kubeletDir. The
longest path below it is that of the socket by which kubelet finds hostdir.
*/}}
{{- define "hostdir.checkKubeletDir" -}}
{{- if ne (clean .) . -}}
{{- fail (printf "kubeletDir: write %q as %q" . (clean .)) -}}
{{- end -}}
{{- $socket := printf "%s/plugins_registry/csi.hostdir.io-reg.sock" . -}}
{{- $over := sub (len $socket) 107 -}}
{{- if gt $over 0 -}}
{{- fail (printf "kubeletDir %q is too long by %d bytes: kubelet finds hostdir at %s, and the kernel takes no socket's path of more than 107 bytes; give kubelet a shorter root directory, which may be a symbolic link to this one" . $over $socket) -}}
{{- end -}}
{{- end }}
