// An OpenID Connect provider: panva's certified `oidc-provider`, with its login form of the development mode.
//
//   node provider.mjs
//
// Prints {"issuer": ...}, reads {"client": {...}, "users": {LOGIN: {claims}}} from standard input, and prints {"ready": true}. The
// client's way to show its secret is the only one that it offers. Anybody logs in as anybody, with any password. Ends when standard
// input ends.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig" };

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  print({ issuer });
  const lines = createInterface({ input: process.stdin });
  lines.once("line", (line) => {
    server.on("request", provider(issuer, JSON.parse(line)).callback());
    print({ ready: true });
  });
  lines.on("close", () => process.exit(0));
});

function print(document) {
  process.stdout.write(JSON.stringify(document) + "\n");
}

function provider(issuer, { client, users }) {
  return new Provider(issuer, {
    clients: [client],
    clientAuthMethods: [client.token_endpoint_auth_method],
    jwks: { keys: [key] },
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"] },
    features: { devInteractions: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (_, login) => ({ accountId: login, claims: () => ({ sub: login, ...users[login] }) }),
  });
}
