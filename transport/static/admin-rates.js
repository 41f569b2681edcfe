/** What two looks at the server's counters say: rates, quantiles, how things stand. Pure. */

/** Seconds between two documents of `/api/v1/admin/figures`; 0 where they cannot be compared (the server was started anew). */
export function secondsBetween(before, now) {
  if (before === null || now.rooms.delivered < before.rooms.delivered) return 0;
  if (now.process.cpu_seconds < before.process.cpu_seconds) return 0;
  return Math.max(0, (Date.parse(now.at) - Date.parse(before.at)) / 1000);
}

/** A counter's growth per second, or null where it cannot be told. */
export function rate(before, now, seconds) {
  return seconds > 0 && now >= before ? (now - before) / seconds : null;
}

/**
 * A quantile (0 to 1) of what a cumulative histogram has gained since `before`, in its unit: the bound of the bucket that
 * it falls into. Null where nothing was gained, Infinity above the last bound.
 */
export function quantile(before, now, q) {
  const gained = now.counts.map((count, place) => count - (before?.counts[place] ?? 0));
  const all = gained.at(-1);
  if (!(all > 0)) return null;
  const place = gained.findIndex((count) => count >= q * all);
  return place < now.bounds.length ? now.bounds[place] : Infinity;
}

/** A rate for people: 0, 0.4, 12, 3,400. */
export function shownRate(value) {
  if (value === null) return "–";
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

/** Seconds for people. */
export function shownSeconds(value, above = "") {
  if (value === null) return "–";
  if (value === Infinity) return `> ${above}`;
  return value < 1 ? `${Number((value * 1000).toPrecision(2))} ms` : `${Number(value.toPrecision(2))} s`;
}

/** A count with what is counted: "1 reader", "1,200 readers". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Bytes for people. */
export function shownBytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let place = 0;
  while (value >= 1024 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  return `${value < 10 && place > 0 ? value.toFixed(1) : Math.round(value)} ${units[place]}`;
}

/** The supervision tree as rows: `{key, depth, node}`, a part before what is below it. */
export function treeRows(node, depth = 0, path = "") {
  const key = `${path}/${node.name}`;
  const rows = [{ key, depth, node }];
  for (const child of node.children) rows.push(...treeRows(child, depth + 1, key));
  if (node.omitted) {
    rows.push({ key: `${key}/...`, depth: depth + 1, node: { name: `${node.omitted} more`, kind: "", state: "", restarts: 0, children: [] } });
  }
  return rows;
}

/** How a part stands: good, warn or bad. */
export function standing(node) {
  if (node.reason || node.state === "quarantined" || node.state === "stopped") return "bad";
  return node.state === "running" ? "good" : "warn";
}

/** The last values of a series, at most `limit`. */
export class Series {
  values = [];

  constructor(limit) {
    this.limit = limit;
  }

  add(value) {
    this.values.push(value ?? 0);
    if (this.values.length > this.limit) this.values.shift();
  }

  /** Points of a line in a box, newest at the right; "" for fewer than two. */
  points(width, height) {
    if (this.values.length < 2) return "";
    const top = Math.max(1, ...this.values);
    const step = width / (this.limit - 1);
    const first = width - step * (this.values.length - 1);
    return this.values.map((value, place) => `${(first + place * step).toFixed(1)},${(height - (value / top) * height).toFixed(1)}`).join(" ");
  }
}
