// A GraphQL service with the packages graphql and graphql-http, on the free port that it prints. It knows automatic persisted queries. `GET /log`
// tells what it was sent, `POST /fails` makes it answer the next N requests with 503 after it has done what they ask.
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createHash } from "node:crypto";

// Of the folder in which this runs: bench/, where the packages are.
const require = createRequire(pathToFileURL(process.cwd() + "/"));
const { GraphQLError, buildSchema } = require("graphql");
const { createHandler } = require("graphql-http/lib/use/http");

const schema = buildSchema(`
  type Book { id: ID!, title: String!, price: Float, secret: String }
  type Query { book(id: ID!): Book, books(ids: [ID!]!): [Book], runs: Int! }
  type Mutation { addBook(title: String!): Book! }
`);
const titles = new Map([["1", "Moby Dick"]]);
let runs = 0;
const book = (id) =>
  titles.has(id)
    ? { id, title: titles.get(id), price: 12.5, secret: () => { throw new GraphQLError("not for you", { extensions: { code: "FORBIDDEN", why: ["role"] } }); } }
    : null;
const rootValue = {
  book: ({ id }) => book(id),
  books: ({ ids }) => ids.map(book),
  runs: () => ++runs,
  addBook: ({ title }) => {
    const id = String(titles.size + 1);
    titles.set(id, title);
    return book(id);
  },
};

const known = new Map(), log = [];
let failing = 0;
async function parseRequestParams(request) {
  const from = new URL(request.url, "http://localhost");
  const said = request.method === "GET" ? Object.fromEntries([...from.searchParams].map(([name, value]) => [name, name === "variables" || name === "extensions" ? JSON.parse(value) : value])) : JSON.parse(await request.body());
  const hash = said.extensions?.persistedQuery?.sha256Hash;
  log.push({ method: request.method, query: said.query !== undefined, hash: hash !== undefined, accept: request.headers["accept"], attempt: request.headers["x-plimsoll-attempt"] });
  if (hash && said.query === undefined && !known.has(hash))
    return [JSON.stringify({ errors: [{ message: "PersistedQueryNotFound", extensions: { code: "PERSISTED_QUERY_NOT_FOUND" } }] }), { status: 200, statusText: "OK", headers: { "content-type": "application/json", "cache-control": "no-store" } }];
  if (hash && said.query !== undefined) {
    if (createHash("sha256").update(said.query).digest("hex") !== hash) throw new Error("provided sha does not match query");
    known.set(hash, said.query);
  }
  return { query: said.query ?? known.get(hash), operationName: said.operationName, variables: said.variables, extensions: said.extensions };
}
const handler = createHandler({ schema, rootValue, parseRequestParams });

const server = http.createServer((request, response) => {
  if (request.url === "/log") return response.end(JSON.stringify(log));
  if (request.url.startsWith("/fails")) return (failing = Number(request.url.split("=")[1])), response.end();
  if (failing > 0) {
    failing -= 1;
    const busy = { setHeader() {}, writeHead: () => busy, end: () => response.writeHead(503, { "content-type": "text/plain" }).end("busy") };
    return handler(request, busy);
  }
  if (request.method === "GET") response.setHeader("cache-control", "max-age=60");
  handler(request, response);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
