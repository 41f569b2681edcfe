/** Small pure functions on text: what is a link, how long is it, what stands in an avatar. */

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi;
const TRAILING = /[.,:;!?…]+$/;

/** Splits text into `{text}` and `{text, href}` parts; only http and https become links. */
export function linkParts(text) {
  const parts = [];
  let done = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = trimmed(match[0]);
    const href = safeHref(shown);
    if (href === null) continue;
    if (match.index > done) parts.push({ text: text.slice(done, match.index) });
    parts.push({ text: shown, href });
    done = match.index + shown.length;
  }
  if (done < text.length) parts.push({ text: text.slice(done) });
  return parts;
}

/** A sentence's punctuation, and a bracket that was opened before the link, do not belong to it. */
function trimmed(link) {
  let text = link.replace(TRAILING, "");
  for (const [open, close] of ["()", "[]", "{}"]) {
    while (text.endsWith(close) && text.split(close).length > text.split(open).length) {
      text = text.slice(0, -1).replace(TRAILING, "");
    }
  }
  return text;
}

function safeHref(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Length in bytes of UTF-8, as the server counts. */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/** Text as the server takes it: no NUL, no lone surrogates, no blank ends. */
export function cleaned(text) {
  const whole = text.toWellFormed ? text.toWellFormed() : text;
  return whole.replaceAll("\u0000", "").replace(/\r\n?/g, "\n").replace(/^\s*\n|\s+$/g, "");
}

/** One or two letters for an avatar. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return "?";
  const picked = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return picked.map((word) => [...word][0].toUpperCase()).join("");
}

/** A number from 0 to `count` - 1 that stays the same for an id. */
export function colourOf(id, count) {
  let hash = 0;
  for (const char of id) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return hash % count;
}

/** "Ada is typing", for one, two or more names; "" for none. */
export function typingLine(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing`;
  return "Several people are typing";
}
