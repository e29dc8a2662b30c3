{{/* Labels of every object; call with (dict "root" $ "component" "...") */}}
{{- define "finist.labels" -}}
{{ include "finist.selector" . }}
app.kubernetes.io/part-of: finist
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "finist.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Reference of an image, by digest when there is one; call with (dict "root" $ "image" .Values...image) */}}
{{- define "finist.image" -}}
{{- $name := printf "%s/%s" .root.Values.image.registry .image.name -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What every container may do: nothing but compute. */}}
{{- define "finist.containerSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "finist.gigachat.name" -}}
{{ .Release.Name }}-gigachat-adapter
{{- end -}}

{{/*
Regular expression of the first N of the hundred buckets 00-99 (a gateway matches the whole value).
Raising N keeps every bucket that was in. At 0 it is a class without a character: it matches nothing.
*/}}
{{- define "finist.buckets" -}}
{{- $tens := div . 10 -}}
{{- $units := mod . 10 -}}
{{- $parts := list -}}
{{- if $tens -}}{{- $parts = append $parts (printf "[0-%d][0-9]" (sub $tens 1)) -}}{{- end -}}
{{- if $units -}}{{- $parts = append $parts (printf "%d[0-%d]" $tens (sub $units 1)) -}}{{- end -}}
{{- $parts | join "|" | default "[^\\s\\S]" -}}
{{- end -}}
