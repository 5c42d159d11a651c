// Socket.IO that wants a token, acknowledges `echo`, and emits to all what `news` brings.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { pingInterval: 200, pingTimeout: 20000 });
const notes = [];

io.use((socket, next) => {
  next(socket.handshake.auth.token === "long-lived" ? undefined : new Error("not for you"));
});
io.on("connection", (socket) => {
  socket.on("echo", (...values) => values.pop()(...values));
  socket.on("news", (...values) => { io.emit("news", ...values.slice(0, -1)); values.pop()(); });
  socket.on("ask", async (value, answer) => {
    answer((await socket.timeout(5000).emitWithAck("news", value)) === undefined);
  });
  socket.on("note", (value, answer) => answer(notes.push(value)));
  socket.on("leave", () => socket.disconnect());
});
http.listen(0, "127.0.0.1", () => {
  console.log(`ws://127.0.0.1:${http.address().port}/socket.io`);
});
process.stdin.on("end", () => process.exit()).resume();
