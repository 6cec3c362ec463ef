// The shop by the functions that @hey-api/openapi-ts makes from its served contract. node shop_hey.js ADDRESS TOKEN
declare const process: { argv: string[] }
import * as shop from './hey/sdk.gen.js'
import { client } from './hey/client.gen.js'

const [address, token] = process.argv.slice(2)
client.setConfig({ baseUrl: `${address}/v1`, auth: token })

function check(condition: unknown, what: unknown): asserts condition {
  if (!condition) throw new Error(JSON.stringify(what))
}
/** The body of a success; only `Prefer: return=minimal` has none. */
function good<T>(told: { data?: T; error?: unknown }): Exclude<T, void> {
  check(told.error === undefined && told.data, told)
  return told.data as Exclude<T, void>
}
const kettle = good(await shop.createProduct({ body: { name: 'Tin kettle', category: 'kitchen', price: '9.90' } }))
const page = good(await shop.listProducts({ query: { 'price[ge]': '5', category: ['kitchen', 'garden'], sort: ['-price', 'name'], limit: 2 } }))
check(page.data.length === 2 && page.has_more, page)
const cheaper = good(await shop.changeProduct({ path: { id: kettle.id }, body: { price: '8.90' } }))
check(cheaper.price === '8.90', cheaper)
const ada = good(await shop.createCustomer({ body: { name: 'Ada', email: `hey.${Date.now()}@example.com`, country: 'DE' } }))
const order = good(await shop.createOrder({ body: { customer_id: ada.id } }))
const listed = good(await shop.listOrders({ query: { customer_id: ada.id, 'created_at[ge]': '2020-01-01T00:00:00Z', embed: ['customer', 'items'] } }))
const name: string | undefined = listed.data[0]?.customer?.name
check(name === 'Ada', listed)
const payment = { headers: { 'Idempotency-Key': crypto.randomUUID() }, body: { order_id: order.id, method: 'card', amount: '1.00' } } as const
check(good(await shop.createPayment(payment)).id === good(await shop.createPayment(payment)).id, 'one payment')
const wrong = await shop.createProduct({ body: { name: '', category: 'kitchen', price: '1' } })
check(wrong.error?.status === 400 && wrong.error.code === 'invalid', wrong)
console.log('done')
