// The mix of bench/mix.py in Fastify, as a good operator would tune it: compiled schemas in and out, prepared statements, the cached list as the
// bytes that are sent, tokens verified once, the idempotency key in the transaction of the order, and a buffered log.
//
//   node fastify_mix.mjs PORT DATABASE JWKS LOG
import {createPublicKey, createHash, randomUUID, verify} from 'node:crypto';
import {readFileSync} from 'node:fs';
import Database from 'better-sqlite3';
import Fastify from 'fastify';
import pino from 'pino';

const [port, file, jwks, log] = process.argv.slice(2);
const logger = pino({timestamp: pino.stdTimeFunctions.isoTime}, pino.destination({dest: log, sync: false, minLength: 65536, maxWrite: 131072}));
const server = Fastify({loggerInstance: logger, disableRequestLogging: true, keepAliveTimeout: 600_000});
server.addHook('onResponse', (request, reply, done) => {
  logger.info({method: request.method, path: request.url, status: reply.statusCode, duration_ms: reply.elapsedTime, client: request.ip});
  done();
});

// Tokens: verified once, then found by their text until they expire.
const keys = new Map(JSON.parse(readFileSync(jwks, 'utf8')).keys.map(key => [key.kid, createPublicKey({key, format: 'jwk'})]));
const verified = new Map();
server.decorateRequest('caller', null);
server.addHook('onRequest', async (request, reply) => {
  const token = request.headers.authorization?.startsWith('Bearer ') ? request.headers.authorization.slice(7) : '';
  let claims = verified.get(token);
  if (!claims && token) {
    const [head, payload, signature] = token.split('.');
    const {alg, kid} = JSON.parse(Buffer.from(head, 'base64url'));
    const key = keys.get(kid);
    const good = key && verify(alg === 'EdDSA' ? null : 'sha256', Buffer.from(`${head}.${payload}`), {key, dsaEncoding: 'ieee-p1363'}, Buffer.from(signature, 'base64url'));
    claims = good && JSON.parse(Buffer.from(payload, 'base64url'));
    if (claims) verified.set(token, claims);
  }
  if (!claims || claims.exp * 1000 < Date.now() || claims.iss !== 'https://id.example.com/' || !claims.scope.split(' ').includes('read')) return reply.code(401).send({error: 'unauthorized'});
  request.caller = claims.sub;
});

const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec(`CREATE TABLE IF NOT EXISTS orders(id TEXT PRIMARY KEY, product TEXT NOT NULL, quantity INTEGER NOT NULL, note TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idempotency(caller TEXT, key TEXT, fingerprint BLOB, status INTEGER, body TEXT, at INTEGER, PRIMARY KEY(caller, key)) WITHOUT ROWID`);
const list = db.prepare('SELECT id, name, price, stock, note FROM products ORDER BY id LIMIT 21');
const find = db.prepare('SELECT id, name, price, stock, note FROM products WHERE id = ?');
const known = db.prepare('SELECT fingerprint, status, body FROM idempotency WHERE caller = ? AND key = ?');
const insert = db.prepare('INSERT INTO orders VALUES(?, ?, ?, ?)');
const record = db.prepare('INSERT INTO idempotency VALUES(?, ?, ?, ?, ?, ?)');

const product = {type: 'object', properties: {id: {type: 'string'}, name: {type: 'string'}, price: {type: 'string'}, stock: {type: 'integer'}, note: {type: ['string', 'null']}}};
let cached = null;
server.get('/products', async (request, reply) => {
  if (!cached) {
    const rows = list.all();
    cached = Buffer.from(JSON.stringify({data: rows.slice(0, 20), has_more: rows.length > 20}));
  }
  return reply.type('application/json').send(cached);
});
server.get('/products/:id', {schema: {params: {type: 'object', properties: {id: {type: 'string', format: 'uuid'}}}, response: {200: product}}},
  async (request, reply) => find.get(request.params.id) ?? reply.code(404).send({error: 'not found'}));

const order = {type: 'object', required: ['product', 'quantity'], additionalProperties: false,
  properties: {product: {type: 'string', maxLength: 100}, quantity: {type: 'integer', minimum: 1}, note: {type: ['string', 'null'], maxLength: 1000}}};
const ordered = db.transaction((caller, key, fingerprint, body) => {
  const before = known.get(caller, key);
  if (before) return before.fingerprint.equals(fingerprint) ? before : {status: 422, body: '{"error":"another request had this key"}'};
  const made = {id: randomUUID(), product: body.product, quantity: body.quantity, note: body.note ?? null};
  insert.run(made.id, made.product, made.quantity, made.note);
  const text = JSON.stringify(made);
  record.run(caller, key, fingerprint, 201, text, Date.now());
  return {status: 201, body: text};
});
server.post('/orders', {schema: {body: order}}, async (request, reply) => {
  const fingerprint = createHash('sha256').update(JSON.stringify(request.body)).digest();
  const done = ordered.immediate(request.caller, request.headers['idempotency-key'], fingerprint, request.body);
  return reply.code(done.status).type('application/json').send(done.body);
});
server.get('/', {onRequest: []}, async () => ({}));
await server.listen({port: Number(port), host: '127.0.0.1'});
