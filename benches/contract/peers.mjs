// Loads documents and validates calls with express-openapi-validator and Prism, in one process, without a network:
// `node peers.mjs NODE_MODULES ORDERS BODY DOCUMENT...` writes one JSON object. Times are the best of several rounds.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, orders, bodyFile, ...documents] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/x.js`));
const express = require('express');
const eov = require('express-openapi-validator');
const inject = require('light-my-request');
const { getHttpOperationsFromSpec } = require('@stoplight/prism-cli/dist/operations');
const { validateInput } = require('@stoplight/prism-http/dist/validator');

const body = readFileSync(bodyFile, 'utf8');
const target = '/orders/42?page=3&sort=asc';
const call = { method: 'POST', url: target, headers: { 'content-type': 'application/json' }, payload: body };

const ask = (app, what) => new Promise((done, fail) =>
  inject(app, what, (error, answer) => (error ? fail(error) : done(answer.statusCode))));

function application(document) {
  const app = express();
  app.use(express.json());
  if (document) {
    app.use(eov.middleware({ apiSpec: document, validateRequests: true, validateResponses: false, validateSecurity: false, validateApiSpec: false }));
  }
  app.use((_, answer) => answer.status(204).end());
  app.use((error, _, answer, __) => answer.status(error.status ?? 500).json({ error: error.message }));
  return app;
}

async function best(rounds, run) {
  let least = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const start = process.hrtime.bigint();
    await run();
    least = Math.min(least, Number(process.hrtime.bigint() - start) / 1e6);
  }
  return least;
}

const attempt = async (run) => {
  try {
    return await run();
  } catch (error) {
    return String(error?.message ?? error).slice(0, 120);
  }
};

const load = {};
for (const document of documents) {
  load[document] = {
    // It compiles an operation's schemas when a call first needs them: the first call belongs to loading.
    'express-openapi-validator': await attempt(() => best(3, () => ask(application(document), { method: 'GET', url: '/' }))),
    prism: await attempt(() => best(3, () => getHttpOperationsFromSpec(document))),
  };
}

const CALLS = 500;
const many = (app) => best(10, async () => {
  for (let index = 0; index < CALLS; index += 1) await ask(app, call);
});
const [bare, guarded] = [application(), application(orders)];
const statuses = [await ask(guarded, call), await ask(guarded, { ...call, payload: body.replace('"quantity":2', '"quantity":0') })];
if (statuses[0] !== 204 || statuses[1] !== 400) throw new Error(`it does not validate: ${statuses}`);
const validate = { 'express-openapi-validator': ((await many(guarded)) - (await many(bare))) * 1000 / CALLS };

const [resource] = await getHttpOperationsFromSpec(orders);
const element = (text) => ({
  method: 'post', url: { path: '/orders/42', query: { page: '3', sort: 'asc' } },
  headers: { 'content-type': 'application/json' }, body: JSON.parse(text),
});
if (validateInput({ resource, element: element(body) })._tag !== 'Right') throw new Error('Prism refuses the body');
if (validateInput({ resource, element: element(body.replace('"quantity":2', '"quantity":0')) })._tag === 'Right') throw new Error('Prism does not validate');
validate.prism = await best(10, () => {
  for (let index = 0; index < CALLS; index += 1) validateInput({ resource, element: element(body) });
}) * 1000 / CALLS;

console.log(JSON.stringify({ load, validate }));
