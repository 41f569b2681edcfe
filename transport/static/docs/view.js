/** The elements of the page. Text becomes text nodes only, so nothing in the document can become markup. */

import { curl, example, fields, paragraphs } from "./model.js";

/** Headers that any answer may have; they are no news. */
const EVERYWHERE = /^(X-Request-Id|RateLimit-.+)$/;

/** An element with attributes and children; texts become text nodes, null is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/** Paragraphs with code spans. */
export function prose(text) {
  return paragraphs(text).map((pieces) => element("p", {}, pieces.map((each) => (each.code ? element("code", {}, each.text) : each.text))));
}

/** The row of an operation in the list at the side. */
export function link(one) {
  return element("li", { "data-id": one.id }, element("a", { href: `#${one.id}` }, method(one), element("span", { class: "label" }, one.title)));
}

/** An operation, closed; its inside is made when it is first opened. */
export function operation(api, one, origin) {
  const path = element("code", { class: "path" }, breakable(one.path));
  const summary = element("summary", {}, method(one), element("span", { class: "heading" }, path, element("span", { class: "title" }, one.title)));
  const details = element("details", { class: "operation", id: one.id, "data-id": one.id }, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(inside(api, one, origin));
  });
  return details;
}

function method({ method: name }) {
  return element("span", { class: `method ${name.toLowerCase()}` }, name);
}

/** A path that may be broken before its slashes. */
function breakable(path) {
  return path.split(/(?=\/)/).flatMap((part) => [element("wbr"), part]);
}

function inside(api, one, origin) {
  return element(
    "div",
    { class: "inside" },
    prose(one.text),
    element("p", { class: "who" }, "For ", element("strong", {}, one.access), one.scope === null ? "." : [" with the scope ", element("code", {}, one.scope), "."]),
    parameters(one),
    body(api, one),
    example_(api, one, origin),
    ...one.answers.map((each) => answer(api, each)),
    problems(one),
  );
}

function section(title, ...children) {
  return element("section", {}, element("h3", {}, title), ...children);
}

function parameters(one) {
  if (one.parameters.length === 0) return null;
  return section("Parameters", tree(one.parameters.map((each) => ({ ...each, fields: [] })), asked));
}

function body(api, one) {
  if (one.body === null) return null;
  const notes = [one.bodyOptional ? "may be left out" : null, one.maxBodyBytes === null ? null : `at most ${bytes(one.maxBodyBytes)}`];
  const note = notes.filter((each) => each !== null).join(", ");
  return section("Body", element("p", { class: "note" }, `JSON${note === "" ? "" : `, ${note}`}`), tree(fields(api, one.body), asked));
}

function example_(api, one, origin) {
  return section("Example", code(curl(api, one, origin), true));
}

function answer(api, { status, text, type, schema, headers }) {
  const title = [element("span", { class: "status" }, status), ` ${text}`];
  const others = headers.filter((name) => !EVERYWHERE.test(name));
  const rows = schema === null ? [] : fields(api, schema);
  return section(
    title,
    type === null ? null : element("p", { class: "note" }, type, others.length > 0 ? `; headers ${others.join(", ")}` : null),
    type === null && others.length > 0 ? element("p", { class: "note" }, `headers ${others.join(", ")}`) : null,
    rows.length > 0 ? tree(rows, told) : null,
    rows.length > 0 ? folded("Example", code(JSON.stringify(example(api, schema, { all: true }), null, 2), false)) : null,
  );
}

function problems(one) {
  const rows = one.problems.map(({ status, code: name, title }) =>
    element("tr", {}, element("td", {}, element("span", { class: "status" }, status)), element("td", {}, element("code", {}, name)), element("td", {}, title)),
  );
  if (rows.length === 0) return null;
  const head = element("tr", {}, ["Status", "Code", "Meaning"].map((name) => element("th", { scope: "col" }, name)));
  return section("Problems", element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

/** Marks of what is asked for: null stands for what is left out there, so it needs no word. */
function asked({ place, required }) {
  return [place, required ? "required" : null];
}

/** Marks of what is told. */
function told({ required, nullable }) {
  return [required ? null : "may be missing", nullable ? "or null" : null];
}

function tree(rows, marks) {
  return element("ul", { class: "fields" }, rows.map((each) => row(each, marks)));
}

function row(one, marks) {
  const { name, type, text, fields: inner } = one;
  return element(
    "li",
    {},
    element("code", { class: "name" }, name),
    element("span", { class: "type" }, type),
    marks(one).filter(Boolean).map((each) => element("span", { class: each === "required" ? "mark required" : "mark" }, each)),
    text === "" ? null : element("div", { class: "text" }, prose(text)),
    inner.length > 0 ? folded(`Fields of ${name}`, tree(inner, marks)) : null,
  );
}

function folded(title, content) {
  return element("details", { class: "folded" }, element("summary", {}, title), content);
}

function code(text, copies) {
  const block = element("pre", { tabindex: "0" }, element("code", {}, text));
  if (!copies) return block;
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => void copy(button, text));
  return element("div", { class: "copyable" }, block, button);
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C"; // pages on plain HTTP have no clipboard
    getSelection().selectAllChildren(button.previousElementSibling);
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function bytes(count) {
  if (count % 1_048_576 === 0) return `${count / 1_048_576} MiB`;
  return count % 1024 === 0 ? `${count / 1024} KiB` : `${count} bytes`;
}
