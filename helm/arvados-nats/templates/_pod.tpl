{{/* What every pod has: no service account token that it does not need, no environment variables of other Services, no root. Takes {root}. */}}
{{- define "arvados-nats.podBase" -}}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "arvados-nats.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "arvados-nats.caMountItem" -}}
{{- if .Values.tls.caSecret.name -}}
- name: ca
  mountPath: /etc/arvados-nats/ca
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "arvados-nats.caMount" -}}
{{- if .Values.tls.caSecret.name }}
volumeMounts:
  {{- include "arvados-nats.caMountItem" . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "arvados-nats.caVolumeItem" -}}
{{- if .Values.tls.caSecret.name -}}
- name: ca
  secret:
    secretName: {{ .Values.tls.caSecret.name }}
    items:
      - key: {{ .Values.tls.caSecret.key }}
        path: ca.crt
{{- end -}}
{{- end -}}

{{- define "arvados-nats.caVolume" -}}
{{- if .Values.tls.caSecret.name }}
volumes:
  {{- include "arvados-nats.caVolumeItem" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A Job's pod that runs one of our commands. Takes {root, service, args, resources, restart}. */}}
{{- define "arvados-nats.commandPod" -}}
metadata:
  labels:
    {{- include "arvados-nats.labels" (dict "root" .root "component" .service) | nindent 4 }}
spec:
  restartPolicy: {{ .restart }}
  automountServiceAccountToken: false
  {{- include "arvados-nats.podBase" . | nindent 2 }}
  containers:
    - name: {{ .service }}
      {{- include "arvados-nats.image" .root | nindent 6 }}
      args: {{ toJson .args }}
      env:
        {{- include "arvados-nats.env" . | nindent 8 }}
      {{- include "arvados-nats.containerSecurity" . | nindent 6 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      {{- include "arvados-nats.caMount" .root | nindent 6 }}
  {{- include "arvados-nats.caVolume" .root | nindent 2 }}
{{- end -}}

{{/* The Deployment of a service. Takes {root, service, values, replicas, readiness, strategy, grace}. */}}
{{- define "arvados-nats.deployment" -}}
{{- $labels := dict "root" .root "component" .service -}}
{{- $table := .root.Files.Get "files/settings.yaml" | fromYaml -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "arvados-nats.fullname" .root }}-{{ .service }}
  labels:
    {{- include "arvados-nats.labels" $labels | nindent 4 }}
spec:
  {{- if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    {{- toYaml .strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "arvados-nats.selectorLabels" $labels | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "arvados-nats.labels" $labels | nindent 8 }}
      annotations:
        # Plain settings are in this template, so a change of them restarts the pods. A change of a Secret does not: hence this annotation.
        arvados-nats/secrets: {{ printf "%s %s" (include "arvados-nats.secretNames" .root) (toString .root.Values.secretsRevision) | sha256sum | trunc 16 | quote }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      automountServiceAccountToken: false
      {{- include "arvados-nats.podBase" . | nindent 6 }}
      # Longer than the drain (25 s) and the release after it (5 s), with time for the preStop wait before them.
      terminationGracePeriodSeconds: 45
      containers:
        - name: {{ .service }}
          {{- include "arvados-nats.image" .root | nindent 10 }}
          args: [{{ .service }}]
          env:
            {{- include "arvados-nats.env" . | nindent 12 }}
          ports:
            {{- range $name, $port := get $table.ports .service }}
            - name: {{ $name }}
              containerPort: {{ $port }}
            {{- end }}
          # A large cluster needs up to two minutes to load the permission graph.
          startupProbe:
            httpGet: { path: /livez, port: admin }
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: { path: /livez, port: admin }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: {{ .readiness }}, port: admin }
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          {{- if eq .service "proxy" }}
          lifecycle:
            preStop:
              exec:
                # Waits until every load balancer knows that this pod stops.
                command: [sleep, "5"]
          {{- end }}
          {{- include "arvados-nats.containerSecurity" . | nindent 10 }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          {{- if eq .service "bridge" }}
          volumeMounts:
            # For the part of a large transaction that does not fit into memory.
            - name: tmp
              mountPath: /tmp
            {{- include "arvados-nats.caMountItem" .root | nindent 12 }}
          {{- else }}
          {{- include "arvados-nats.caMount" .root | nindent 10 }}
          {{- end }}
      {{- if eq .service "bridge" }}
      volumes:
        - name: tmp
          emptyDir: { sizeLimit: {{ .values.spillLimit }} }
        {{- include "arvados-nats.caVolumeItem" .root | nindent 8 }}
      {{- else }}
      {{- include "arvados-nats.caVolume" .root | nindent 6 }}
      {{- end }}
      {{- if .root.Values.topologySpread.enabled }}
      topologySpreadConstraints:
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "arvados-nats.selectorLabels" $labels | nindent 14 }}
        {{- end }}
      {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{/* A changed name of a Secret restarts the pods without this annotation. */}}
{{- define "arvados-nats.secretNames" -}}
{{ include "arvados-nats.keysSecret" . }} {{ .Values.secrets.arvados.existingSecret }} {{ .Values.secrets.postgres.existingSecret }} {{ .Values.tls.caSecret.name }}
{{- end -}}
