// An echo by ws that does not read for its first 1.5 seconds: while it is paused it sends no pong.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("connection", (socket) => {
  socket.pause();
  setTimeout(() => socket.resume(), 1500);
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit()).resume();
