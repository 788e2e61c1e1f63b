// A real OpenID provider (npm `oidc-provider`) on loopback, with hooks for the tests under `/_test/`: faults, keys that
// change, counts, and tokens. Arguments: the folder of `node_modules`, the port.

import { createServer } from 'node:http';
import { randomUUID, createHash, X509Certificate } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [, , modules, port] = process.argv;
const load = (file) => import(pathToFileURL(`${modules}/${file}`));
const { Provider } = await load('oidc-provider/lib/index.js');
const jose = await load('jose/dist/webapi/index.js').catch(() => load('jose/dist/node/esm/index.js'));

const issuer = `http://127.0.0.1:${port}`;
const AUDIENCE = 'orders';
const state = { fault: null, counts: {}, keys: [], dpop: await jose.generateKeyPair('ES256', { extractable: true }) };

async function newKey() {
  const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  return { ...(await jose.exportJWK(privateKey)), kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

function provider() {
  const client = (id, more) => ({
    ...more,
    client_id: id,
    client_secret: `secret-of-${id}`,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: 'ES256',
  });
  const made = new Provider(issuer, {
    jwks: { keys: state.keys },
    clients: [
      client('alice'),
      client('bob'),
      client('gateway'),
      client('bound', { tls_client_certificate_bound_access_tokens: true }),
    ],
    scopes: ['orders:read', 'orders:write'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => {
          const der = ctx.get('x-test-certificate');
          return der ? new X509Certificate(Buffer.from(der, 'base64')) : undefined;
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:jwt',
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'orders:read orders:write',
          audience: AUDIENCE,
          accessTokenTTL: resource === 'urn:short' ? 2 : 300,
          accessTokenFormat: resource === 'urn:opaque' ? 'opaque' : 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  return made.callback();
}

async function proof(url, method, { token, jti = randomUUID(), iat = Math.floor(Date.now() / 1000), nonce } = {}) {
  const claims = { htu: url, htm: method, jti, iat, nonce };
  if (token) claims.ath = createHash('sha256').update(token).digest('base64url');
  const jwk = await jose.exportJWK(state.dpop.publicKey);
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk };
  return new jose.SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader(header).sign(state.dpop.privateKey);
}

function basic(client) {
  return `Basic ${Buffer.from(`${client}:secret-of-${client}`).toString('base64')}`;
}

// What the tests ask for.
const hooks = {
  // A token from the provider's own endpoint.
  async token(query) {
    const client = query.get('client') ?? 'alice';
    const headers = { authorization: basic(client), 'content-type': 'application/x-www-form-urlencoded' };
    if (query.get('dpop')) headers.dpop = await proof(`${issuer}/token`, 'POST');
    if (query.get('certificate')) {
      headers['x-test-certificate'] = query.get('certificate');
    }
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      scope: query.get('scope') ?? 'orders:read orders:write',
      resource: query.get('format') === 'opaque' ? 'urn:opaque' : 'urn:jwt',
    });
    const answer = await (await fetch(`${issuer}/token`, { method: 'POST', headers, body })).json();
    if (!answer.access_token) throw new Error(JSON.stringify(answer));
    return answer.access_token;
  },
  async revoke(query) {
    const headers = { authorization: basic('alice'), 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ token: query.get('token') });
    return String((await fetch(`${issuer}/token/revocation`, { method: 'POST', headers, body })).status);
  },
  // Anything, signed with the provider's key, or with a stranger's under the provider's name for it.
  async sign(query) {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: issuer, aud: AUDIENCE, sub: 'alice', client_id: 'alice', jti: randomUUID(), iat: now, exp: now + 60,
      ...JSON.parse(query.get('claims') ?? '{}'),
    };
    const jwk = query.get('stranger') ? await newKey() : state.keys[0];
    const header = { alg: 'ES256', typ: 'at+jwt', kid: state.keys[0].kid, ...JSON.parse(query.get('header') ?? '{}') };
    const key = await jose.importJWK(jwk, 'ES256');
    return new jose.SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader(header).sign(key);
  },
  async proof(query) {
    const number = (name) => (query.get(name) ? Number(query.get(name)) : undefined);
    const more = { token: query.get('token'), jti: query.get('jti') ?? undefined, iat: number('iat') };
    return proof(query.get('url'), query.get('method') ?? 'GET', { ...more, nonce: query.get('nonce') ?? undefined });
  },
  async rotate(query) {
    // A key is published before it signs; without overlap it signs at once and the old one is gone.
    if (query.get('publish')) state.keys = [...state.keys, await newKey()];
    else if (state.keys.length > 1) state.keys = state.keys.slice(1);
    else state.keys = [await newKey()];
    handler = provider();
    return 'ok';
  },
  async fault(query) {
    state.fault = query.get('is');
    return 'ok';
  },
  async counts() {
    return JSON.stringify(state.counts);
  },
};

state.keys = [await newKey()];
let handler = provider();

createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  const hook = url.pathname.startsWith('/_test/') ? hooks[url.pathname.slice(7)] : undefined;
  if (hook) {
    try {
      response.end(await hook(url.searchParams));
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error.stack ?? error));
    }
    return;
  }
  state.counts[url.pathname] = (state.counts[url.pathname] ?? 0) + 1;
  const asked = ['/jwks', '/.well-known/openid-configuration', '/token/introspection'].includes(url.pathname);
  if (asked && state.fault === 'slow') await new Promise((done) => setTimeout(done, 20_000));
  if (asked && state.fault === '500') {
    response.statusCode = 500;
    return void response.end('{}');
  }
  if (asked && state.fault === 'wrong') {
    response.setHeader('content-type', 'application/json');
    return void response.end('{"keys":[{"kty":"oct","k":"AAAA"}]}');
  }
  if (asked && state.fault === 'gone') return void request.socket.destroy();
  handler(request, response);
}).listen(Number(port), '127.0.0.1');
