// A SCIM 2.0 service for the tests: many small worlds behind one port. A world
// is made by POST /_world (users and groups as SCIM resources); its answer is
// the bearer token under which the world is seen at /scim/v2. It ends when
// its standard input does, so that it never outlives the test.
import express from 'express';
import SCIMMY from 'scimmy';
import SCIMMYRouters from 'scimmy-routers';

const worlds = new Map();
const token = (req) => (req.header('authorization') ?? '').replace(/^Bearer /, '');
const world = (req) => {
	const w = worlds.get(token(req));
	if (!w) throw new Error('unknown credentials');
	return w;
};

// Scimmy 1.3.5 leaves the escapes in a filter's strings as they are, where RFC
// 7644 (section 3.4.2.2) has JSON strings: they are read here. Worlds made
// with "naive" keep that defect.
const decode = (v) => {
	if (typeof v === 'string') return v.includes('\\') ? JSON.parse(`"${v}"`) : v;
	if (Array.isArray(v)) return Array.from(v, decode);
	if (v && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, e]) => [k, decode(e)]));
	return v;
};

const read = (kind) => (resource, w) => {
	if (resource.id) {
		const found = w[kind].get(resource.id);
		if (!found) throw new SCIMMY.Types.Error(404, null, `no such ${kind}`);
		return found;
	}
	const all = [...w[kind].values()];
	if (!resource.filter || w.deaf) return all;
	return (w.naive ? resource.filter : new SCIMMY.Types.Filter(decode(resource.filter))).match(all);
};
const refuse = () => {
	throw new SCIMMY.Types.Error(403, null, 'read only');
};
SCIMMY.Resources.declare(SCIMMY.Resources.User).extend(SCIMMY.Schemas.EnterpriseUser)
	.egress(read('users')).ingress(refuse).degress(refuse);
SCIMMY.Resources.declare(SCIMMY.Resources.Group).egress(read('groups')).ingress(refuse).degress(refuse);
SCIMMY.Config.set({ filter: { supported: true, maxResults: 150 } });

const app = express();
app.post('/_world', express.json({ limit: '64mb' }), (req, res) => {
	const name = `scim-secret-${worlds.size + 1}`;
	worlds.set(name, {
		naive: req.body.naive,
		deaf: req.body.deaf, // takes no notice of filters
		users: new Map(req.body.users.map((u) => [u.id, u])),
		groups: new Map(req.body.groups.map((g) => [g.id, g])),
	});
	res.json({ token: name });
});
app.use('/scim/v2', new SCIMMYRouters({
	type: 'bearer',
	handler: (req) => { world(req); return 'gateway'; },
	context: (req) => world(req),
}));
const server = app.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
process.stdin.on('end', () => process.exit(0)).resume();
