// The tiny JSON GET in Fastify, and with a second argument a row by its key from that SQLite file.
//
//   node fastify.mjs PORT [DATABASE]
import Fastify from 'fastify';

const [port, database] = process.argv.slice(2);
const server = Fastify({logger: false, keepAliveTimeout: 600_000});
server.get('/', {schema: {response: {200: {type: 'object', properties: {message: {type: 'string'}}}}}}, async () => ({message: 'hello'}));
if (database) {
  const {default: Database} = await import('better-sqlite3');
  const db = new Database(database, {readonly: true});
  const find = db.prepare('SELECT id, name, price, stock, note FROM items WHERE id = ?');
  const properties = {id: {type: 'string', format: 'uuid'}, name: {type: 'string'}, price: {type: 'string'}, stock: {type: 'integer'},
    note: {type: ['string', 'null']}};
  server.get('/items/:id', {schema: {params: {type: 'object', properties: {id: properties.id}}, response: {200: {type: 'object', properties}}}},
    async (request, reply) => find.get(request.params.id) ?? reply.code(404).send({error: 'not found'}));
}
await server.listen({port: Number(port), host: '127.0.0.1'});
