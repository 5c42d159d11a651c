// Microsoft's client of SignalR, which talks to a hub of the tests and says how far it is.
const { HubConnectionBuilder, HttpTransportType, LogLevel } = require("@microsoft/signalr");

const say = (...values) => console.log(JSON.stringify(values));
const failure = (promise) => promise.then(() => "none", (error) => error.message);

async function main(url) {
  const connection = new HubConnectionBuilder()
    .withUrl(url, { skipNegotiation: true, transport: HttpTransportType.WebSockets })
    .withAutomaticReconnect([0])
    .configureLogging(LogLevel.None)
    .build();
  connection.keepAliveIntervalInMilliseconds = 200;
  const reconnected = new Promise((resolve) => connection.onreconnected(resolve));
  connection.on("Welcome", (number) => say("welcome", number));
  connection.on("Ask", () => "asked");
  await connection.start();

  connection.stream("Counter").subscribe({
    next: (item) => say("item", item),
    complete: () => say("complete"),
    error: () => say("lost"),
  });
  const clock = connection.stream("Clock").subscribe({ next() {}, complete() {}, error() {} });
  say("sum", await connection.invoke("Add", 2, 3));
  say("refused", await failure(connection.invoke("Nothing")));
  connection.stream("Secret").subscribe({
    next() {}, complete() {}, error: (error) => say("secret", error.message),
  });
  await connection.invoke("Add");
  clock.dispose();
  say("ready");

  await reconnected;
  connection.stream("Counter").subscribe({
    next: (item) => say("item", item),
    complete: () => say("complete"),
    error: () => say("lost"),
  });
  say("again", await connection.invoke("Add", 4));
}

main(process.argv[2]).catch((error) => say("failed", error.message));
process.stdin.on("end", () => process.exit()).resume();
