// The official client of Pusher, which talks to a peer of the tests and says how far it is.
const { createHmac } = require("node:crypto");
const Pusher = require("pusher-js");

const say = (...values) => console.log(JSON.stringify(values));
const url = new URL(process.argv[2]);
const pusher = new Pusher("key", {
  wsHost: url.hostname,
  wsPort: Number(url.port),
  forceTLS: false,
  cluster: "",
  enabledTransports: ["ws"],
  enableStats: false,
  activityTimeout: 200,
  channelAuthorization: {
    customHandler: ({ socketId, channelName }, done) => {
      const text = `${socketId}:${channelName}`;
      done(null, { auth: "key:" + createHmac("sha256", "secret").update(text).digest("hex") });
    },
  },
});
pusher.connection.bind("connected", () => say("connected"));
const chat = pusher.subscribe("private-chat");
chat.bind("pusher:subscription_succeeded", () => {
  say("subscribed");
  chat.trigger("client-typing", { by: "js" });
});
chat.bind("new", (data) => say("new", data));
pusher.subscribe("news").bind("new", (data) => say("news", data));
pusher.subscribe("private-secret").bind("pusher:subscription_error", ({ status }) => {
  say("refused", status);
});
process.stdin.on("data", () => pusher.unsubscribe("news"));
process.stdin.on("end", () => process.exit()).resume();
