// A certified OpenID provider for the tests: panva's oidc-provider on a free
// loopback port. It is set up by the JSON in OP_CONFIG ({audience, ttl,
// people, clients}), prints "READY <issuer>" when it answers, and ends when its
// standard input does, so that it never outlives the test that started it.
//
// Beside the provider's own endpoints it answers POST /_rotate (a new key of
// each algorithm signs from here on, the older ones stay published), POST
// /_retire (only the newest keys stay) and the grant urn:test:as-user, which
// gives a token for a person without a browser.
import * as http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { errors } from 'oidc-provider';

const { audience, ttl, people, clients } = JSON.parse(process.env.OP_CONFIG);
const ALGORITHMS = ['RS256', 'ES256', 'PS256', 'EdDSA'];
const SCOPES = ['openid', 'offline_access', 'profile', 'email', 'groups', 'api:read', 'api:write'];
const AS_USER = 'urn:test:as-user';

let generation = 0;
async function newKeys() {
  generation += 1;
  return Promise.all(ALGORITHMS.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${generation}` };
  }));
}

// One store for all generations of the provider: what it has issued outlives a
// rotation of its keys.
const store = new Map();
class Adapter {
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  async upsert(id, payload, expiresIn) {
    store.set(this.key(id), { payload, expiry: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }
  async find(id) {
    const entry = store.get(this.key(id));
    return entry && entry.expiry > Date.now() ? { ...entry.payload } : undefined;
  }
  async findByUid() { return undefined; }
  async findByUserCode() { return undefined; }
  async destroy(id) { store.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, entry] of store) if (entry.payload.grantId === grantId) store.delete(key);
  }
  async consume(id) {
    const entry = store.get(this.key(id));
    if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
  }
}

// One protected resource for each form that an access token can have.
const scope = SCOPES.join(' ');
const resources = new Map(ALGORITHMS.map((alg) => [
  `urn:test:${alg.toLowerCase()}`,
  { scope, audience, accessTokenTTL: ttl, accessTokenFormat: 'jwt', jwt: { sign: { alg } } },
]));
resources.set('urn:test:opaque', { scope, audience, accessTokenTTL: ttl, accessTokenFormat: 'opaque' });

function resourceServer(indicator) {
  const found = resources.get(indicator);
  if (!found) throw new errors.InvalidTarget();
  return found;
}

async function findAccount(_ctx, id) {
  const claims = people[id];
  return claims && { accountId: id, claims: async () => ({ sub: id, ...claims }) };
}

function configuration(keys) {
  return {
    adapter: Adapter,
    jwks: { keys },
    cookies: { keys: ['only-for-tests'] },
    clients: clients.map(({ id, secret, ...more }) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ['client_credentials', AS_USER],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
      ...more,
    })),
    findAccount,
    scopes: SCOPES,
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups', 'tenant'] },
    conformIdTokenClaims: false,
    extraTokenClaims: async (_ctx, token) => {
      const { groups, tenant } = people[token.accountId] ?? {};
      return { groups, tenant };
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true, allowedPolicy: async () => true },
      userinfo: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => undefined,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_ctx, indicator) => resourceServer(indicator),
      },
    },
    ttl: { AccessToken: ttl, ClientCredentials: ttl, Grant: 86400 },
  };
}

// asUser issues an access token for a person, bound to a DPoP key (jkt) or a
// client certificate (x5t) where the request names one.
async function asUser(ctx) {
  const { provider, client, params } = ctx.oidc;
  const account = await findAccount(ctx, params.sub);
  if (!account) throw new errors.InvalidGrant('nobody of that name');
  const granted = params.scope || 'openid';
  const grant = new provider.Grant({ accountId: params.sub, clientId: client.clientId });
  grant.addOIDCScope(granted);
  if (params.resource) grant.addResourceScope(params.resource, granted);
  const token = new provider.AccessToken({
    accountId: params.sub, client, grantId: await grant.save(), gty: AS_USER, scope: granted,
  });
  if (params.resource) token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource));
  if (params.jkt) token.jkt = params.jkt;
  if (params.x5t) token['x5t#S256'] = params.x5t;
  ctx.oidc.entity('Account', account);
  ctx.oidc.entity('Grant', grant);
  ctx.oidc.entity('AccessToken', token);
  ctx.body = {
    access_token: await token.save(), token_type: token.tokenType, expires_in: token.expiration, scope: token.scope,
  };
}

let keys = await newKeys();
let answer;
const server = http.createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/_rotate') {
    keys = [...await newKeys(), ...keys];
    build();
  } else if (request.method === 'POST' && request.url === '/_retire') {
    keys = keys.slice(0, ALGORITHMS.length);
    build();
  } else {
    answer(request, response);
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(keys.map(({ kid }) => kid)));
});

function build() {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration(keys));
  provider.registerGrantType(AS_USER, asUser, ['sub', 'scope', 'resource', 'jkt', 'x5t'], []);
  provider.on('server_error', (_ctx, error) => console.error(error.stack));
  answer = provider.callback();
}

server.listen(0, '127.0.0.1', () => {
  build();
  console.log(`READY http://127.0.0.1:${server.address().port}`);
});
process.stdin.resume().on('end', () => process.exit(0));
