# One node of RobustMQ. The configuration is config.toml plus ROBUSTMQ_<SECTION>__<KEY> variables; data is under /data.
# Node 20.20 runs the RocksDB binary that comes with the package on linux/amd64; elsewhere the set-up compiles it.

FROM node:20.20-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts/set-up.mjs ./scripts/
COPY scripts/set-up ./scripts/set-up
RUN node scripts/set-up.mjs --packages
COPY . .
RUN node scripts/set-up.mjs && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/rocksdb/deps

FROM node:20.20-bookworm-slim
LABEL org.opencontainers.image.title="RobustMQ" org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/package.json /app/config.toml /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist/roles ./dist/roles
COPY --from=build /app/dist/src ./dist/src
RUN install -d -o node -g node /data
USER node
VOLUME /data

# A container is reached from outside of it. Anonymous access from there has to be asked for:
# ROBUSTMQ_SECURITY__ALLOW_ANONYMOUS=true
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=262144 \
    ROBUSTMQ_DATA_PATH=/data \
    ROBUSTMQ_HTTP_HOST=0.0.0.0 \
    ROBUSTMQ_MQTT__BIND=0.0.0.0
# MQTT, MQTT over TLS, WebSocket, WebSocket with TLS; between nodes; admin, health and metrics.
EXPOSE 1883 8883 8083 8084 1228 58080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:58080/health/ready').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Stopping saves the sessions and tells the clients, within 10 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/roles/robustmq.cjs", "--config", "config.toml"]
