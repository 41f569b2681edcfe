/** Who stands where in a room: pure functions of the members' rows. The server has the last word (`engine.core.permissions`). */

import { DIRECT } from "./api.js";

export const RANKS = ["viewer", "member", "moderator", "owner"];
export const MODERATOR = RANKS.indexOf("moderator");
const OWNER = RANKS.indexOf("owner");

/** The roles that somebody may give and take, by the own rank here: owners all of them, others those below their own. */
export function rolesBelow(rank) {
  return rank === OWNER ? RANKS : RANKS.slice(0, Math.max(0, rank));
}

/** One's rank here: the server's administrators stand as owners. -1 for who is no member. */
export function rankOf(user, member) {
  return user.role === "admin" ? OWNER : RANKS.indexOf(member?.role ?? "");
}

/** Whether somebody of this rank acts on a member with `role`: those in office on whom is below, owners on everybody. */
export function isBelow(role, rank) {
  return rank >= MODERATOR && (RANKS.indexOf(role) < rank || rank === OWNER);
}

/**
 * Whether `me` may mute and ban somebody in a room; `mine` and `theirs` are the rows of members, null for who is none. Nobody is
 * in office in a direct conversation.
 */
export function mayModerate({ room, me, mine, theirs }) {
  return !room.startsWith(DIRECT) && isBelow(theirs?.role ?? "", rankOf(me, mine));
}
