// GraphQL over WebSocket by graphql-ws: `mutation { tick(value: 1) }` is what `ticks` gets.
const { EventEmitter, on } = require("node:events");
const { buildSchema } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");
const { WebSocketServer } = require("ws");

const bus = new EventEmitter();
const schema = buildSchema(`
  type Query { echo(text: String!): String! }
  type Mutation { tick(value: Int!): Int! }
  type Subscription { ticks: Int! once: Int! failing: Int! }
`);

const roots = {
  query: { echo: ({ text }) => text },
  mutation: {
    tick: ({ value }) => {
      bus.emit("tick", value);
      return bus.listenerCount("tick"); // how many subscribe
    },
  },
  subscription: {
    ticks: () => {
      const source = on(bus, "tick");
      return {
        [Symbol.asyncIterator]() { return this; },
        async next() {
          const { value, done } = await source.next();
          return { done, value: done ? undefined : { ticks: value[0] } };
        },
        return: () => source.return(),
      };
    },
    once: async function* () { yield { once: 1 }; },
    failing: () => { throw new Error("not for you"); },
  },
};

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
useServer(
  {
    schema,
    roots,
    onConnect: ({ connectionParams }) => connectionParams?.Authorization === "Bearer long-lived",
  },
  server,
  200, // milliseconds between two pings
);
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit()).resume();
