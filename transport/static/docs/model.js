/**
 * What the description of the API (OpenAPI 3.1) says, as the page shows it. Pure: no DOM, no network.
 *
 * Only what our own document uses is read: local references, `anyOf` with null, problem documents with `x-codes`.
 */

const METHODS = ["get", "post", "put", "patch", "delete"];
const ACCESS = {
  anyone: "anyone, without credentials",
  principal: "any credential, a guest's too",
  account: "accounts, not guests",
  admin: "admins, and the operator's token",
};

/** The operations of a document, by tag, in the document's order: `[{tag, operations}]`. */
export function chapters(document) {
  const found = new Map((document.tags ?? []).map(({ name }) => [name, []]));
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      if (item[method] !== undefined) add(found, operation(document, path, method, item[method]));
    }
  }
  return Array.from(found, ([tag, operations]) => ({ tag, operations })).filter(({ operations }) => operations.length > 0);
}

function add(found, one) {
  if (!found.has(one.tag)) found.set(one.tag, []);
  found.get(one.tag).push(one);
}

function operation(document, path, method, told) {
  const body = told.requestBody?.content?.["application/json"]?.schema ?? null;
  return {
    id: told.operationId,
    tag: told.tags?.[0] ?? "Other",
    method: method.toUpperCase(),
    path,
    title: told.summary ?? told.operationId,
    text: told.description ?? "",
    access: ACCESS[told["x-access"]] ?? told["x-access"] ?? "",
    open: (told.security ?? []).length === 0,
    scope: told["x-scope"] ?? null,
    maxBodyBytes: told["x-max-body-bytes"] ?? null,
    parameters: (told.parameters ?? []).map((each) => parameter(document, each)),
    body,
    bodyOptional: told.requestBody?.required === false,
    ...answers(document, told.responses),
  };
}

function parameter(document, { name, in: place, required, description, schema }) {
  const found = describe(document, schema);
  return { name, place, required: Boolean(required), text: description ?? found.text, type: found.type, schema };
}

/** The good answers, and the problems as `[{status, code, title}]`. */
function answers(document, responses) {
  const good = [];
  const problems = [];
  for (const [status, told] of Object.entries(responses)) {
    const response = resolved(document, told);
    const content = Object.entries(response.content ?? {}).filter(([type]) => type !== "application/problem+json");
    if (status < "400" || content.length > 0) {
      const [type, { schema } = {}] = content[0] ?? [null];
      const headers = Object.keys(response.headers ?? {});
      good.push({ status, text: response.description, type, schema: schema ?? null, headers });
    }
    for (const code of response["x-codes"] ?? []) {
      problems.push({ status, code, title: document["x-problems"]?.[code]?.title ?? "" });
    }
  }
  return { answers: good, problems };
}

/** What a reference stands for; what stands beside it is kept. */
export function resolved(document, value) {
  if (value?.$ref === undefined) return value;
  const { $ref, ...beside } = value;
  const found = $ref.slice(2).split("/").reduce((place, name) => place[name], document);
  return { ...resolved(document, found), ...beside };
}

/** The name of the type that a reference stands for, or null. */
function nameOf(schema) {
  return schema?.$ref === undefined ? null : schema.$ref.split("/").at(-1);
}

/** A schema in words: `{type, text, nullable}`. */
export function describe(document, schema) {
  const [inner, nullable] = withoutNull(schema);
  const whole = resolved(document, inner);
  const text = whole.description ?? "";
  return { type: [typeOf(document, inner, whole), ...bounds(whole)].join(", "), text, nullable };
}

function withoutNull(schema) {
  const choices = (schema.anyOf ?? []).filter(({ type }) => type !== "null");
  const isChoice = schema.anyOf !== undefined && schema.$ref === undefined && schema.properties === undefined;
  if (!isChoice || choices.length !== 1) return [schema, false];
  const { anyOf, ...beside } = schema;
  return [{ ...choices[0], ...beside }, choices.length < anyOf.length];
}

function typeOf(document, schema, whole) {
  const name = nameOf(schema);
  if (name !== null && whole.properties !== undefined) return name;
  if (whole.const !== undefined) return JSON.stringify(whole.const);
  if (whole.enum !== undefined) return whole.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (whole.type === "array") return `list of ${describe(document, whole.items ?? {}).type}`;
  if (whole.anyOf !== undefined && whole.properties === undefined) {
    return whole.anyOf.map((each) => describe(document, each).type).join(" | ");
  }
  if (whole.format === "date-time") return "time";
  if (whole.format === "uuid") return "UUID";
  return whole.type ?? "any";
}

function bounds(whole) {
  const found = [];
  if (whole.minimum !== undefined && whole.maximum !== undefined) found.push(`${whole.minimum} to ${whole.maximum}`);
  else if (whole.minimum !== undefined) found.push(`${whole.minimum} or more`);
  else if (whole.maximum !== undefined) found.push(`at most ${whole.maximum}`);
  if (whole.minLength !== undefined && whole.maxLength !== undefined) {
    found.push(`${whole.minLength} to ${whole.maxLength} characters`);
  } else if (whole.maxLength !== undefined) found.push(`at most ${whole.maxLength} characters`);
  if (whole.pattern !== undefined && whole.format === undefined) found.push(whole.pattern);
  return found;
}

/** The fields of an object's schema, or of the objects in a list: `[{name, required, type, text, fields}]`; each type once in depth. */
export function fields(document, schema, seen = []) {
  const [inner] = withoutNull(schema);
  const name = nameOf(inner);
  const whole = resolved(document, inner);
  if (name !== null && seen.includes(name)) return [];
  if (whole.type === "array") return fields(document, whole.items ?? {}, seen);
  const within = name === null ? seen : [...seen, name];
  return Object.entries(whole.properties ?? {}).map(([field, each]) => ({
    name: field,
    required: (whole.required ?? []).includes(field),
    ...describe(document, each),
    fields: fields(document, each, within),
  }));
}

/** A value that the schema allows, with what must be there and, in bodies, nothing else. */
export function example(document, schema, { all = false } = {}, seen = []) {
  const [inner] = withoutNull(schema);
  const name = nameOf(inner);
  const whole = resolved(document, inner);
  if (whole.examples?.length > 0) return whole.examples[0];
  if (whole.const !== undefined) return whole.const;
  if (whole.enum !== undefined) return whole.enum[0];
  if (whole.type === "array") return seen.includes(nameOf(whole.items)) ? [] : [example(document, whole.items ?? {}, { all }, seen)];
  if (whole.properties !== undefined) {
    const within = name === null ? seen : [...seen, name];
    const names = Object.keys(whole.properties);
    const required = whole.required ?? [];
    const wanted = all ? names : required.length > 0 || whole.anyOf === undefined ? required : names.slice(0, 1);
    return Object.fromEntries(wanted.map((each) => [each, example(document, whole.properties[each], { all }, within)]));
  }
  if (whole.anyOf !== undefined) return example(document, whole.anyOf[0], { all }, seen);
  return simple(whole);
}

function simple({ type, format, minimum }) {
  if (type === "integer" || type === "number") return minimum ?? 0;
  if (type === "boolean") return true;
  if (type === "object") return {};
  if (type === "null") return null;
  if (format === "uuid") return "018f3c5a-9d7e-7b21-a0c3-f6e84d2a1b90";
  return "…";
}

/** A call for a shell: what must be sent, to this server. The token stands in a variable, which keeps it out of the history. */
export function curl(document, one, origin) {
  const path = one.path.replace(/\{(\w+)\}/g, (_, name) => shownName(document, one, name));
  const query = one.parameters.filter(({ place, required }) => place === "query" && required);
  const search = query.map(({ name, schema }) => `${name}=${encodeURIComponent(example(document, schema))}`).join("&");
  const streams = one.answers.some(({ type }) => type === "text/event-stream");
  const parts = [`curl${streams ? " -N" : ""}${one.method === "GET" ? "" : ` -X ${one.method}`}`];
  parts[0] += ` ${quoted(origin + path + (search === "" ? "" : `?${search}`))}`;
  if (!one.open) parts.push('-H "Authorization: Bearer $TOKEN"');
  for (const { name, place, required, schema } of one.parameters) {
    if (place === "header" && required) parts.push(`-H ${quoted(`${name}: ${example(document, schema)}`)}`);
  }
  if (one.body !== null) {
    parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(example(document, one.body)))}`);
  }
  return parts.join(" \\\n  ");
}

function shownName(document, one, name) {
  const found = one.parameters.find((each) => each.place === "path" && each.name === name);
  const whole = found === undefined ? {} : resolved(document, found.schema);
  return whole.examples?.length > 0 ? encodeURIComponent(whole.examples[0]) : name.toUpperCase();
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Whether all words of a search stand in an operation: its path, title, text, chapter, names and codes. */
export function matches(one, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const names = one.parameters.map(({ name }) => name);
  const codes = one.problems.map(({ code }) => code);
  const hay = [one.method, one.path, one.title, one.text, one.tag, one.id, ...names, ...codes].join(" ").toLowerCase();
  return words.every((word) => hay.includes(word));
}

/** A text with paragraphs and code spans: `[[{text, code}]]`. */
export function paragraphs(text) {
  return text
    .split(/\n\s*\n/)
    .map((each) => each.replace(/\s+/g, " ").trim())
    .filter(Boolean)
    .map((each) => each.split("`").map((piece, at) => ({ text: piece, code: at % 2 === 1 })).filter(({ text: piece }) => piece !== ""));
}
