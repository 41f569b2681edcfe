/**
 * The message log on the page: rows from `rows.js` become elements, and the reader's place is kept.
 *
 * Invariants: names and texts reach the page only as text nodes; an element is reused while its row looks the same;
 * whoever is at the newest end stays there, and for everyone else the first visible row does not move.
 */

import { isSomebody } from "./identity.js";
import { colourOf, initials, linkParts } from "./text.js";

const AT_END_PX = 60;
const NEAR_PX = 600;
const FOLD_CHARS = 2_000;
const FOLD_LINES = 24;
const SPOKEN_ROWS = 5;
const AVATAR_COLOURS = 8;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dated = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });

/** A new element with class, text and children. */
export function element(tag, className, text = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

/** Dresses an avatar for a person. */
export function paintAvatar(avatar, person, extra = "") {
  avatar.className = `avatar ${extra} c${colourOf(person.id, AVATAR_COLOURS)}`;
  avatar.textContent = initials(person.name);
}

export class LogView {
  #scroller;
  #list;
  #actions;
  #made = new Map();
  #speak_timer = null;

  /**
   * @param {HTMLElement} scroller what scrolls
   * @param {HTMLElement} list the log inside it
   * @param {{moved(), tail(): boolean, retry(key), discard(key), person(author)}} actions
   */
  constructor(scroller, list, actions) {
    this.#scroller = scroller;
    this.#list = list;
    this.#actions = actions;
    /** Whether the reader is at the newest end, so that new rows come into view. */
    this.following = true;
    scroller.addEventListener("scroll", () => this.#moved(), { passive: true });
    new ResizeObserver(() => this.following && this.toEnd()).observe(scroller);
  }

  get near_top() {
    return this.#scroller.scrollTop < NEAR_PX;
  }

  get near_end() {
    return this.#below() < NEAR_PX;
  }

  /** Scrolls to the newest row. */
  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.following = true;
  }

  /** Shows these rows; `around` changes what stands beside the list in the same breath. */
  render(rows, around) {
    const anchor = this.following ? null : this.#anchor();
    this.#quietFor(rows);
    around();
    this.#reconcile(rows);
    if (this.following) this.toEnd();
    else {
      if (anchor?.element.isConnected) {
        this.#scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top_px;
      }
      this.#settle();
    }
  }

  #below() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  /**
   * Whoever leaves the end stops following. Whoever comes to it follows only if it is the newest end: one who pages
   * down through history is not carried away, and one who follows while the window lags behind goes on following.
   */
  #settle() {
    this.following = this.#below() < AT_END_PX && (this.following || this.#actions.tail());
  }

  #moved() {
    this.#settle();
    this.#actions.moved();
  }

  /** The first message in view, and where it stands. */
  #anchor() {
    const edge_px = this.#scroller.getBoundingClientRect().top;
    for (const row of this.#list.children) {
      if (!row.classList.contains("msg")) continue;
      const box = row.getBoundingClientRect();
      if (box.bottom > edge_px) return { element: row, top_px: box.top };
    }
    return null;
  }

  /** A few new rows at the end are read aloud; history that comes in is not. */
  #quietFor(rows) {
    const fresh = rows.filter((row) => !this.#made.has(row.key));
    const tail = fresh.length > 0 && fresh[0] === rows[rows.length - fresh.length];
    const speak = this.#made.size > 0 && tail && fresh.length <= SPOKEN_ROWS;
    if (speak || fresh.length === 0) return;
    this.#list.setAttribute("aria-live", "off");
    clearTimeout(this.#speak_timer);
    this.#speak_timer = setTimeout(() => this.#list.setAttribute("aria-live", "polite"), 500);
  }

  #reconcile(rows) {
    const wanted = new Set(rows.map((row) => row.key));
    for (const [key, made] of this.#made) {
      if (wanted.has(key)) continue;
      made.element.remove();
      this.#made.delete(key);
    }
    let place = this.#list.firstChild;
    for (const row of rows) {
      const made = this.#made.get(row.key);
      const shown = made?.look === row.look ? made.element : this.#build(row);
      if (made && made.element !== shown) {
        made.element.replaceWith(shown);
        if (place === made.element) place = shown;
      }
      this.#made.set(row.key, { element: shown, look: row.look });
      if (shown === place) place = place.nextSibling;
      else this.#list.insertBefore(shown, place);
    }
  }

  #build(row) {
    if (row.kind === "day") return element("li", "day", "", element("span", "", dayLabel(row.at_ms)));
    if (row.kind === "unread") return element("li", "unread", "New");
    if (row.kind === "note") return element("li", "note", row.text);
    if (row.kind === "start") return startRow(row.look === "true");
    return this.#message(row);
  }

  #message(row) {
    const made = element("li", `msg${row.lead ? " lead" : ""}${row.kind === "unsent" ? " unsent" : ""}`);
    if (row.refused) made.classList.add("refused");
    if (row.offset !== undefined) made.dataset.offset = row.offset;
    const body = element("div", "body");
    if (row.lead) {
      const avatar = element("span");
      paintAvatar(avatar, row.author);
      avatar.setAttribute("aria-hidden", "true");
      made.append(avatar);
      body.append(this.#head(row));
    } else {
      const time = timeOf(row.at_ms, "time gutter");
      // Beside the text there is room for the figures only.
      time.textContent = time.textContent.replace(/\s*[ap]\.?m\.?$/i, "");
      made.append(time);
      body.append(element("span", "sr", `${row.author.name}: `));
    }
    body.append(...textOf(row.text));
    if (row.refused) body.append(this.#refusal(row));
    else if (row.kind === "unsent") body.append(element("div", "pending", "Not sent yet"));
    made.append(body);
    return made;
  }

  #head(row) {
    const head = element("div", "head", "", this.#name(row));
    const mark = row.own ? "you" : row.author.kind;
    if (mark !== "user") head.append(element("span", "chip", mark));
    head.append(timeOf(row.at_ms, "time"));
    return head;
  }

  /** No stop of the Tab key, or a thousand of them would stand before the composer: the panel of people has the names, too. */
  #name({ author, own }) {
    if (own || !isSomebody(author)) return element("span", "name", author.name);
    const name = element("button", "name", author.name);
    name.type = "button";
    name.tabIndex = -1;
    name.title = `About ${author.name}: write directly, block and more`;
    name.setAttribute("aria-haspopup", "dialog");
    name.addEventListener("click", () => this.#actions.person(author));
    return name;
  }

  #refusal(row) {
    const retry = element("button", "link", "Try again");
    retry.type = "button";
    retry.addEventListener("click", () => this.#actions.retry(row.outbox_key));
    const remove = element("button", "link", "Remove");
    remove.type = "button";
    remove.addEventListener("click", () => this.#actions.discard(row.outbox_key));
    const refusal = element("div", "refusal", "", element("span", "", `Not sent. ${row.reason}`), retry, remove);
    refusal.setAttribute("role", "alert");
    return refusal;
  }
}

function startRow(empty) {
  const row = element("li", "start", "", element("strong", "", "This is where it begins"));
  row.append(empty ? "Nobody has written anything yet. Say hello." : "You have reached the first message of this room.");
  return row;
}

function timeOf(at_ms, className) {
  const date = new Date(at_ms);
  const time = element("time", className, clock.format(date));
  time.dateTime = date.toISOString();
  time.title = full.format(date);
  return time;
}

function dayLabel(at_ms) {
  const date = new Date(at_ms);
  const today = new Date();
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
  const days = Math.round((midnight(today) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return date.getFullYear() === today.getFullYear() ? weekday.format(date) : dated.format(date);
}

/** The text with its links; a very long one is folded behind a button. */
function textOf(text) {
  const shown = element("div", "text");
  for (const part of linkParts(text)) {
    if (part.href === undefined) shown.append(part.text);
    else shown.append(linkTo(part));
  }
  const long = text.length > FOLD_CHARS || text.split("\n", FOLD_LINES + 1).length > FOLD_LINES;
  return long ? [shown, foldButton(shown)] : [shown];
}

function linkTo({ text, href }) {
  const link = element("a", "", text);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

function foldButton(shown) {
  const button = element("button", "link");
  button.type = "button";
  const fold = (folded) => {
    shown.classList.toggle("folded", folded);
    button.textContent = folded ? "Show all" : "Show less";
    button.setAttribute("aria-expanded", String(!folded));
  };
  button.addEventListener("click", () => fold(!shown.classList.contains("folded")));
  fold(true);
  return button;
}
