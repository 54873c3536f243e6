{{- define "arvados-nats.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for a suffix such as -authcallout and a Job's pod. */}}
{{- define "arvados-nats.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "arvados-nats.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "arvados-nats.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* All labels of an object. Takes {root, component}. */}}
{{- define "arvados-nats.labels" -}}
{{ include "arvados-nats.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: arvados-nats
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The labels that selectors match. They never change. */}}
{{- define "arvados-nats.selectorLabels" -}}
app.kubernetes.io/name: {{ include "arvados-nats.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* An image's full name. Takes {image, tag}: tag where the image has none. */}}
{{- define "arvados-nats.imageName" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "arvados-nats.image" -}}
image: {{ include "arvados-nats.imageName" (dict "image" .Values.image "tag" .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "arvados-nats.keysSecret" -}}
{{- default (printf "%s-keys" (include "arvados-nats.fullname" .)) .Values.secrets.keys.existingSecret -}}
{{- end -}}

{{/* Whether a hook Job has to create the keys. */}}
{{- define "arvados-nats.makesKeys" -}}
{{- if and .Values.nats.builtin (not .Values.secrets.keys.existingSecret) -}}true{{- end -}}
{{- end -}}

{{/* Refuses values that pass the schema one by one but contradict each other. Every workload includes it. */}}
{{- define "arvados-nats.guard" -}}
{{- if not .Values.clusterId -}}
{{- fail "clusterId is not set: give the Arvados cluster's five-character id" -}}
{{- end -}}
{{- if not .Values.secrets.arvados.existingSecret -}}
{{- fail "secrets.arvados.existingSecret is not set: it names the Secret with Arvados' SystemRootToken" -}}
{{- end -}}
{{- if not (dig "postgres" "host" "" .Values.settings) -}}
{{- fail "settings.postgres.host is not set: it is the host of Arvados' database" -}}
{{- end -}}
{{- if .Values.nats.builtin -}}
{{- if ne (int .Values.nats.replicas) 1 -}}
{{- fail "nats.replicas: the builtin nats-server is a single one, for try-outs. For three servers use the official nats chart with helm/nats-values.yaml (docs/install.md) and nats.builtin=false" -}}
{{- end -}}
{{- if ne .Values.streams.profile "single" -}}
{{- fail "streams.profile: the builtin nats-server is a single one and cannot hold three replicas; use `single`, or the official nats chart (docs/install.md)" -}}
{{- end -}}
{{- if or .Values.nats.url .Values.nats.websocketUrl -}}
{{- fail "nats.url and nats.websocketUrl are for an external nats-server: leave them out, or set nats.builtin=false" -}}
{{- end -}}
{{- if and .Values.nats.tls.existingSecret (not .Values.tls.caSecret.name) -}}
{{- fail "nats.tls.existingSecret needs tls.caSecret.name: the services verify nats-server by the CA in that Secret (it may be the same Secret if that has ca.crt)" -}}
{{- end -}}
{{- else -}}
{{- if .Values.nats.tls.existingSecret -}}
{{- fail "nats.tls is for the builtin nats-server: an external one gets its certificate from its own release (docs/install.md)" -}}
{{- end -}}
{{- if not (and .Values.nats.url .Values.nats.websocketUrl) -}}
{{- fail "nats.builtin=false needs nats.url and nats.websocketUrl: the addresses of the external nats-server" -}}
{{- end -}}
{{- if not .Values.secrets.keys.existingSecret -}}
{{- fail "nats.builtin=false needs secrets.keys.existingSecret: create it with `arvados-nats keys`; nats-server needs the same keys" -}}
{{- end -}}
{{- if not (or .Values.nats.allowPlaintext (and (hasPrefix "tls://" .Values.nats.url) (hasPrefix "wss://" .Values.nats.websocketUrl))) -}}
{{- fail "nats.url and nats.websocketUrl must be tls:// and wss://, because tokens cross that network; nats.allowPlaintext=true permits others" -}}
{{- end -}}
{{- end -}}
{{- with .Values.proxy.ingress -}}
{{- if and .enabled (not (or .tlsSecretName .plaintext)) -}}
{{- fail "proxy.ingress needs tlsSecretName, because clients send tokens there; set plaintext=true if a proxy in front of it does TLS" -}}
{{- end -}}
{{- if and .enabled (not .host) -}}
{{- fail "proxy.ingress.host is not set" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.proxy.httpRoute.enabled (not .Values.proxy.httpRoute.parentRefs) -}}
{{- fail "proxy.httpRoute.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- end -}}
