/**
 * The few REST calls that the page makes. The session cookie goes along by itself; no token is ever held in a script.
 *
 * Every call answers with parsed JSON or throws ApiError; none takes longer than TIMEOUT_MS.
 */

const TIMEOUT_MS = 15_000;

/** A call that was refused (`status` is the HTTP status) or not answered (`status` 0). */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** The calls, over the given `fetch`. */
export function createApi(fetch) {
  async function call(path, options = {}) {
    let response;
    try {
      response = await fetch(`/api/v1/${path}`, {
        ...options,
        headers: { accept: "application/json", ...options.headers },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new ApiError(0, "unreachable", "The server cannot be reached.");
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      const said = body.detail || body.title || `The server answered ${response.status}.`;
      throw new ApiError(response.status, body.code ?? "", said);
    }
    return body;
  }

  const room = (id) => `conversations/${encodeURIComponent(id)}`;
  return {
    /** Who the cookie says we are, or null. */
    async me() {
      try {
        return (await call("auth/me")).user;
      } catch (error) {
        if (error.status === 401) return null;
        throw error;
      }
    },
    /** A new guest with this name; the answer sets the cookie. */
    async guest(name) {
      const body = JSON.stringify({ name });
      const headers = { "content-type": "application/json" };
      return (await call("auth/guest", { method: "POST", body, headers })).user;
    },
    conversation: (id) => call(room(id)),
    /** One page, oldest first; `query` has `before` or `after` (exclusive offsets) and `limit`. */
    messages: (id, query) => call(`${room(id)}/messages?${new URLSearchParams(query)}`),
  };
}
