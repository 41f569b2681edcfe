// The peer `socket.io`: rooms, WebSocket only, no compression. Speaks `dialects/socketio.py`. Stores nothing.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  allowUpgrades: false,
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});
const offsets = new Map();

// Advised by the project's page on memory: nothing here looks at the first request again.
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.on("connection", (socket) => {
  socket.on("join", (room, answer) => {
    socket.join(room);
    answer(offsets.get(room) ?? 0);
  });
  socket.on("post", (room, body, answer) => {
    const offset = (offsets.get(room) ?? 0) + 1;
    offsets.set(room, offset);
    io.to(room).emit("event", offset, body);
    answer();
  });
});

http.listen({ host: "127.0.0.1", port: 0, backlog: 2048 }, () => {
  console.log(`ready at http://127.0.0.1:${http.address().port}`);
});
