/**
 * The page of the setup link: makes the first administrator and goes to the chat, logged in. Once there is one, it says so.
 *
 * The token stands behind `#`, so that it is in no log; here it leaves the address bar, and with it the history, at once. It lives
 * in this page alone: who loads the page anew opens the link again or types the token.
 */

import { createApi } from "./api.js";
import { application, onSubmit, Unfit } from "./form.js";
import { sentence } from "./identity.js";

const WRONG_TOKEN = "Each start of the server prints another link: take the newest one.";

const $ = (id) => document.getElementById(id);
const api = createApi((path, options) => fetch(path, options));

function takeToken() {
  const token = location.hash.slice(1);
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  $("token").value = token || $("token").value;
  $("token-part").hidden = token !== "";
  (token === "" ? $("token") : $("username")).focus();
}

async function setUp(fields) {
  const token = fields.get("token").trim();
  try {
    await api.setUp({ ...application(fields), token });
  } catch (error) {
    if (error.status !== 403) throw error;
    $("token-part").hidden = false;
    throw new Unfit(`${sentence(error.message)} ${WRONG_TOKEN}`, "token");
  }
  location.replace("/");
  // The button stays as it is until the chat is there.
  return new Promise(() => {});
}

onSubmit($("setup-form"), setUp);
/** There is nothing to be made here any more. */
function showDone() {
  $("setup-form").hidden = true;
  $("done").hidden = false;
  $("sign-in").focus();
}

addEventListener("hashchange", takeToken);
takeToken();
api.about().then(
  ({ password_min_chars, set_up }) => {
    $("password-hint").textContent = `At least ${password_min_chars} characters. A few words make a good one.`;
    if (set_up) showDone();
  },
  () => {},
);
