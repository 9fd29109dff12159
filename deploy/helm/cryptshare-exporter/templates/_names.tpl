{{- define "cryptshare-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cryptshare-exporter.fullname" -}}
{{- $name := include "cryptshare-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "cryptshare-exporter.selector" -}}
app.kubernetes.io/name: {{ include "cryptshare-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cryptshare-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "cryptshare-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: exporter
app.kubernetes.io/part-of: cryptshare-exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "cryptshare-exporter.configMap" -}}
{{- .Values.existingConfigMap | default (include "cryptshare-exporter.fullname" .) }}
{{- end }}

{{- define "cryptshare-exporter.claim" -}}
{{- .Values.persistence.existingClaim | default (include "cryptshare-exporter.fullname" .) }}
{{- end }}

{{- define "cryptshare-exporter.serviceAccount" -}}
{{- $own := include "cryptshare-exporter.fullname" . }}
{{- .Values.serviceAccount.name | default (ternary $own "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "cryptshare-exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- /* The scrape of a monitor: its keys, and those of the endpoint over them. */}}
{{- define "cryptshare-exporter.endpoint" -}}
{{- $endpoint := dict "port" "http" "scheme" (lower .root.Values.web.scheme) }}
{{- with .monitor.interval }}{{ $_ := set $endpoint "interval" . }}{{ end }}
{{- with .monitor.scrapeTimeout }}{{ $_ := set $endpoint "scrapeTimeout" . }}{{ end }}
{{- toYaml (list (mergeOverwrite $endpoint (deepCopy .monitor.endpoint))) }}
{{- end }}

{{- /* A probe that asks `path`, unless it has a handler of its own. */}}
{{- define "cryptshare-exporter.probe" -}}
{{- $probe := deepCopy .probe }}
{{- if not (or (hasKey $probe "httpGet") (hasKey $probe "tcpSocket") (hasKey $probe "exec")) }}
{{- $_ := set $probe "httpGet" (dict "path" .path "port" "http" "scheme" .root.Values.web.scheme) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{- /* The lines of a text in a ConfigMap, empty ones without spaces. */}}
{{- define "cryptshare-exporter.text" -}}
{{- regexReplaceAll "(?m)^ +$" (trim . | nindent 4) "" }}
{{- end }}
