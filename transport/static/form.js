/**
 * What the page's forms and dialogs share: a form that is sent once at a time and says what went wrong, a dialog that gives the
 * focus back, a secret that is shown once, and a button that asks before it does what cannot be undone.
 */

import { refusalText } from "./identity.js";
import { element } from "./log.js";

const SURE_MS = 5_000;
const COPIED_MS = 3_000;

/** A button that is no form's. */
export function button(className, text, pressed) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

/**
 * Calls `send` when the form is sent, and shows what it throws in the form's `.error`. While it works, nothing can be sent.
 * `send` may return a text that is shown as done. `lost(error)` is told of a session that is over.
 */
export function onSubmit(form, send, lost = () => {}) {
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    form.setAttribute("aria-busy", "true");
    const submits = form.querySelectorAll("button[type=submit]");
    for (const one of submits) one.disabled = true;
    say(form, "");
    try {
      say(form, (await send(new FormData(form))) ?? "", false);
    } catch (error) {
      complain(form, error, lost);
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
      for (const one of submits) one.disabled = false;
    }
  });
}

/** A field that cannot be taken as it is: thrown by what `onSubmit` calls. */
export class Unfit extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

function complain(form, error, lost) {
  if (error instanceof Unfit) {
    say(form, error.message);
    form.elements[error.field].setAttribute("aria-invalid", "true");
    form.elements[error.field].focus();
  } else if (error.status === undefined) throw error;
  else {
    say(form, refusalText(error));
    if (error.status === 401) lost(error);
  }
}

/** Shows a text in the form's line for errors. */
export function say(form, text, is_error = true) {
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const line = form.querySelector(".error");
  line.textContent = text;
  line.classList.toggle("done", !is_error && text !== "");
}

/** The new password of a form that asks for it twice. */
export function newPassword(fields) {
  if (fields.get("password") !== fields.get("again")) throw new Unfit("The two passwords differ.", "again");
  return fields.get("password");
}

/** What the fields of a sign-up form ask for: an empty name or invitation is left out. */
export function application(fields) {
  const asked = { username: fields.get("username").trim(), password: newPassword(fields) };
  for (const name of ["name", "invitation"]) {
    const text = (fields.get(name) ?? "").trim();
    if (text !== "") asked[name] = text;
  }
  return asked;
}

/** A button that does what cannot be undone: the first press asks, the second one within five seconds does it. */
export function sureButton(text, about, act) {
  let timer = null;
  const calm = () => {
    clearTimeout(timer);
    timer = null;
    made.textContent = text;
    made.classList.remove("sure");
    made.setAttribute("aria-label", `${text}: ${about}`);
  };
  const made = button("act", text, () => {
    if (timer !== null) {
      calm();
      act();
      return;
    }
    made.textContent = "Really?";
    made.classList.add("sure");
    made.setAttribute("aria-label", `Really ${text.toLowerCase()}, ${about}? Press again`);
    timer = setTimeout(calm, SURE_MS);
  });
  calm();
  return made;
}

/** A secret that is shown this once, with a button that copies it. */
export function shownOnce(label, secret, note) {
  const field = element("input", "secret");
  field.readOnly = true;
  field.value = secret;
  field.setAttribute("aria-label", label);
  field.addEventListener("focus", () => field.select());
  const said = element("span", "sr");
  said.setAttribute("role", "status");
  const copy = button("act", "Copy", async () => {
    field.select();
    const copied = await navigator.clipboard?.writeText(secret).then(() => true, () => false);
    // Without https there is no clipboard for pages: the text is selected, so that the keyboard copies it.
    copy.textContent = said.textContent = copied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (copy.textContent = "Copy"), COPIED_MS);
  });
  const box = element("div", "once", "", element("p", "", note), element("div", "row", "", field, copy, said));
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", label);
  return box;
}

/** Opens a dialog; `closed` is called when it is gone. The browser keeps the focus inside and gives it back. */
export function openDialog(dialog, closed = () => {}) {
  dialog.addEventListener("close", closed, { once: true });
  dialog.showModal();
}

/** Keeps the focus where it was while `work` draws the rows anew: on the button of the same name, or in its dialog. */
export async function keepFocus(dialog, work) {
  const name = document.activeElement?.getAttribute("aria-label");
  try {
    await work();
  } finally {
    if (dialog.open && !dialog.contains(document.activeElement)) {
      const same = [...dialog.querySelectorAll("[aria-label]")].find((each) => each.getAttribute("aria-label") === name);
      (same ?? dialog.querySelector(".close")).focus();
    }
  }
}

/** Makes a dialog close by its button, and by a press beside it. */
export function closable(dialog) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  let began_beside = false;
  dialog.addEventListener("pointerdown", (event) => (began_beside = event.target === dialog));
  dialog.addEventListener("click", (event) => event.target === dialog && began_beside && dialog.close());
}
