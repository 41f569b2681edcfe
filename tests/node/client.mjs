// The stock npm SDK as a client in a test: follows a channel and posts into it.
//
//   node client.mjs WEBSOCKET_URL TOKEN CHANNEL POSTS [TRANSPORTS]
//
// TRANSPORTS, such as "websocket,http_stream,sse", are tried in their order; "blocked" is a WebSocket that nobody answers.
// Prints one JSON document a line: {"connected": {...}} at each connection, {"subscribed": {...}} at each (re)subscription,
// {"event": {...}} for each publication, {"ack": {...}} for each of its posts, {"failed": "..."} before it gives up. It posts
// when a line comes on standard input, and ends when standard input ends.

import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const [url, token, channel, posts, transports] = process.argv.slice(2);
const base = url.replace(/^ws/, "http").replace(/\/connection\/websocket$/, "");

function endpoint(transport) {
  return {
    websocket: { transport, endpoint: url },
    blocked: { transport: "websocket", endpoint: url.replace(/websocket$/, "blocked") },
    http_stream: { transport, endpoint: `${base}/connection/http_stream` },
    sse: { transport, endpoint: `${base}/connection/sse` },
  }[transport];
}

function print(document) {
  process.stdout.write(JSON.stringify(document) + "\n");
}

function giveUp(error) {
  print({ failed: String(error.message ?? error) });
  process.exitCode = 1;
  client.disconnect();
}

const client = new Centrifuge(transports ? transports.split(",").map(endpoint) : url, {
  token,
  websocket: WebSocket,
  eventsource: EventSource,
  emulationEndpoint: `${base}/emulation`,
  minReconnectDelay: 50,
  maxReconnectDelay: 500,
});
client.on("connected", ({ transport }) => print({ connected: { transport } }));
client.on("disconnected", ({ code, reason }) => code !== 0 && giveUp(new Error(`disconnected ${code} ${reason}`)));

const subscription = client.newSubscription(channel);
subscription.on("subscribed", ({ wasRecovering, recovered, streamPosition }) =>
  print({ subscribed: { wasRecovering, recovered, streamPosition } }),
);
subscription.on("publication", ({ data, offset }) => print({ event: data, offset }));
subscription.subscribe();
client.connect();

async function postAll() {
  for (let number = 0; number < Number(posts); number += 1) {
    const key = `node-${number}`;
    const { data } = await client.rpc("post", { conversation: channel, text: `from node ${number}`, idempotency_key: key });
    print({ ack: { key, id: data.id, offset: data.offset } });
  }
}

const input = createInterface({ input: process.stdin });
input.once("line", () => postAll().catch(giveUp));
input.once("close", () => {
  client.removeAllListeners("disconnected");
  client.disconnect();
});
