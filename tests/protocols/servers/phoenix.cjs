// The official client of Phoenix, which talks to a peer of the tests and says how far it is.
const { Socket } = require("phoenix");
const WebSocket = require("ws");

const say = (...values) => console.log(JSON.stringify(values));
const socket = new Socket(process.argv[2], {
  transport: WebSocket,
  heartbeatIntervalMs: 200,
  reconnectAfterMs: () => 10,
  rejoinAfterMs: () => 10,
});
socket.connect();
const room = socket.channel("room:lobby");
const shout = (text) =>
  new Promise((resolve) => room.push("shout", { text }).receive("ok", resolve));

let joins = 0;
room.on("new", ({ number }) => say("new", number));
room.on("stale", () => say("stale"));
room.onClose(() => say("closed"));
room.join().receive("ok", async () => {
  joins += 1;
  say("joined", joins, (await shout(`after ${joins}`)).text);
});
const secret = socket.channel("room:secret");
secret.join().receive("error", ({ reason }) => {
  say("refused", reason);
  secret.leave(); // it would try for ever
});
process.stdin.on("end", () => process.exit()).resume();
process.stdin.on("data", () => room.leave());
