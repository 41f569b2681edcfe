/** Drawing of the operations page. Every text is set as text: names and reasons come from strangers. */

import { counted, rate, Series, quantile, shownBytes, shownRate, shownSeconds, standing, treeRows } from "./admin-rates.js";

const SVG = "http://www.w3.org/2000/svg";
const SERIES_ITEMS = 60;
const BOX = { width: 120, height: 20 };

/** An element with a class and children or text. */
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function setState(target, state) {
  if (state) target.dataset.state = state;
  else delete target.dataset.state;
}

/** Rows that stay the same elements while their keys last, so that nothing jumps or loses focus when they are drawn anew. */
class Rows {
  #parent;
  #make;
  #fill;
  #kept = new Map();

  constructor(parent, make, fill) {
    this.#parent = parent;
    this.#make = make;
    this.#fill = fill;
  }

  draw(items, keyOf) {
    const before = this.#kept;
    this.#kept = new Map();
    items.forEach((item, place) => {
      const key = keyOf(item);
      const row = before.get(key) ?? this.#make();
      before.delete(key);
      this.#kept.set(key, row);
      this.#fill(row, item);
      if (this.#parent.children[place] !== row) this.#parent.insertBefore(row, this.#parent.children[place] ?? null);
    });
    for (const row of before.values()) row.remove();
  }
}

function tableRow(...classes) {
  return () => element("tr", "", ...classes.map((name) => element("td", name)));
}

function fillCells(row, cells) {
  cells.forEach((cell, place) => {
    const [text, state] = Array.isArray(cell) ? cell : [cell, ""];
    setText(row.children[place], text);
    setState(row.children[place], state);
  });
}

export class View {
  #tiles = new Map();
  #box;
  #rooms;
  #tree;
  #refusals;
  #audit;
  #none;

  /** @param {(id: string) => HTMLElement} find an element of the page by its id */
  constructor(find) {
    this.#box = find("tiles");
    this.#rooms = new Rows(find("rooms"), tableRow("text", ...Array(7).fill("number")), fillRoom);
    this.#tree = new Rows(find("tree"), treeRow, fillPart);
    this.#refusals = new Rows(find("refusals"), tableRow("text", "number", "number"), (row, item) =>
      fillCells(row, [item.code, shownRate(item.rate), item.count.toLocaleString("en")]),
    );
    this.#audit = new Rows(find("audit"), tableRow("when", "text", "text", "text", "", "text"), fillAudit);
    this.#none = (name, empty) => (find(`${name}-none`).hidden = !empty);
  }

  figures(before, now, seconds) {
    const { rooms, commits, connections, process } = now;
    const was = seconds > 0 ? before : null;
    const posts = commits && rate(was?.commits?.rows ?? 0, commits.rows, seconds);
    const cpu = rate(was?.process.cpu_seconds ?? 0, process.cpu_seconds, seconds);
    if (commits) {
      const slowest = quantile(was?.commits?.seconds, commits.seconds, 0.99);
      const queue = commits.queued ? `${counted(commits.queued, "row")} waiting` : `p99 ${shownSeconds(slowest, "")}`;
      this.#tile("Commits: rows/s", shownRate(posts), queue, { series: posts, state: commits.queued > commits.queue_capacity / 2 ? "bad" : "" });
    }
    const delivered = rate(was?.rooms.delivered ?? 0, rooms.delivered, seconds);
    const lag = quantile(was?.rooms.fanout_seconds, rooms.fanout_seconds, 0.99);
    this.#tile("Deliveries/s", shownRate(delivered), `fan-out p99 ${shownSeconds(lag)}`, { series: delivered });
    this.#tile("Connections", connections.open.toLocaleString("en"), kinds(connections), {
      state: connections.open > 0.9 * connections.capacity ? "warn" : "",
    });
    this.#tile("Slow readers", connections.blocked.toLocaleString("en"), `${connections.cut_off.toLocaleString("en")} cut off so far`, {
      state: connections.blocked > 0 ? "warn" : "",
    });
    this.#tile("Rooms in memory", rooms.conversations.toLocaleString("en"), `${counted(rooms.subscribers, "reader")}, ${shownBytes(rooms.tail_bytes)}`);
    this.#tile("Waiting", (rooms.mailbox + rooms.waiting).toLocaleString("en"), `${rooms.mailbox} in mailboxes, ${counted(rooms.waiting, "post")}`);
    this.#tile("Quarantined", String(rooms.quarantined), `${counted(rooms.crashes, "crash", "crashes")} so far`, { state: rooms.quarantined ? "bad" : "" });
    this.#tile("Process", cpu === null ? "–" : `${Math.round(cpu * 100)} % CPU`, `peak ${shownBytes(process.peak_memory_bytes)}, loop ${shownSeconds(process.loop_lag_worst_seconds)} late`, {
      state: process.loop_lag_worst_seconds > 0.25 ? "warn" : "",
    });
    this.#refused(was, now, seconds);
  }

  rooms(found) {
    this.#none("rooms", found.length === 0);
    this.#rooms.draw(found, (room) => room.conversation);
  }

  tree(root) {
    this.#tree.draw(treeRows(root), (row) => row.key);
  }

  audit(found) {
    this.#none("audit", found.length === 0);
    this.#audit.draw(found, (row) => row.id);
  }

  #refused(was, now, seconds) {
    const before = new Map((was?.refusals ?? []).map((each) => [each.code, each.count]));
    const found = now.refusals.map((each) => ({ ...each, rate: rate(before.get(each.code) ?? 0, each.count, seconds) }));
    this.#none("refusals", found.length === 0);
    this.#refusals.draw(found, (each) => each.code);
  }

  #tile(name, value, more, { series, state = "" } = {}) {
    let tile = this.#tiles.get(name);
    if (!tile) this.#tiles.set(name, (tile = this.#newTile(name, series !== undefined)));
    setText(tile.value, value);
    setText(tile.more, more);
    setState(tile.box, state);
    if (tile.line) {
      tile.series.add(series);
      tile.line.setAttribute("points", tile.series.points(BOX.width, BOX.height));
    }
  }

  #newTile(name, drawn) {
    const tile = { value: element("div", "value"), more: element("div", "more") };
    tile.box = element("div", "tile", element("div", "name", name), tile.value, tile.more);
    if (drawn) {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", `0 -1 ${BOX.width} ${BOX.height + 2}`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      tile.line = document.createElementNS(SVG, "polyline");
      for (const [key, set] of [["fill", "none"], ["stroke", "currentColor"], ["stroke-width", "1.5"], ["vector-effect", "non-scaling-stroke"]]) {
        tile.line.setAttribute(key, set);
      }
      svg.append(tile.line);
      tile.series = new Series(SERIES_ITEMS);
      tile.box.append(svg);
    }
    this.#box.append(tile.box);
    return tile;
  }
}

function kinds({ kinds: found, refused }) {
  const words = {
    websocket: ["WebSocket"], events: ["stream"], sse: ["SSE stream"], http_stream: ["HTTP stream"], http: ["HTTP", "HTTP"],
  };
  const parts = Object.entries(words).filter(([kind]) => found[kind] > 0).map(([kind, word]) => counted(found[kind], ...word));
  if (refused > 0) parts.push(`${refused} refused`);
  return parts.join(", ");
}

function fillRoom(row, room) {
  fillCells(row, [
    room.conversation,
    shownRate(room.recent / 10),
    room.subscribers.toLocaleString("en"),
    [String(room.slow), room.slow > 0 ? "warn" : ""],
    [room.lag.toLocaleString("en"), room.lag > 1000 ? "bad" : room.lag > 0 ? "warn" : ""],
    String(room.mailbox),
    String(room.waiting),
    room.offset.toLocaleString("en"),
  ]);
}

function treeRow() {
  return element("li", "", element("span", "name"), element("span", "kind muted"), element("span", "state"), element("span", "more muted"), element("span", "reason"));
}

function fillPart(row, { depth, node }) {
  const [name, kind, state, more, reason] = row.children;
  row.className = `depth${Math.min(depth, 4)}`;
  setText(name, node.name);
  setText(kind, node.kind);
  setText(state, node.state);
  setState(state, node.state ? standing(node) : "");
  const held = node.depth === undefined ? [] : [`${node.kind === "registry" ? "live" : "mailbox"} ${node.depth}/${node.capacity ?? 0}`];
  if (node.restarts) held.push(counted(node.restarts, "restart"));
  setText(more, held.join(", "));
  setText(reason, node.reason ?? "");
  reason.hidden = !node.reason;
}

function fillAudit(row, found) {
  const answer = found.code ? `${found.status} ${found.code}` : String(found.status);
  fillCells(row, [
    new Date(found.at).toLocaleString(),
    found.actor_name ?? found.actor ?? "nobody",
    found.action,
    found.target_name ? `${found.target_name}: ${found.target}` : found.target,
    [answer, found.status >= 400 ? "warn" : ""],
    found.address ?? "",
  ]);
}
