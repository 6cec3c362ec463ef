// The tiny JSON GET in Fastify, and with a second argument a row by its key from that SQLite file, or from a server of PostgreSQL.
//
//   node fastify.mjs PORT [DATABASE]
import Fastify from 'fastify';

const [port, database] = process.argv.slice(2);
const server = Fastify({logger: false, keepAliveTimeout: 600_000});
server.get('/', {schema: {response: {200: {type: 'object', properties: {message: {type: 'string'}}}}}}, async () => ({message: 'hello'}));
const columns = 'SELECT id, name, price, stock, note FROM items WHERE id = ';

/** A function that finds a row by its key. */
async function finder() {
  if (database.startsWith('postgres:')) {
    const {default: pg} = await import('pg');
    const pool = new pg.Pool({connectionString: database, min: 5, max: 20});
    pg.types.setTypeParser(pg.types.builtins.INT8, Number);
    return async id => (await pool.query({name: 'find', text: columns + '$1', values: [id]})).rows[0];
  }
  const {default: Database} = await import('better-sqlite3');
  const find = new Database(database, {readonly: true}).prepare(columns + '?');
  return id => find.get(id);
}

if (database) {
  const find = await finder();
  const properties = {id: {type: 'string', format: 'uuid'}, name: {type: 'string'}, price: {type: 'string'}, stock: {type: 'integer'},
    note: {type: ['string', 'null']}};
  server.get('/items/:id', {schema: {params: {type: 'object', properties: {id: properties.id}}, response: {200: {type: 'object', properties}}}},
    async (request, reply) => await find(request.params.id) ?? reply.code(404).send({error: 'not found'}));
}
await server.listen({port: Number(port), host: '127.0.0.1'});
