#!/usr/bin/env bash
# The WebSocket of undici 6.24.1, which Node 20 ships, reports a refused upgrade by `error` alone: no
# `close` follows, and readyState stays 0 (CONNECTING). The standard has both, and 3; undici 7 does.
# Seen: undici 6.24.1: error, then readyState 0; undici 7.16.0: error, close, then readyState 3
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/refused.mjs" <<'JS'
import http from "node:http";
import { createRequire } from "node:module";
const { WebSocket } = createRequire(`${process.argv[2]}/`)("undici");
const server = http.createServer();
server.on("upgrade", (request, socket) =>
  socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
server.listen(0, "127.0.0.1", () => {
  const seen = [];
  const socket = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  for (const kind of ["open", "error", "close"]) socket.addEventListener(kind, () => seen.push(kind));
  setTimeout(() => {
    console.log(`${seen.join(", ")}, then readyState ${socket.readyState}`);
    process.exit(0);
  }, 2000);
});
JS
seen=""
for version in 6.24.1 7.16.0; do
  mkdir "$work/$version"
  (cd "$work/$version" && npm install --silent --no-audit --no-fund "undici@$version" >/dev/null)
  seen+="undici $version: $(node "$work/refused.mjs" "$work/$version"); "
done
echo "${seen%; }"
test "$seen" = "undici 6.24.1: error, then readyState 0; undici 7.16.0: error, close, then readyState 3; "
