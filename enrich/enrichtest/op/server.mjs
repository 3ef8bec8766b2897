// A certified OpenID provider for the tests: panva's oidc-provider on a free
// loopback port. It is set up by the JSON in OP_CONFIG ({audience, ttl, people,
// clients, userinfo_claims, acr_values, refresh_tokens, rotate_refresh}), prints
// "READY <issuer>" when it answers, and ends when its standard input does, so
// that it never outlives the test that started it.
//
// People log in on its pages: a form that takes any password, a screen that
// asks for consent, and one that confirms a logout. The pages load nothing.
//
// Beside the provider's own endpoints it answers POST /_rotate (a new key of
// each algorithm signs from here on, the older ones stay published), POST
// /_retire (only the newest keys stay) and the grant urn:test:as-user, which
// gives a token for a person without a browser.
import * as http from 'node:http';
import { text } from 'node:stream/consumers';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { errors, interactionPolicy } from 'oidc-provider';

const {
  audience, ttl, people, clients, userinfo_claims: userinfoClaims, acr_values: acrValues,
  refresh_tokens: refreshTokens, rotate_refresh: rotateRefresh,
} = JSON.parse(process.env.OP_CONFIG);
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
  async findByUid(uid) {
    for (const [key, { payload }] of store) {
      if (key.startsWith(this.key('')) && payload.uid === uid) return this.find(key.slice(this.key('').length));
    }
    return undefined;
  }
  async findByUserCode() { return undefined; }
  async destroy(id) { store.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of store) {
      if (key.startsWith(this.key('')) && payload.grantId === grantId) store.delete(key);
    }
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

const escaped = (value) => String(value).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}</html>`;

// One more reason to ask for a login: the one before was not of a class that
// this request wants. It is asked once, even where the provider has no such class.
const { Check, base } = interactionPolicy;
const policy = base();
policy.get('login').checks.add(new Check('acr_values', 'another login is asked for', ({ oidc }) => (
  acrValues.length > 0 && oidc.params.acr_values && !oidc.params.acr_values.split(' ').includes(oidc.acr) && !oidc.result?.login
    ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT)));

// interact shows the page of a login under way (GET), takes its form (POST), or
// ends it (GET …/cancel).
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const show = (status, title, fields) => {
    response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
    response.end(page(title, `<form method="post">${fields}</form><p><a href="${request.url}/cancel">Cancel</a></p>`));
  };
  const ask = (status) => (prompt.name === 'login'
    ? show(status, 'Sign in', `<p><label>Login <input name="login" required autofocus value="${escaped(params.login_hint ?? '')}"></label></p>
      <p><label>Password <input name="password" type="password" required></label></p><button>Sign in</button>`)
    : show(status, 'Consent', `<p>${escaped(params.client_id)} asks for ${escaped(params.scope)}.</p><button autofocus>Allow</button>`));
  const finish = (result) => provider.interactionFinished(request, response, result);

  if (request.url.endsWith('/cancel')) return finish({ error: 'access_denied', error_description: 'the person cancelled' });
  if (request.method !== 'POST') return ask(200);
  if (prompt.name === 'login') {
    const accountId = new URLSearchParams(await text(request)).get('login');
    const acr = params.acr_values?.split(' ').find((value) => acrValues.includes(value)) ?? acrValues[0];
    return Object.hasOwn(people, accountId) ? finish({ login: { accountId, acr, amr: ['pwd'] } }) : ask(401);
  }
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [indicator, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(indicator, scopes.join(' '));
  return finish({ consent: { grantId: await grant.save() } });
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
    claims: {
      acr: null, amr: null, auth_time: null, sid: null, iss: null,
      openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups', 'tenant'],
    },
    conformIdTokenClaims: userinfoClaims,
    acrValues,
    interactions: { policy, url: (_ctx, { uid }) => `/interaction/${uid}` },
    issueRefreshToken: async (_ctx, client, source) => (
      client.grantTypeAllowed('refresh_token') && (refreshTokens || source.scopes.has('offline_access'))),
    ...(rotateRefresh && { rotateRefreshToken: true }),
    // Without the dispatcher, which refuses the loopback addresses that all parts of a test have.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    renderError: async (ctx, { error, error_description: description }) => {
      ctx.type = 'html';
      ctx.body = page('Error', `<p>${escaped(error)}: ${escaped(description)}</p>`);
    },
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
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (ctx, form) => {
          ctx.body = page('Sign out', `${form}<button form="op.logoutForm" name="logout" value="yes" autofocus>Yes, sign me out</button>
            <button form="op.logoutForm">No, stay signed in</button>`);
        },
        postLogoutSuccessSource: async (ctx) => { ctx.body = page('Signed out', ''); },
      },
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
let provider;
let answer;
const server = http.createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/_rotate') {
    keys = [...await newKeys(), ...keys];
    build();
  } else if (request.method === 'POST' && request.url === '/_retire') {
    keys = keys.slice(0, ALGORITHMS.length);
    build();
  } else if (request.url.startsWith('/interaction/')) {
    try {
      await interact(request, response);
    } catch (error) {
      response.writeHead(400, { 'Content-Type': 'text/html' }).end(page('Error', `<p>${escaped(error)}</p>`));
    }
    return;
  } else {
    answer(request, response);
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(keys.map(({ kid }) => kid)));
});

function build() {
  provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration(keys));
  provider.registerGrantType(AS_USER, asUser, ['sub', 'scope', 'resource', 'jkt', 'x5t'], []);
  provider.on('server_error', (_ctx, error) => console.error(error.stack));
  answer = provider.callback();
}

server.listen(0, '127.0.0.1', () => {
  build();
  console.log(`READY http://127.0.0.1:${server.address().port}`);
});
process.stdin.resume().on('end', () => process.exit(0));
