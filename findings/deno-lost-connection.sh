#!/usr/bin/env bash
# The WebSocket of Deno 2.9.6 fires `close` with the code 0 for a connection that was lost or refused. The
# standard has 1006, which ws 8.23.0 and Bun 1.4.5 report: a program that looks for 1006 to connect again
# does nothing in Deno.
# Seen: lost: deno 0, bun 1006, ws 1006; refused (403): deno 0, bun 1006, ws 1006
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund ws@8.23.0 bun@1.4.5 deno@2.9.6 >/dev/null
cat >server.cjs <<'JS'
const http = require("http");
const { WebSocketServer } = require("ws");
const server = http.createServer(), peer = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  if (request.url === "/refused") return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  peer.handleUpgrade(request, socket, head, (connection) => connection.on("message", () => socket.end()));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
cat >client.mjs <<'JS'
const [kind, url] = globalThis.Deno?.args ?? process.argv.slice(2);
const WebSocket = kind === "ws" ? (await import("ws")).WebSocket : globalThis.WebSocket;
const socket = new WebSocket(url);
socket.onopen = () => socket.send("end");
socket.onerror = () => {};
socket.onclose = (event) => { console.log(event.code); (globalThis.Deno ?? process).exit(0); };
JS
exec 3< <(exec node server.cjs)
server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT
read -r port <&3
told=""
for path in lost refused; do
  url="ws://127.0.0.1:$port/$path"
  told+="$path: deno $(node_modules/.bin/deno run -A client.mjs deno "$url"), "
  told+="bun $(node_modules/.bin/bun client.mjs bun "$url"), ws $(node client.mjs ws "$url"); "
done
echo "${told%; }"
test "$told" = "lost: deno 0, bun 1006, ws 1006; refused: deno 0, bun 1006, ws 1006; "
