// The suite http-cache-tests of npm: its origin on the free port that this prints, then its tests against the cache that a line of stdin names,
// `{"base": URL, "only": [id, …]}` (all without `only`), and what came of them as a line of JSON.
import http from "node:http";
import readline from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Of the folder in which this runs: bench/, where the packages are.
const suite = createRequire(pathToFileURL(process.cwd() + "/")).resolve("http-cache-tests/package.json");
const part = (path) => import(new URL(path, pathToFileURL(suite)));
const fetch = createRequire(suite)("node-fetch");

const [config, state, test, { runTests, getResults }, { default: groups }, { default: surrogate }] = await Promise.all(
  ["server/handle-config.mjs", "server/handle-state.mjs", "server/handle-test.mjs", "client/runner.mjs", "tests/index.mjs", "tests/surrogate-control.mjs"].map(part));
const handlers = { config: config.default, state: state.default, test: test.default };
console.log = console.error; // what its origin says
const origin = http.createServer((request, response) => {
  const [, what, ...path] = new URL(request.url, "http://origin/").pathname.split("/");
  if (what in handlers) handlers[what](path, request, response);
  else response.end("a suite\n");
});
origin.listen(0, "127.0.0.1", () => process.stdout.write(`${origin.address().port}\n`));

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { base, only } = JSON.parse(line);
  const chosen = [...groups, surrogate].map((group) => ({ ...group, tests: group.tests.filter((each) => !each.browser_only && (!only || only.includes(each.id))) }));
  await runTests(chosen, fetch, false, base);
  const results = getResults();
  const told = chosen.flatMap((group) => group.tests).map(({ id, kind = "required", depends_on: needs = [] }) => ({ id, kind, needs, result: results[id] }));
  process.stdout.write(JSON.stringify(told) + "\n");
  process.exit(0);
}
