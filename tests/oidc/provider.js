// A certified OIDC provider for the tests, steered by lines of JSON on standard input.
//
// The first line starts it: {keys, clients, apps, people, audience}; `keys` are private JWKs,
// `clients` map a client's id to the claims its tokens carry. `apps` are SMART apps: id to
// {metadata, claims}; their tokens are for `audience`, the FHIR server's address, unless they name
// a resource. `people` are who can log in: name to {claims, patient}; `patient` is whom they choose
// when an app asks for launch/patient. Later lines: {people}, who can log in besides;
// {rotate: keys}, {count: path}, {reset: true}, {listen: true | false}. Each line is answered by
// one line. It ends with its standard input.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { Provider, errors } from "oidc-provider";

console.info = console.warn = () => {}; // it remarks on http, which is right on loopback

const SECRET = "a secret of the tests";
const TOKEN_SECONDS = 600;

const SMART = /^(patient|user|system)\/|^launch/;

function build(issuer, keys, { clients, apps, people, audience }) {
  const asked = new Set(); // SMART scopes of all requests: a code is redeemed without naming them
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      ...Object.keys(clients).map((id) => ({
        client_id: id,
        client_secret: SECRET,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      })),
      ...Object.entries(apps).map(([id, { metadata }]) => ({ client_id: id, ...metadata })),
    ],
    clientAuthMethods: ["client_secret_basic", "private_key_jwt", "none"],
    cookies: { keys: [SECRET] },
    enabledJWA: {
      idTokenSigningAlgValues: ["RS256", "ES256"],
      clientAuthSigningAlgValues: ["RS384", "ES384"], // what SMART demands
    },
    scopes: ["openid", "offline_access", "fhirUser", "launch/patient"],
    extraParams: {
      aud(_ctx, value) {
        if (value !== undefined && value !== audience) throw new errors.InvalidTarget();
      },
    },
    extraTokenClaims(ctx, token) {
      const id = ctx.oidc.client.clientId;
      const person = people[token.accountId];
      if (!person) return clients[id] ?? apps[id].claims;
      return { ...person.claims, ...launched(person, token) };
    },
    findAccount: (_ctx, id) =>
      people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id].claims }) },
    pkce: { required: () => true },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, client, oneOf) =>
          oneOf ?? (client.clientId in apps ? audience : undefined),
        useGrantedResource: () => true,
        // A resource is `urn:AUDIENCE:ALGORITHM`, or the address of a FHIR server.
        getResourceServerInfo: (ctx, resource) => {
          const urn = resource.startsWith("urn:");
          for (const one of (ctx.oidc.params.scope ?? "").split(" ")) {
            if (SMART.test(one)) asked.add(one);
          }
          return {
            audience: urn ? resource.split(":")[1] : resource,
            scope: urn ? "openid user/*.rs patient/Patient.r" : [...asked].join(" "),
            accessTokenFormat: "jwt",
            accessTokenTTL: TOKEN_SECONDS,
            jwt: { sign: { alg: urn ? resource.split(":")[2] : "RS256" } },
          };
        },
      },
    },
  });
  // SMART: the app learns of the launch from what comes with the token
  provider.use(async (ctx, next) => {
    await next();
    const token = ctx.oidc?.entities?.AccessToken;
    if (ctx.path === "/token" && ctx.body?.access_token && token) {
      Object.assign(ctx.body, launched(people[token.accountId], token));
    }
  });
  const respond = provider.callback();
  return (request, response) =>
    request.url.startsWith("/interaction/")
      ? interact(provider, audience, request, response)
      : respond(request, response);
}

function launched(person, token) {
  return token.scopes.has("launch/patient") ? { patient: person.patient } : {};
}

/** Ask who is there and whether the app may have what it wants: one form for both. */
async function interact(provider, audience, request, response) {
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html");
    response.end('<form method="post"><input name="login"><button>Allow</button></form>');
    return;
  }
  const login = new URLSearchParams(await text(request)).get("login");
  const { params } = await provider.interactionDetails(request, response);
  if (!login) {
    await provider.interactionFinished(request, response, { error: "access_denied" });
    return;
  }
  const grant = new provider.Grant({ accountId: login, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(params.resource ?? audience, params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { login: { accountId: login }, consent });
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
let known = null;

async function obey(order) {
  if (order.clients) {
    known = order;
    await listen(0);
    port = server.address().port;
    issuer = `http://127.0.0.1:${port}`;
    answer = build(issuer, order.keys, known);
    return { issuer, secret: SECRET };
  }
  if (order.people) {
    Object.assign(known.people, order.people);
    return {};
  }
  if (order.rotate) {
    answer = build(issuer, order.rotate, known);
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
