# syntax=docker/dockerfile:1
# The image of every service: `docker build -t arvados-nats .`, then `docker run arvados-nats bridge --help`.
ARG NODE=22-bookworm-slim

# Compiles with all packages, then keeps those of production.
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
      org.opencontainers.image.description="Record changes and logs of an Arvados cluster over NATS, to whoever may read them and to nobody else" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY --from=build /build/bin ./bin
# Nothing is ever written below /app, so the root file system may be read-only. The number, not a name: Kubernetes checks runAsNonRoot by it.
USER 10001:10001
# Clients; metrics and probes of bridge, authcallout, proxy.
EXPOSE 8470 8471 8472 8473
# node is the process that gets SIGTERM: it drains.
ENTRYPOINT ["node", "/app/bin/arvados-nats.js"]
CMD ["--help"]
