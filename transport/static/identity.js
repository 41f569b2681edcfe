/** Who may come in and how, and what is said about it: pure functions of what the server and the address bar say. */

const PROGRAMS = [
  [/\bEdg\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bFirefox\//, "Firefox"],
  [/\b(?:Headless)?Chrome\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const SYSTEMS = [
  [/\bAndroid\b/, "Android"],
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

/** Seconds, name, and up to how many seconds it is told in them. */
const UNITS = [
  [1, "second", 90],
  [60, "minute", 90 * 60],
  [3_600, "hour", 48 * 3_600],
  [86_400, "day", Infinity],
];

const LOGIN_ERRORS = new Map([
  ["access_denied", "The login was declined."],
  ["provider_unavailable", "The login service does not answer just now. Try again in a moment."],
  ["provider_error", "The login service refuses this server. Its operator has to look into that."],
  ["unknown_state", "That took too long, or was begun elsewhere. Begin again."],
  ["no_account", "No account here belongs to that login, and none is made by itself."],
  ["email_refused", "Your e-mail address is not one of those that may log in here."],
  ["identity_taken", "That login opens another account already."],
  ["account_disabled", "This account is disabled."],
]);

/** The id under which the server itself owns rooms. */
const SERVER = "hubbub";

/** The code of a refused command for what does not exist, or is not to be known of. */
const UNKNOWN_CHANNEL = 102;
/** Codes of refused commands are below this, those of closed connections and ended subscriptions are not. */
const LEAST_CLOSE_CODE = 1000;
/** The code of a subscription that was ended for good; the reason that comes with it is the code of an error. */
const UNSUBSCRIBED = 2000;
/** Who is kept from reading where everybody may: only a ban does that. */
const FORBIDDEN = "forbidden";

/** The close code of a session that was revoked. */
export const REVOKED = 3500;
const EXPIRED = 3005;
const ACCOUNT_CHANGED = 4002;

/** Close codes that say something about who we are: look again. */
export const ABOUT_US = new Set([REVOKED, EXPIRED, ACCOUNT_CHANGED]);

/** Whether somebody can be written to and blocked: the server itself, which owns rooms that nobody has made, cannot. */
export function isSomebody(user) {
  return user.id !== SERVER;
}

/** A text of the server's as a sentence of its own. */
export function sentence(text) {
  const trimmed = text.trim();
  if (trimmed === "") return "";
  const begun = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** How long a time is: "6 seconds", "2 minutes", "3 hours", "7 days"; never less than it is. */
export function durationText(seconds) {
  const [unit_s, unit] = UNITS.find(([, , most_s]) => seconds <= most_s);
  const count = seconds / unit_s;
  const whole = Math.max(1, Math.ceil(count));
  return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
}

/** What went wrong with a call, and when it may be tried again. */
export function refusalText(error) {
  if (error.status === 429 && error.retry_after_s !== null) {
    return `Too many attempts. Try again in ${durationText(error.retry_after_s)}.`;
  }
  if (error.status === 503 && error.retry_after_s !== null) {
    return `The server cannot do this just now. Try again in ${durationText(error.retry_after_s)}.`;
  }
  return sentence(error.message);
}

/** Why a login with a provider came to nothing; the server's word for it is `reason`. */
export function loginErrorText(reason) {
  return LOGIN_ERRORS.get(reason) ?? "The login came to nothing. Try again.";
}

/** The ways in that a server offers, and which of them is open first. `about` is what it says of itself. */
export function waysIn(about, { invited = false, known = false } = {}) {
  const ways = ["login"];
  if (about.sign_up !== "off") ways.push("signup");
  if (about.guests) ways.push("guest");
  const first = invited && ways.includes("signup") ? "signup" : known || !about.guests ? "login" : "guest";
  return { ways, first };
}

/** The secret behind `#` of an address: `{kind: "invite" | "signup", token}`, or null. */
export function secretOf({ pathname, hash }) {
  const text = hash.replace(/^#/, "");
  const [, kind = "", token = ""] = (pathname === "/invite" ? `invite=${text}` : text).match(/^(\w+)=([\w-]{1,100})$/) ?? [];
  return kind === "invite" || kind === "signup" ? { kind, token } : null;
}

/** What a session's label says: the browser and the system, or the label as it is. */
export function programName(label) {
  const program = PROGRAMS.find(([pattern]) => pattern.test(label));
  const system = SYSTEMS.find(([pattern]) => pattern.test(label));
  if (program && system) return `${program[1]} on ${system[1]}`;
  return program?.[1] ?? (label || "Unknown program");
}

/** What to say when the session is over. `code` is the close code that came, if one did; `account` whether it was an account's. */
export function sessionEndedText(code, { account }) {
  const ends = new Map([
    [REVOKED, "Your session was ended from elsewhere."],
    [EXPIRED, "Your session has expired."],
  ]);
  const next = account ? "Sign in again to go on" : "Pick a name to go on";
  return `${ends.get(code) ?? "Your session has ended."} ${next}; what you have not sent yet is kept.`;
}

/** Why a room is shut to us: by the code and the text of what ended the connection, or of what refused it. */
export function endedText({ code, message = "" }) {
  if (code === UNSUBSCRIBED && message === FORBIDDEN) return "You have been banned from this room.";
  if (code === UNSUBSCRIBED) return "You are no longer in this room: you were removed, or it became private.";
  if (code === UNKNOWN_CHANNEL) return "This room does not exist, or it is private.";
  if (code < LEAST_CLOSE_CODE && message !== "") return sentence(message);
  return `The server closed the connection${message ? `: ${message}` : ""}.`;
}

/** When something was last used; the server counts that in steps of minutes. */
export function sinceText(at, now_ms) {
  const seconds = (now_ms - Date.parse(at)) / 1000;
  if (seconds < 600) return "in the last minutes";
  if (seconds < 86_400) return `${durationText(Math.floor(seconds / 60) * 60)} ago`;
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(at));
}
