// The paths of `asgi.py` by Node's ws.
const { createServer } = require("node:http");
const { WebSocketServer } = require("ws");

const http = createServer();
const server = new WebSocketServer({
  noServer: true,
  maxPayload: 2 * 2 ** 20,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has("second") ? "second" : false),
});

http.on("upgrade", (request, socket, head) => {
  if (request.url === "/refuse") return socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  server.handleUpgrade(request, socket, head, (client) => {
    client.on("error", () => {});
    if (request.url === "/push") {
      client.pause(); // a handler that receives nothing
      client.send("1");
      setTimeout(() => client.send("2", () => client.resume()), 1500);
    }
    client.on("message", (data, binary) => {
      if (request.url === "/return") return client.close();
      if (request.url === "/raise") throw new Error("behind a message"); // ends the process
      client.send(data, { binary });
    });
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1");
