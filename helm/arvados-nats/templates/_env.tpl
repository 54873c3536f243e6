{{/*
The environment of a service, from files/settings.yaml, which is derived from runtime/config/table.ts. Takes {root, service}.
Settings go to every service; of secrets each gets those it needs and no other.
*/}}
{{- define "arvados-nats.env" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $table := $root.Files.Get "files/settings.yaml" | fromYaml -}}
- name: ARVADOS_NATS_CLUSTER_ID
  value: {{ $root.Values.clusterId | quote }}
- name: ARVADOS_NATS_URL
  value: {{ include "arvados-nats.natsUrl" $root | quote }}
- name: ARVADOS_NATS_WEBSOCKET_URL
  value: {{ include "arvados-nats.natsWebsocketUrl" $root | quote }}
- name: ARVADOS_NATS_SYNC_INTERVAL
  value: {{ $root.Values.nats.syncInterval | quote }}
{{- range $setting := $table.settings }}
{{- $at := dict "value" $root.Values.settings }}
{{- range $word := $setting.path }}
{{- $_ := set $at "value" (ternary (get (default dict $at.value) $word) nil (and (kindIs "map" $at.value) (hasKey (default dict $at.value) $word))) }}
{{- end }}
{{- if not (kindIs "invalid" $at.value) }}
{{- if not (and (eq $service "setup-db") (eq $setting.env "ARVADOS_NATS_POSTGRES_USER") $root.Values.setupDb.user) }}
- name: {{ $setting.env }}
  value: {{ if kindIs "float64" $at.value }}{{ int64 $at.value | quote }}{{ else }}{{ $at.value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $service "setup-db") $root.Values.setupDb.user }}
- name: ARVADOS_NATS_POSTGRES_USER
  value: {{ $root.Values.setupDb.user | quote }}
{{- end }}
{{- if eq $service "proxy" }}
{{- with include "arvados-nats.publicWebsocketUrl" $root }}
- name: ARVADOS_NATS_PUBLIC_WEBSOCKET_URL
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if hasKey $table.listen $service }}
{{- range $env, $port := get $table.listen $service }}
- name: {{ $env }}
  value: {{ printf ":%v" $port | quote }}
{{- end }}
{{- end }}
{{- range $secret := $table.secrets }}
{{- if has $service $secret.services }}
{{- $from := include "arvados-nats.secretRef" (dict "root" $root "service" $service "env" $secret.env) | fromYaml }}
{{- if $from.name }}
- name: {{ $secret.env }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.name }}
      key: {{ $from.key }}
      {{- if $from.optional }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if $root.Values.tls.caSecret.name }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/arvados-nats/ca/ca.crt
{{- end }}
{{- end -}}

{{/* Where a secret is kept: nkeys and curve keys under the name of their variable, the others where the values say. */}}
{{- define "arvados-nats.secretRef" -}}
{{- $values := .root.Values -}}
{{- if and (eq .env "ARVADOS_NATS_SYSTEM_ROOT_TOKEN") (eq .service "bridge") (not (dig "arvados" "apiUrl" "" $values.settings)) }}
{{- /* The bridge needs it for the log follower, which needs the Arvados API. */}}
name: ""
{{- else if eq .env "ARVADOS_NATS_SYSTEM_ROOT_TOKEN" }}
name: {{ $values.secrets.arvados.existingSecret }}
key: {{ $values.secrets.arvados.systemRootTokenKey }}
{{- else if eq .env "ARVADOS_NATS_ANONYMOUS_USER_TOKEN" }}
name: {{ $values.secrets.arvados.existingSecret }}
key: {{ $values.secrets.arvados.anonymousUserTokenKey }}
optional: true
{{- else if eq .env "ARVADOS_NATS_POSTGRES_PASSWORD" }}
{{- if and (eq .service "setup-db") $values.setupDb.existingSecret }}
name: {{ $values.setupDb.existingSecret }}
key: {{ $values.setupDb.passwordKey }}
{{- else }}
name: {{ $values.secrets.postgres.existingSecret }}
key: {{ $values.secrets.postgres.passwordKey }}
{{- end }}
{{- else }}
name: {{ include "arvados-nats.keysSecret" .root }}
key: {{ .env }}
{{- if eq .env "ARVADOS_NATS_PUBLIC_EDGE_OLD" }}
optional: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "arvados-nats.natsUrl" -}}
{{- if .Values.nats.builtin -}}
{{ ternary "tls" "nats" (ne .Values.nats.tls.existingSecret "") }}://{{ include "arvados-nats.fullname" . }}-nats:4222
{{- else -}}
{{ .Values.nats.url }}
{{- end -}}
{{- end -}}

{{- define "arvados-nats.natsWebsocketUrl" -}}
{{- if .Values.nats.builtin -}}
{{ ternary "wss" "ws" (ne .Values.nats.tls.existingSecret "") }}://{{ include "arvados-nats.fullname" . }}-nats:8080
{{- else -}}
{{ .Values.nats.websocketUrl }}
{{- end -}}
{{- end -}}

{{/* What browsers are told, where only the chart knows it: behind an ingress or a route the proxy itself sees no TLS and would say ws://. */}}
{{- define "arvados-nats.publicWebsocketUrl" -}}
{{- if not (dig "public" "websocketUrl" "" .Values.settings) -}}
{{- if .Values.proxy.ingress.enabled -}}
wss://{{ .Values.proxy.ingress.host }}/nats
{{- else if and .Values.proxy.httpRoute.enabled .Values.proxy.httpRoute.hostnames -}}
wss://{{ first .Values.proxy.httpRoute.hostnames }}/nats
{{- end -}}
{{- end -}}
{{- end -}}
