import assert from "node:assert/strict";
import { test } from "node:test";

import { chapters, curl, describe, example, fields, matches, paragraphs } from "../../transport/static/docs/model.js";

const DOCUMENT = {
  tags: [{ name: "Second" }, { name: "First" }, { name: "Empty" }],
  paths: {
    "/a/{id}": {
      post: {
        operationId: "make_a",
        summary: "Make an a",
        tags: ["First"],
        "x-access": "account",
        "x-scope": "write",
        security: [{ bearer: [] }],
        parameters: [
          { name: "id", in: "path", required: true, schema: { type: "string", examples: ["it's"], description: "Which." } },
          { name: "deep", in: "query", required: true, schema: { type: "integer", minimum: 3 } },
          { name: "If-Match", in: "header", required: false, description: "Only then.", schema: { type: "string" } },
        ],
        requestBody: { required: true, content: { "application/json": { schema: { $ref: "#/components/schemas/Tree" } } } },
        responses: {
          201: { description: "Created", headers: { "X-Request-Id": {}, ETag: {} }, content: { "application/json": { schema: { $ref: "#/components/schemas/Tree" } } } },
          404: { $ref: "#/components/responses/404.not_found" },
        },
      },
    },
    "/b": { get: { operationId: "show_b", tags: ["Second"], security: [], responses: { 200: { description: "OK", content: { "text/event-stream": {} } } } } },
  },
  "x-problems": { not_found: { title: "Not found", status: 404 } },
  components: {
    schemas: {
      Tree: {
        type: "object",
        properties: {
          name: { type: "string", minLength: 1, maxLength: 9, description: "What it is." },
          kind: { enum: ["oak", "fir"] },
          children: { type: "array", items: { $ref: "#/components/schemas/Tree" } },
          note: { anyOf: [{ type: "string", format: "uuid" }, { type: "null" }] },
        },
        required: ["name", "kind", "children"],
      },
      Change: { type: "object", properties: { title: { type: "string", examples: ["T"] }, open: { type: "boolean" } }, required: [] },
    },
    responses: { "404.not_found": { description: "x", content: { "application/problem+json": {} }, "x-codes": ["not_found"] } },
  },
};
const [second, first] = chapters(DOCUMENT);
const [made] = first.operations;

test("operations stand by tag, in the document's order, and tags without any are left out", () => {
  assert.deepEqual(chapters(DOCUMENT).map(({ tag, operations }) => [tag, operations.map(({ id }) => id)]), [["Second", ["show_b"]], ["First", ["make_a"]]]);
});

test("good answers and problems are told apart, and references are followed", () => {
  assert.deepEqual(made.answers.map(({ status, type, headers }) => [status, type, headers]), [["201", "application/json", ["X-Request-Id", "ETag"]]]);
  assert.deepEqual(made.problems, [{ status: "404", code: "not_found", title: "Not found" }]);
  assert.equal(made.access, "accounts, not guests");
  assert.equal(made.scope, "write");
});

test("a schema is told in words", () => {
  const words = (schema) => describe(DOCUMENT, schema);
  assert.equal(words({ type: "integer", minimum: 1, maximum: 5 }).type, "integer, 1 to 5");
  assert.equal(words({ type: "array", items: { $ref: "#/components/schemas/Tree" } }).type, "list of Tree");
  assert.equal(words({ anyOf: [{ type: "string" }, { type: "integer" }] }).type, "string | integer");
  assert.deepEqual(words({ anyOf: [{ type: "string", description: "D" }, { type: "null" }] }), { type: "string", text: "D", nullable: true });
});

test("a type that holds itself is shown once in depth", () => {
  const found = fields(DOCUMENT, { $ref: "#/components/schemas/Tree" });
  assert.deepEqual(found.map(({ name, required }) => [name, required]), [["name", true], ["kind", true], ["children", true], ["note", false]]);
  assert.deepEqual(found[2].fields, []);
  assert.deepEqual(example(DOCUMENT, { $ref: "#/components/schemas/Tree" }), { name: "…", kind: "oak", children: [] });
});

test("an example has what must be there, and one field of a body that may not be empty", () => {
  const change = "#/components/schemas/Change";
  assert.deepEqual(example(DOCUMENT, { $ref: change }), {});
  assert.deepEqual(example(DOCUMENT, { $ref: change, anyOf: [{ required: ["title"] }] }), { title: "T" });
  assert.deepEqual(example(DOCUMENT, { $ref: change }, { all: true }), { title: "T", open: true });
});

test("a curl call has this server's address, the token in a variable, and quotes that a shell reads", () => {
  const lines = curl(DOCUMENT, made, "http://here:1").split(" \\\n  ");
  assert.equal(lines[0], "curl -X POST 'http://here:1/a/it'\\''s?deep=3'");
  assert.equal(lines[1], '-H "Authorization: Bearer $TOKEN"');
  assert.equal(lines[2], "-H 'Content-Type: application/json'");
  assert.ok(lines[3].startsWith("-d '{"));
  assert.equal(curl(DOCUMENT, second.operations[0], "http://here:1"), "curl -N 'http://here:1/b'");
});

test("a search finds operations that have all of its words, wherever they stand", () => {
  for (const search of ["", "  ", "MAKE", "post first", "not_found deep"]) assert.ok(matches(made, search), search);
  for (const search of ["nothing", "make nothing"]) assert.ok(!matches(made, search), search);
});

test("a text has paragraphs and code", () => {
  assert.deepEqual(paragraphs("one `two`\nthree\n\nfour"), [
    [{ text: "one ", code: false }, { text: "two", code: true }, { text: " three", code: false }],
    [{ text: "four", code: false }],
  ]);
});
