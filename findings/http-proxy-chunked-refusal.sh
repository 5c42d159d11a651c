#!/usr/bin/env bash
# http-proxy 1.18.1, the proxy of many development servers, breaks a chunked refusal of a WebSocket: it
# passes the header `transfer-encoding: chunked` on, and the body without its chunks. A client that
# reads the body sees a protocol error in place of the 401. A body with a length arrives whole.
# http-proxy-3 1.23.3, its fork, keeps the chunks.
# Seen: http-proxy: length 401 and 17 bytes, chunked 401 and HPE_INVALID_CHUNK_SIZE;
#   http-proxy-3: length 401 and 17 bytes, chunked 401 and 17 bytes
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund http-proxy@1.18.1 http-proxy-3@1.23.3 ws@8.23.0 >/dev/null
cat >refused.cjs <<'JS'
const http = require("node:http");
const { WebSocket } = require("ws");
const refuse = (request, response) => {
  const body = '{"why":"no key!"}';
  const length = request.url === "/length" ? { "Content-Length": body.length } : {};
  response.writeHead(401, { "Content-Type": "application/json", ...length });
  response.write(body.slice(0, 7));
  response.end(body.slice(7));
};
const listen = (server) =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
const dial = (url) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.on("unexpected-response", (request, response) => {
      let size = 0;
      const tell = (what) => resolve(`${response.statusCode} and ${what}`);
      response.on("data", (data) => { size += data.length; });
      response.on("end", () => tell(`${size} bytes`));
      response.on("error", (error) => tell(error.code));
      request.on("error", (error) => tell(error.code));
    });
    socket.on("error", () => {});
  });
(async () => {
  const backend = await listen(http.createServer(refuse));
  const seen = [];
  for (const name of ["http-proxy", "http-proxy-3"]) {
    const proxy = require(name).createProxyServer({ target: `http://127.0.0.1:${backend}`, ws: true });
    const front = http.createServer().on("upgrade", (...upgrade) => proxy.ws(...upgrade));
    const url = `ws://127.0.0.1:${await listen(front)}`;
    seen.push(`${name}: length ${await dial(`${url}/length`)}, chunked ${await dial(`${url}/chunked`)}`);
  }
  console.log(seen.join("; "));
  const whole = "401 and 17 bytes";
  process.exit(seen.join() === [
    `http-proxy: length ${whole}, chunked 401 and HPE_INVALID_CHUNK_SIZE`,
    `http-proxy-3: length ${whole}, chunked ${whole}`,
  ].join() ? 0 : 1);
})();
JS
node --no-deprecation refused.cjs
