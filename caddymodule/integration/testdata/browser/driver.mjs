// Chromium for tests in Go. It prints "READY <url>" and ends when its standard
// input does. Each POST to the URL is a call of a method of Playwright, as JSON
// {on, call, args}: on is "browser" or the number of an object that an earlier
// call returned, call a method or a path to one ("keyboard.press"). The answer
// is {value} or {error}. A context and a page are returned as their numbers, a
// response as {url, status, headers}.
//
// A context has one more method, requests: what its pages have asked for so
// far, each {url, method, type, headers, status, answer}, where answer are the
// headers that came back.
//
// The back button asks Chromium's HTTP cache, or the server: Playwright turns
// the back/forward cache off, and loses sight of a page that comes from there.
import * as http from 'node:http';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    // Nothing outside of this machine is reached, nor asked for in the DNS.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost',
    '--disable-gpu',
  ],
});
const objects = new Map([['browser', browser]]);
const seen = new WeakMap(); // by context

function watch(context) {
  const requests = new Map();
  seen.set(context, requests);
  context.on('request', (r) => requests.set(r, { url: r.url(), method: r.method(), type: r.resourceType(), headers: r.headers() }));
  context.on('response', (r) => Object.assign(requests.get(r.request()) ?? {}, { status: r.status(), answer: r.headers() }));
}

function plain(result) {
  if (typeof result?.newPage === 'function' || typeof result?.goto === 'function') {
    if (typeof result.newPage === 'function') watch(result);
    const id = String(objects.size);
    objects.set(id, result);
    return id;
  }
  if (typeof result?.status === 'function') return { url: result.url(), status: result.status(), headers: result.headers() };
  return result ?? null;
}

async function answer({ on, call, args }) {
  let target = objects.get(on);
  if (call === 'requests') return [...seen.get(target).values()];
  const path = call.split('.');
  const method = path.pop();
  for (const name of path) target = target[name];
  return plain(await target[method](...(args ?? [])));
}

const server = http.createServer(async (request, response) => {
  let body;
  try {
    body = { value: await answer(JSON.parse(await text(request))) };
  } catch (error) {
    body = { error: error.message };
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(body));
});
server.listen(0, '127.0.0.1', () => console.log(`READY http://127.0.0.1:${server.address().port}`));
process.stdin.resume().on('end', async () => {
  await browser.close();
  process.exit(0);
});
