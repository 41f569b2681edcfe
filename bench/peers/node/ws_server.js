// The peer `ws`: a loop over the room's members, no compression. Speaks `dialects/plain.py`. Stores nothing.
import { WebSocket, WebSocketServer } from "ws";

const rooms = new Map();

function roomOf(name) {
  let room = rooms.get(name);
  if (!room) rooms.set(name, (room = { members: new Set(), offset: 0 }));
  return room;
}

function post(connection, rest) {
  const first = rest.indexOf(" ");
  const second = rest.indexOf(" ", first + 1);
  const room = roomOf(rest.slice(first + 1, second));
  room.offset += 1;
  // One buffer for all: a string would be encoded again for every member.
  const event = Buffer.from(`event ${room.offset} ${rest.slice(second + 1)}`);
  for (const member of room.members) {
    if (member.readyState === WebSocket.OPEN) member.send(event, { binary: false });
  }
  connection.send(`ok ${rest.slice(0, first)}`);
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 2048, perMessageDeflate: false });

server.on("connection", (connection) => {
  let joined = null;
  connection.on("message", (data) => {
    const message = data.toString();
    const space = message.indexOf(" ");
    const rest = message.slice(space + 1);
    if (message.startsWith("post ")) {
      post(connection, rest);
    } else if (message.startsWith("join ")) {
      joined = roomOf(rest);
      joined.members.add(connection);
      connection.send(`joined ${joined.offset}`);
    }
  });
  connection.on("close", () => joined?.members.delete(connection));
  connection.on("error", () => connection.terminate());
});

server.on("listening", () => console.log(`ready at http://127.0.0.1:${server.address().port}`));
