{{/*
hostdir.poolFolders is the list (as JSON) of host folders that the plugin's
container needs for all pools of all nodes, and to import from, each at its own path. Sorted, a
folder comes before the folders inside it, which is the order to mount them in.
*/}}
{{- define "hostdir.poolFolders" -}}
{{- $folders := list -}}
{{- include "hostdir.checkPools" .Values.pools -}}
{{- range .Values.nodes -}}
  {{- include "hostdir.checkPools" .pools -}}
{{- end -}}
{{- range $pool := include "hostdir.allPools" . | fromJsonArray -}}
  {{- include "hostdir.checkSubPath" $pool -}}
  {{- range $path := $pool.paths -}}
    {{- include "hostdir.checkPath" (dict "pool" $pool.name "path" $path) -}}
    {{- $folder := include "hostdir.poolFolder" (dict "pool" $pool "path" $path) -}}
    {{- include "hostdir.checkFolder" (dict "pool" $pool.name "path" $path "folder" $folder "kubeletDir" $.Values.kubeletDir) -}}
    {{- $folders = append $folders $folder -}}
  {{- end -}}
{{- end -}}
{{- range $path := .Values.import -}}
  {{- include "hostdir.checkImport" (dict "path" $path "pools" (include "hostdir.allPools" $ | fromJsonArray) "kubeletDir" $.Values.kubeletDir) -}}
  {{- $folders = append $folders $path -}}
{{- end -}}
{{- $folders | uniq | sortAlpha | toJson -}}
{{- end }}

{{- define "hostdir.allPools" -}}
{{- $pools := .Values.pools -}}
{{- range .Values.nodes -}}
  {{- $pools = concat $pools .pools -}}
{{- end -}}
{{- toJson $pools -}}
{{- end }}

{{/*
hostdir.poolFolder is the folder to mount for one path: the path itself, but
for a disk the folder above it. A disk's own folder would show the container
for ever the disk that was there when it started; the folder above shows it
each mount and unmount. A glob is a disk's case as well: its matches come and go.
*/}}
{{- define "hostdir.poolFolder" -}}
{{- if regexMatch `[*?\[\\]` .path -}}
{{- regexReplaceAll `/[^/]*[*?\[\\].*$` .path "" | default "/" -}}
{{- else if .pool.requireMountPoint -}}
{{- dir .path -}}
{{- else -}}
{{- .path -}}
{{- end -}}
{{- end }}

{{- define "hostdir.checkPath" -}}
{{- if not (hasPrefix "/" .path) -}}
{{- fail (printf "pool %q: path %q is not absolute: write the whole path on the host, such as /mnt/%s" .pool .path .path) -}}
{{- else if eq (clean .path) "/" -}}
{{- fail (printf "pool %q: path %q is the whole host: give the pool a folder of its own, such as /var/lib/hostdir" .pool .path) -}}
{{- else if ne (clean .path) .path -}}
{{- fail (printf "pool %q: write path %q as %q" .pool .path (clean .path)) -}}
{{- else if contains ":" .path -}}
{{- fail (printf "pool %q: path %q has a colon, which Kubernetes cannot mount into a container: use a folder without" .pool .path) -}}
{{- end -}}
{{- end }}

{{/*
hostdir.checkPools refuses what the program refuses of pools that one node has.
*/}}
{{- define "hostdir.checkPools" -}}
{{- $names := dict -}}
{{- $usedBy := dict -}}
{{- range $pool := . -}}
  {{- if hasKey $names .name -}}
  {{- fail (printf "pool %q is there twice: write all its paths in one" .name) -}}
  {{- end -}}
  {{- $_ := set $names .name true -}}
  {{- range $path := .paths -}}
    {{- include "hostdir.checkGlob" (dict "pool" $pool.name "path" $path) -}}
    {{- $dir := $path -}}
    {{- with $pool.subPath -}}{{- $dir = printf "%s/%s" $path . -}}{{- end -}}
    {{- range $other, $name := $usedBy -}}
    {{- if eq $dir $other -}}
    {{- fail (printf "pool %q: path %q is in pool %q already" $pool.name $dir $name) -}}
    {{- else if and (or (hasPrefix (printf "%s/" $other) $dir) (hasPrefix (printf "%s/" $dir) $other)) (not (regexMatch `[*?\[\\]` (print $dir $other))) -}}
    {{- fail (printf "%q of pool %q and %q of pool %q lie within each other: a disk's directory is hostdir's alone, so give each a directory beside the other" $dir $pool.name $other $name) -}}
    {{- end -}}
    {{- end -}}
    {{- $_ := set $usedBy $dir $pool.name -}}
  {{- end -}}
  {{- if and $pool.initEmpty (not $pool.requireMountPoint) -}}
  {{- fail (printf "pool %q: initEmpty: the directory below a mount point is empty as well while no disk is mounted: set requireMountPoint: true too" $pool.name) -}}
  {{- end -}}
  {{- range $path := $pool.cordoned -}}
    {{- if or (not (hasPrefix "/" $path)) (ne (clean $path) $path) (eq $path "/") -}}
    {{- fail (printf "pool %q: cordoned %q is not the plain absolute path of a disk, nor a glob of such paths" $pool.name $path) -}}
    {{- end -}}
    {{- include "hostdir.checkGlob" (dict "pool" $pool.name "path" $path) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "hostdir.checkGlob" -}}
{{- range $component := splitList "/" .path -}}
  {{- if not (regexMatch `^([^*?\[\\]|[*?]|\\.|\[\^?(([^\\\]-]|\\.)(-([^\\\]-]|\\.))?)+\])*$` $component) -}}
  {{- fail (printf "pool %q: path %q is not a glob: close its brackets, and write a character behind each backslash" $.pool $.path) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "hostdir.checkSubPath" -}}
{{- with .subPath -}}
  {{- if or (ne (clean (printf "/%s" .)) (printf "/%s" .)) (eq . ".") -}}
  {{- fail (printf "pool %q: subPath %q is not the plain path of a directory beneath a mount point, such as hostdir" $.name .) -}}
  {{- else if not $.requireMountPoint -}}
  {{- fail (printf "pool %q: subPath %q is beneath a mount point: set requireMountPoint: true, or write the whole path in paths" $.name .) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/*
hostdir.checkFolder refuses folders that would cover what the container itself
needs, or hand it the whole host.
*/}}
{{- define "hostdir.checkFolder" -}}
{{- if eq .folder "/" -}}
{{- fail (printf "pool %q: for path %q its parent folder would be mounted into the plugin's container (a disk or a glob needs that), and this would be the whole host: use a path one folder deeper, such as /mnt/hostdir%s" .pool .path .path) -}}
{{- end -}}
{{- include "hostdir.checkTaken" (dict "what" (printf "pool %q: path %q" .pool .path) "folder" .folder "kubeletDir" .kubeletDir) -}}
{{- end }}

{{- define "hostdir.checkTaken" -}}
{{- range $taken := list .kubeletDir "/csi" "/dev" "/etc" "/hostdir" "/hostdir-controller" "/proc" "/registration" "/run" "/sys" "/var/run" -}}
  {{- if hasPrefix (printf "%s/" $taken) (printf "%s/" $.folder) -}}
  {{- fail (printf "%s needs %s from the host, but the plugin's container has %s for itself: use another folder, such as /var/lib/hostdir" $.what $.folder $taken) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/*
hostdir.checkImport refuses what the program refuses, and what cannot be mounted.
*/}}
{{- define "hostdir.checkImport" -}}
{{- if or (ne (clean .path) .path) (eq .path "/") -}}
{{- fail (printf "import: %q is not the plain absolute path of a folder" .path) -}}
{{- end -}}
{{- range $pool := .pools -}}
  {{- range $path := $pool.paths -}}
    {{- $dir := clean (printf "%s/%s" $path ($pool.subPath | default "")) -}}
    {{- if hasPrefix (printf "%s/" $dir) (printf "%s/" $.path) -}}
    {{- fail (printf "import: %q is in %q, which is a disk of pool %q: what is there is hostdir's already" $.path $dir $pool.name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- include "hostdir.checkTaken" (dict "what" (printf "import: path %q" .path) "folder" .path "kubeletDir" .kubeletDir) -}}
{{- end }}
