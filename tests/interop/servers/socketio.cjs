// An echo by Socket.IO, whose namespace wants a token, and which may be told to part.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  maxHttpBufferSize: 2 * 2 ** 20,
  perMessageDeflate: true,
  pingInterval: 200,
  pingTimeout: 20000,
});

io.use((socket, next) => {
  next(socket.handshake.auth.token === "good" ? undefined : new Error("not for you"));
});
io.on("connection", (socket) => socket.on("echo", (value, answer) => answer(value)));
http.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => io.close());
