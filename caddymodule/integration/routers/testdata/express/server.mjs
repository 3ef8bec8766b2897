// Routers on Node, each on a port of its own: Express by routes, by mounted
// handlers and by files, and Node alone by the URL class. Each answers with
// the area that it serves. The environment names the folder of the files.
import http from "node:http";
import express from "express";

const area = (name) => (req, res) => res.type("text/plain").send("area:" + name);
const nowhere = (req, res) => res.status(404).type("text/plain").send("area:none");
// What Express cannot decode it hands over as an error.
const broken = (err, req, res, next) => res.status(400).type("text/plain").send("area:none");

const routes = express();
routes.all("/admin/users/:id/delete", area("delete"));
routes.all(["/admin", "/admin/*rest"], area("admin"));
routes.all(["/public", "/public/*rest"], area("public"));
routes.all(["/other", "/other/*rest"], area("other"));
routes.use(nowhere, broken);

const mounts = express();
const admin = express.Router();
admin.all("/users/:id/delete", area("delete"));
admin.use(area("admin"));
mounts.use("/admin", admin);
mounts.use("/public", area("public"));
mounts.use("/other", area("other"));
mounts.use(nowhere, broken);

const files = express();
files.use(express.static(process.env.FILES, { etag: false, lastModified: false }), nowhere, broken);

const byURL = (req, res) => {
	let path = "";
	try {
		path = new URL(req.url, "http://app.example").pathname;
	} catch {
		// No URL at all is no area.
	}
	res.setHeader("Content-Type", "text/plain");
	if (/^\/admin\/users\/[^/]+\/delete\/?$/.test(path)) return res.end("area:delete");
	const [, first] = path.split("/");
	if (["admin", "public", "other"].includes(first)) return res.end("area:" + first);
	res.statusCode = 404;
	res.end("area:none");
};

const servers = [routes, mounts, files, byURL].map((app) => http.createServer(app).listen(0, "127.0.0.1"));
await Promise.all(servers.map((s) => new Promise((done) => s.on("listening", done))));
console.log("READY " + servers.map((s) => s.address().port).join(" "));
process.stdin.resume().on("end", () => process.exit(0));
