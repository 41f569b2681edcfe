// The stock npm SDK with tokens that it fetches from a test.
//
//   node tokens.mjs WEBSOCKET_URL [CHANNEL]
//
// Asks for tokens on standard output ({"want": 1, "channel": ""}; the channel of a subscription token) and reads them on standard
// input ({"want": 1, "token": "..."}, without a token the fetching fails). With a channel it subscribes there. Prints what happens:
// {"event": "connected"}, {"event": "connecting", "code": ...}, ..., with the channel of a subscription, and
// {"event": "publication", "channel": ..., "text": ...}. Ends when standard input ends.

import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, channel] = process.argv.slice(2);
const wanted = new Map();
let wants = 0;

function print(document) {
  process.stdout.write(JSON.stringify(document) + "\n");
}

function fetchToken(name) {
  wants += 1;
  print({ want: wants, channel: name });
  return new Promise((resolve, reject) => wanted.set(wants, { resolve, reject }));
}

const client = new Centrifuge(url, {
  websocket: WebSocket,
  getToken: () => fetchToken(""),
  minReconnectDelay: 50,
  maxReconnectDelay: 200,
});
for (const event of ["connecting", "connected", "disconnected"]) {
  client.on(event, ({ code }) => print({ event, code }));
}
for (const event of ["subscribed", "unsubscribed"]) {
  client.on(event, ({ channel: name, wasRecovering, recovered }) =>
    print({ event: `server ${event}`, channel: name, recovered: wasRecovering && recovered }),
  );
}
client.on("publication", ({ channel: name, data }) => print({ event: "publication", channel: name, text: data.message.text }));

if (channel) {
  const options = { getToken: () => fetchToken(channel), minResubscribeDelay: 50, maxResubscribeDelay: 200 };
  const subscription = client.newSubscription(channel, options);
  for (const event of ["subscribing", "subscribed", "unsubscribed"]) {
    subscription.on(event, ({ code, wasRecovering, recovered }) =>
      print({ event, channel, code, recovered: wasRecovering && recovered }),
    );
  }
  subscription.on("publication", ({ data }) => print({ event: "publication", channel, text: data.message.text }));
  subscription.subscribe();
}
client.connect();

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const { want, token } = JSON.parse(line);
  const { resolve, reject } = wanted.get(want);
  wanted.delete(want);
  if (token) {
    resolve(token);
  } else {
    reject(new Error("no token just now"));
  }
});
input.once("close", () => client.disconnect());
