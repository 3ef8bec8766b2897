// Reads cookies and queries as applications on Node do: one request a line of
// standard input, a letter and the header or query in hexadecimal; one JSON
// object a line of standard output, from readers to names in hexadecimal.
import { createInterface } from "node:readline";
import querystring from "node:querystring";
import * as cookie0 from "cookie0";
import * as cookie06 from "cookie06";
import * as cookie07 from "cookie07";
import * as cookie1 from "cookie1";
import * as cookie2 from "cookie2";
import qs from "qs";

const hex = (names) => names.map((n) => Buffer.from(n, "latin1").toString("hex"));
const cookies = { "cookie 0.1": cookie0, "cookie 0.6": cookie06, "cookie 0.7": cookie07, "cookie 1": cookie1, "cookie 2": cookie2 };

for await (const line of createInterface({ input: process.stdin })) {
	const text = Buffer.from(line.slice(1), "hex").toString("latin1");
	const read = {};
	if (line[0] === "c") {
		for (const [name, module] of Object.entries(cookies)) {
			const parse = module.parseCookie ?? module.parse ?? module.default.parse;
			read[name] = hex(Object.keys(parse(text)));
		}
	} else {
		read.qs = hex(Object.keys(qs.parse(text)));
		read["node:querystring"] = hex(Object.keys(querystring.parse(text)));
		read.URLSearchParams = hex([...new URLSearchParams(text).keys()]);
	}
	console.log(JSON.stringify(read));
}
