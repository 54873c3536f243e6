# syntax=docker/dockerfile:1
# The image of every service: `docker build -t arvados-nats .`, then `docker run arvados-nats bridge --help`.
ARG NODE=22-bookworm-slim

# Compile with all packages, then keep the production packages only.
FROM node:${NODE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:${NODE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="arvados-nats" \
      org.opencontainers.image.description="Record changes and logs of an Arvados cluster over NATS, sent only to users who may read them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY --from=build /build/bin ./bin
# The services write nothing below /app, so the root file system may be read-only. A number, because Kubernetes cannot check runAsNonRoot by name.
USER 10001:10001
# Clients; metrics and probes of bridge, authcallout, proxy.
EXPOSE 8470 8471 8472 8473
# node itself gets SIGTERM and drains.
ENTRYPOINT ["node", "/app/bin/arvados-nats.js"]
CMD ["--help"]
