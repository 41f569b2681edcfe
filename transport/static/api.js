/**
 * The REST calls that the page makes. The session cookie goes along by itself; no session's token is ever held in a script.
 *
 * Every call answers with parsed JSON or throws ApiError; none takes longer than TIMEOUT_MS. A call that changes something shows
 * the session's CSRF token, which every login brings anew. Windows share the cookie: where another one has logged in meanwhile
 * as the same user, the refused call is sent once more with the token of now.
 */

const TIMEOUT_MS = 15_000;
const BLOCKS_PAGE = 100;
const BANS_PAGE = 100;
const DIRECTS_PAGE = 20;
/** What the ids of direct conversations begin with; the server gives it to no other. */
export const DIRECT = "direct:";

/** A call that was refused (`status` is the HTTP status) or not answered (`status` 0). */
export class ApiError extends Error {
  constructor(status, code, message, retry_after_s = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    /** Seconds after which it may be tried again, where the server has said so. */
    this.retry_after_s = retry_after_s;
  }
}

/** The calls, over the given `fetch`. */
export function createApi(fetch) {
  let csrf = null;
  let user_id = null;
  let entries = 0;

  async function send(method, path, fields) {
    const headers = { accept: "application/json" };
    if (method !== "GET" && csrf !== null) headers["x-csrf-token"] = csrf;
    if (fields !== undefined) headers["content-type"] = "application/json";
    const body = fields === undefined ? undefined : JSON.stringify(fields);
    let response;
    try {
      response = await fetch(`/api/v1/${path}`, { method, headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw new ApiError(0, "unreachable", "The server cannot be reached.");
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const said = answer.detail || answer.title || `The server answered ${response.status}.`;
    throw new ApiError(response.status, answer.code ?? "", said, answer.retry_after_s ?? null);
  }

  const get = (path) => send("GET", path);

  async function change(method, path, fields) {
    const shown = csrf;
    const as = user_id;
    try {
      return await send(method, path, fields);
    } catch (error) {
      if (error.status !== 403) throw error;
      await session();
      if (csrf === null || csrf === shown || user_id !== as) throw error;
      return send(method, path, fields);
    }
  }

  /** A call that gives a session; the answer sets the cookie. */
  async function enter(call) {
    const answer = await call;
    entries += 1;
    return taken(answer);
  }

  function taken(answer) {
    csrf = answer.csrf_token ?? null;
    user_id = answer.user?.id ?? null;
    return answer.user;
  }

  /** Who the cookie says we are, or null. An answer that was made out before a login is of no use after it. */
  async function session() {
    const before = entries;
    const answer = await get("auth/session");
    return entries === before ? taken(answer) : session();
  }

  const room = (id) => `conversations/${encodeURIComponent(id)}`;
  const member = (id, user) => `${room(id)}/members/${encodeURIComponent(user)}`;
  const invite = (token) => `invites/${encodeURIComponent(token)}`;
  return {
    session,
    /** What the server says about itself: `guests`, `sign_up`, `password_min_chars`. */
    about: () => get("version"),
    /** Where one can log in from: `{id, name, login_url}` each. */
    async providers() {
      try {
        return (await get("auth/oidc")).providers;
      } catch (error) {
        if (error.status === 404) return [];
        throw error;
      }
    },
    guest: (name) => enter(send("POST", "auth/guest", { name })),
    logIn: (username, password) => enter(send("POST", "auth/login", { username, password })),
    /** `fields`: username, password, and if wanted name and invitation. */
    signUp: (fields) => enter(send("POST", "auth/signup", fields)),
    setUp: (fields) => enter(send("POST", "setup", fields)),
    upgrade: (fields) => enter(change("POST", "auth/upgrade", fields)),
    logOut: () => change("POST", "auth/logout"),
    /** Ends the account for good; the answer clears the cookie. */
    closeAccount: (password) => change("DELETE", "auth/me", { password }),
    rename: (name) => change("PATCH", "auth/me", { name }),
    changePassword: (present_password, password) => change("PATCH", "auth/me", { present_password, password }),

    sessions: async () => (await get("auth/sessions")).sessions,
    endSession: (id) => change("DELETE", `auth/sessions/${encodeURIComponent(id)}`),
    endOtherSessions: () => change("DELETE", "auth/sessions"),
    keys: async () => (await get("auth/keys")).keys,
    makeKey: (fields) => change("POST", "auth/keys", fields),
    rotateKey: (id) => change("POST", `auth/keys/${encodeURIComponent(id)}/rotate`),
    endKey: (id) => change("DELETE", `auth/keys/${encodeURIComponent(id)}`),

    identities: async () => (await get("auth/identities")).identities,
    unlink: (id) => change("DELETE", `auth/identities/${encodeURIComponent(id)}`),
    /** Who signs in with this name; null for nobody. */
    async person(username) {
      try {
        return await get(`users/${encodeURIComponent(username)}`);
      } catch (error) {
        if (error.status === 404) return null;
        throw error;
      }
    },

    /** All of one's own blocks: the server keeps a thousand at most. */
    async blocks() {
      const found = [];
      let query = { limit: BLOCKS_PAGE };
      while (query !== null) {
        const page = await get(`blocks?${new URLSearchParams(query)}`);
        found.push(...page.blocks);
        query = page.next === null ? null : { limit: BLOCKS_PAGE, after: page.next };
      }
      return found;
    },
    block: (user) => change("PUT", `blocks/${encodeURIComponent(user)}`),
    unblock: (user) => change("DELETE", `blocks/${encodeURIComponent(user)}`),

    /** The direct conversation with somebody: the one that there is, or a new one. */
    direct: (user) => change("POST", "conversations", { kind: "direct", with: user }),
    /** One page of one's direct conversations, by id: `{conversations, next}`. */
    async directs(after = DIRECT) {
      const page = await get(`conversations?${new URLSearchParams({ after, limit: DIRECTS_PAGE })}`);
      const conversations = page.conversations.filter(({ id }) => id.startsWith(DIRECT));
      return { conversations, next: conversations.length < page.conversations.length ? null : page.next };
    },
    /** With whom a direct conversation is; null where nobody else is in it. */
    async partner(id, me) {
      const { members } = await get(`${room(id)}/members?limit=2`);
      return members.find(({ user }) => user.id !== me)?.user ?? null;
    },
    hide: (id) => change("POST", `${room(id)}/hide`),

    conversation: (id) => get(room(id)),
    /** One page, oldest first; `query` has `before` or `after` (exclusive offsets) and `limit`. */
    messages: (id, query) => get(`${room(id)}/messages?${new URLSearchParams(query)}`),
    /** What an invite is for: `{title, role, invited_by, expires_at}`. */
    invite: (token) => get(invite(token)),
    acceptInvite: (token) => change("POST", `${invite(token)}/accept`),

    members: (id, query) => get(`${room(id)}/members?${new URLSearchParams(query)}`),
    /** One's own row or another's, or null for who is none. */
    async member(id, user) {
      try {
        return await get(member(id, user));
      } catch (error) {
        if (error.status === 404) return null;
        throw error;
      }
    },
    setRole: (id, user, role) => change("PUT", member(id, user), { role }),
    remove: (id, user) => change("DELETE", member(id, user)),
    mute: (id, user, seconds) => change("PUT", `${member(id, user)}/mute`, { seconds }),
    unmute: (id, user) => change("DELETE", `${member(id, user)}/mute`),
    bans: async (id) => (await get(`${room(id)}/bans?limit=100`)).bans,
    /** Whether somebody is banned. The list is by id, so that it is read from just before this one. */
    async isBanned(id, user) {
      let after = user.slice(0, -1);
      while (after !== null && after < user) {
        const page = await get(`${room(id)}/bans?${new URLSearchParams({ limit: BANS_PAGE, after })}`);
        if (page.bans.some((ban) => ban.user.id === user)) return true;
        after = page.next;
      }
      return false;
    },
    ban: (id, user) => change("PUT", `${room(id)}/bans/${encodeURIComponent(user)}`),
    unban: (id, user) => change("DELETE", `${room(id)}/bans/${encodeURIComponent(user)}`),
    invites: async (id) => (await get(`${room(id)}/invites?limit=100`)).invites,
    makeInvite: (id, fields) => change("POST", `${room(id)}/invites`, fields),
    endInvite: (id, which) => change("DELETE", `${room(id)}/invites/${encodeURIComponent(which)}`),
  };
}
