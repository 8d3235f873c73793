{{/* The name that all objects have, and that aad-pod-identity's chart gives them when nameOverride is its name. */}}
{{- define "nmi.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride | trunc 59 | trimSuffix "-" -}}
{{- if eq $name "nmi" }}nmi{{ else }}{{ $name }}-nmi{{ end -}}
{{- end }}

{{- define "nmi.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "nmi.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: nmi
{{- end }}

{{- define "nmi.labels" -}}
{{ include "nmi.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ include "nmi.chart" . }}
{{- end }}

{{/* Is it aad-pod-identity's own image that the values name, as a whole copy of its chart's values does? It is never run. */}}
{{- define "nmi.oldImage" -}}
{{- if and (regexMatch "(^|/)aad-pod-identity/?$" .Values.image.repository) (regexMatch "^v?1[.]" .Values.nmi.tag) }}yes{{ end -}}
{{- end }}

{{- define "nmi.image" -}}
{{- if include "nmi.oldImage" . }}{{ .Values.nmi.image }}:{{ .Chart.AppVersion }}
{{- else }}
{{- with .Values.image.repository }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.nmi.image }}:{{ .Values.nmi.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "nmi.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "nmi.name" . }}
{{- end }}

{{/* Namespaces, as a JSON object of names, whose Secrets nmi may read. */}}
{{- define "nmi.secretNamespaces" -}}
{{- $all := dict -}}
{{- range .Values.rbac.secretNamespaces }}{{ $_ := set $all . true }}{{ end -}}
{{- if .Values.rbac.allowAccessToSecrets -}}
{{- range $key, $id := .Values.azureIdentities -}}
{{- if has (int (default 0 $id.type)) (list 1 2) }}{{ $_ := set $all (default $.Release.Namespace $id.namespace) true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

{{/*
The objects of deploy/rbac and deploy/policy with the names of this release: what may be asked for is said there, once.
Call with (list $ "rbac/nmi.yaml").
*/}}
{{- define "nmi.objects" -}}
{{- $root := index . 0 -}}
{{- $name := include "nmi.name" $root -}}
{{- range splitList "\n---\n" ($root.Files.Get (index . 1)) -}}
{{- $o := fromYaml . -}}
{{- if and $o $o.kind -}}
{{- if hasKey $o.metadata "namespace" }}{{ $_ := set $o.metadata "namespace" $root.Release.Namespace }}{{ end -}}
{{- $_ := set $o.metadata "name" (regexReplaceAll "^nmi" $o.metadata.name $name) -}}
{{- $_ := set $o.metadata "labels" (fromYaml (include "nmi.labels" $root)) -}}
{{- range $o.subjects }}{{ $_ := set . "name" $name }}{{ $_ := set . "namespace" $root.Release.Namespace }}{{ end -}}
{{- with $o.roleRef }}{{ $_ := set . "name" (regexReplaceAll "^nmi" .name $name) }}{{ end -}}
{{- with $o.spec -}}
{{- /* what the policies repeat of nmi's settings */ -}}
{{- range .variables -}}
{{- if and (eq .name "key") $root.Values.nmi.startupTaint }}{{ $_ := set . "expression" (squote $root.Values.nmi.startupTaint) }}{{ end -}}
{{- $audience := index $root.Values.nmi.settings "federation-audience" -}}
{{- if and (eq .name "audience") $audience }}{{ $_ := set . "expression" (squote $audience) }}{{ end -}}
{{- end -}}
{{- with .policyName }}{{ $_ := set $o.spec "policyName" (regexReplaceAll "^nmi" . $name) }}{{ end -}}
{{- end }}
---
{{ toYaml $o | replace "system:serviceaccount:kube-system:nmi" (include "nmi.user" $root) }}
{{- end -}}
{{- end -}}
{{- end }}
