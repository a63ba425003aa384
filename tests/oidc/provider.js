// A certified OIDC provider for the tests, steered by lines of JSON on standard input.
//
// The first line starts it: {keys, clients}; `keys` are private JWKs, `clients` map a client's
// id to the claims its tokens carry. Later lines: {rotate: keys}, {count: path}, {reset: true},
// {listen: true | false}. Each line is answered by one line. It ends with its standard input.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

console.info = console.warn = () => {}; // it remarks on http, which is right on loopback

const SECRET = "a secret of the tests";
const TOKEN_SECONDS = 600;

function build(issuer, keys, clients) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: Object.keys(clients).map((id) => ({
      client_id: id,
      client_secret: SECRET,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    })),
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256"] },
    extraTokenClaims: (ctx) => clients[ctx.oidc.client.clientId],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // A resource is `urn:AUDIENCE:ALGORITHM`.
        getResourceServerInfo: (_ctx, resource) => {
          const [, audience, alg] = resource.split(":");
          return {
            audience,
            scope: "openid user/*.rs patient/Patient.r",
            accessTokenFormat: "jwt",
            accessTokenTTL: TOKEN_SECONDS,
            jwt: { sign: { alg } },
          };
        },
      },
    },
  });
}

const counts = new Map();
let answer = null;
const server = createServer((request, response) => {
  const path = request.url.split("?")[0];
  counts.set(path, (counts.get(path) ?? 0) + 1);
  answer(request, response);
});
const listen = (port) =>
  new Promise((done, failed) => {
    server.once("error", failed);
    server.listen(port, "127.0.0.1", done);
  });

let issuer = null;
let port = 0;
let clients = null;

async function obey(order) {
  if (order.clients) {
    clients = order.clients;
    await listen(0);
    port = server.address().port;
    issuer = `http://127.0.0.1:${port}`;
    answer = build(issuer, order.keys, clients).callback();
    return { issuer, secret: SECRET };
  }
  if (order.rotate) {
    answer = build(issuer, order.rotate, clients).callback();
    return {};
  }
  if (order.count) {
    return { count: counts.get(order.count) ?? 0 };
  }
  if (order.reset) {
    counts.clear();
    return {};
  }
  if (order.listen === true) {
    await listen(port);
    return {};
  }
  if (order.listen === false) {
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
    return {};
  }
  throw new Error(`unknown order: ${JSON.stringify(order)}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line)))}\n`);
}
process.exit(0);
