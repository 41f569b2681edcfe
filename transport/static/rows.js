/**
 * What the log shows, from top to bottom, as plain data: messages with day and unread separators, then unsent posts.
 *
 * Invariants: keys are unique and a message keeps its key; a row whose `key` and `look` are unchanged looks the same.
 * Pure: the view makes elements of it.
 */

const GROUP_GAP_MS = 5 * 60_000;

/**
 * @param {object} view
 * @param {object[]} view.messages oldest first
 * @param {object[]} view.unsent the outbox's items
 * @param {{id, name} | null} view.me
 * @param {number | null} view.unread_after offset after which the unread separator stands
 * @param {{text, before} | null} view.note a remark that stands before the first message at or after `before`
 * @param {boolean} view.complete whether the first message is the first of the room
 * @param {number} view.now_ms the time, because a day's label changes at midnight
 * @returns {object[]} rows `{key, kind, look, ...}`
 */
export function buildRows({ messages, unsent, me, unread_after, note, complete, now_ms }) {
  const rows = [];
  if (complete) rows.push({ key: "start", kind: "start", look: String(messages.length === 0) });
  let previous = null;
  let noted = note === null;
  let marked = unread_after === null;
  const put = (item, at_ms) => {
    const day = dayOf(at_ms);
    let broken = previous === null;
    if (previous?.day !== day) {
      rows.push({ key: `day-${day}-${item.key}`, kind: "day", look: dayOf(now_ms), at_ms });
      broken = true;
    }
    if (!noted && (item.offset === undefined || item.offset >= note.before)) {
      rows.push({ key: "note", kind: "note", look: note.text, text: note.text });
      noted = broken = true;
    }
    if (!marked && item.offset > unread_after) {
      rows.push({ key: "unread", kind: "unread", look: "" });
      marked = broken = true;
    }
    const lead = broken || previous.author_id !== item.author.id || at_ms - previous.at_ms > GROUP_GAP_MS;
    rows.push({ ...item, lead, at_ms, look: `${lead}|${item.look}` });
    previous = { day, author_id: item.author.id, at_ms };
  };
  for (const message of messages) put(messageItem(message, me), Date.parse(message.created_at));
  if (!noted) rows.push({ key: "note", kind: "note", look: note.text, text: note.text });
  noted = true;
  for (const post of unsent) {
    if (post.seen === null) put(unsentItem(post, me), post.at_ms);
  }
  return rows;
}

function messageItem(message, me) {
  const own = message.author.id === me?.id;
  return {
    key: `m-${message.id}`,
    kind: "message",
    offset: message.offset,
    author: message.author,
    text: message.text,
    own,
    look: `${own}|${message.revision ?? 1}`,
  };
}

function unsentItem(post, me) {
  return {
    key: `o-${post.key}`,
    kind: "unsent",
    outbox_key: post.key,
    author: { id: me?.id ?? "", name: me?.name ?? "", kind: "guest" },
    text: post.text,
    own: true,
    refused: post.state === "refused",
    reason: post.reason,
    look: `${post.state === "refused"}|${post.reason}`,
  };
}

/** The local day of a time, as text that differs from day to day. */
function dayOf(at_ms) {
  const date = new Date(at_ms);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}
