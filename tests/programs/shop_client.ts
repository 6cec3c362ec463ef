// A program that knows the shop by the types that openapi-typescript makes from its served contract: 40 calls, each checked by the compiler first.
// node shop_client.js ADDRESS TOKEN
declare const process: { argv: string[] }
import createClient from 'openapi-fetch'
import type { components, paths } from './shop.js'

const [address, token] = process.argv.slice(2)
const shop = createClient<paths>({
  baseUrl: address + '/v1',
  headers: { Authorization: `Bearer ${token}` },
  querySerializer: { array: { style: 'form', explode: false } },
})
// openapi-fetch sends every body as application/json; a merge patch has a media type of its own, which the contract names.
shop.use({
  onRequest({ request }) {
    if (request.method === 'PATCH') request.headers.set('Content-Type', 'application/merge-patch+json')
    return request
  },
})
let calls = 0

function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}
/** The body of a success. */
function good<T>(told: { data?: T; error?: unknown; response: Response }): T {
  calls++
  check(told.response.ok, `${told.response.status} ${told.response.url}: ${JSON.stringify(told.error)}`)
  return told.data as T
}
const key = () => ({ 'Idempotency-Key': crypto.randomUUID() })

// --- rows, filters, pages ---
const kettle = good(await shop.POST('/products', { body: { name: 'Copper kettle', category: 'kitchen', price: '19.90' } }))
const rake = good(await shop.POST('/products', { body: { name: 'Garden rake', category: 'garden', price: '7.50', stock: 3, description: null } }))
const made: components['schemas']['Product'] = kettle
check(made.id !== rake.id && made.created_at.length > 0, 'the server makes keys and times')
const path = (id: string) => ({ params: { path: { id } } })
check(good(await shop.GET('/products/{id}', path(kettle.id))).name === 'Copper kettle', 'the row')
const narrow = good(await shop.GET('/products/{id}', { params: { path: { id: kettle.id }, query: { fields: 'id,price' } } }))
check(narrow.name === undefined && narrow.price === '19.90', 'only the fields asked for')
const page = good(await shop.GET('/products', { params: { query: { 'price[ge]': '5', category: ['kitchen', 'garden'], sort: ['-price', 'name'], limit: 2, count: 'exact' } } }))
check(page.data.length === 2 && page.has_more && page.total !== undefined && page.total > 2, 'a page with its count')
const cursor: string | null = page.next_cursor
check(cursor !== null, 'there is a next page')
good(await shop.GET('/products', { params: { query: { 'price[ge]': '5', category: ['kitchen', 'garden'], sort: ['-price', 'name'], limit: 2, cursor } } }))
good(await shop.GET('/products', { params: { query: { page: 2, limit: 3 } } }))
check(good(await shop.GET('/products', { params: { query: { q: 'copper kettle' } } })).data.length > 0, 'words are found')
good(await shop.GET('/products', { params: { query: { 'name[like]': 'Copper*' } } }))
good(await shop.GET('/products', { params: { query: { 'discontinued_at[is-null]': true, 'stock[le]': 10 } } }))

// --- changes ---
const cheaper = good(await shop.PATCH('/products/{id}', { ...path(kettle.id), body: { price: '17.90' } }))
check(cheaper.price === '17.90' && cheaper.name === 'Copper kettle', 'one member is changed')
good(await shop.PATCH('/products/{id}', { ...path(kettle.id), body: { description: null } }))
good(await shop.PUT('/products/{id}', { ...path(rake.id), body: { name: 'Steel rake', category: 'garden', price: '8.50' } }))
const seen = await shop.GET('/products/{id}', path(rake.id))
good(seen)
const tag = seen.response.headers.get('etag') ?? ''
good(await shop.PATCH('/products/{id}', { params: { path: { id: rake.id }, header: { 'If-Match': tag } }, body: { stock: 4 } }))
const late = await shop.PATCH('/products/{id}', { params: { path: { id: rake.id }, header: { 'If-Match': tag } }, body: { stock: 5 } })
calls++
check(late.response.status === 412 && late.error?.code === 'precondition-failed', 'somebody else was first')
const known = await shop.GET('/products/{id}', { params: { path: { id: rake.id }, header: { 'If-None-Match': late.response.headers.get('etag') ?? '*' } } })
calls++
check(known.response.status === 304, 'nothing has changed')

// --- customers and orders, with rows of other tables inside ---
const ada = good(await shop.POST('/customers', { body: { name: 'Ada King', email: `ada.${Date.now()}@example.com`, country: 'DE' } }))
good(await shop.GET('/customers', { params: { query: { country: ['DE', 'FR'], 'country[ne]': 'US', limit: 1 } } }))
good(await shop.GET('/customers/{id}', path(ada.id)))
good(await shop.PATCH('/customers/{id}', { ...path(ada.id), body: { name: 'Ada Lovelace' } }))
const order = good(await shop.POST('/orders', { body: { customer_id: ada.id, note: 'by hand' } }))
const items = good(await shop.POST('/order-items/batch', { body: [{ order_id: order.id, line: 1, product_id: kettle.id, quantity: 2, price: '17.90' }, { order_id: order.id, line: 2, product_id: rake.id, quantity: 1, price: '8.50' }] }))
check(items.data.length === 2 && items.data[0]?.order_id === order.id, 'all items, as rows')
const whole = good(await shop.GET('/orders/{id}', { params: { path: { id: order.id }, query: { embed: ['customer', 'items', 'payments'] } } }))
check(whole.total === '44.30', 'what the items cost')
const customer: string | undefined = whole.customer?.name
const quantities: number[] = (whole.items ?? []).map((item) => item.quantity ?? 0)
check(customer === 'Ada Lovelace' && quantities.reduce((sum, one) => sum + one, 0) === 3, 'embedded rows have types')
const deep = good(await shop.GET('/orders', { params: { query: { customer_id: ada.id, fields: 'id,items(quantity,product(name))' } } }))
check(deep.data[0]?.items?.[0]?.product?.name !== undefined, 'rows within rows')
good(await shop.GET('/orders', { params: { query: { status: ['open', 'paid'], 'total[gt]': '1', 'created_at[ge]': '2020-01-01T00:00:00Z', sort: ['-created_at'], limit: 3 } } }))
good(await shop.PATCH('/orders/{id}', { ...path(order.id), body: { note: null } }))
good(await shop.GET('/order-items', { params: { query: { order_id: order.id, embed: ['product'] } } }))

// --- payments, once ---
const once = key()
const payment = { order_id: order.id, method: 'card', amount: '44.30' } as const
const paid = good(await shop.POST('/payments', { params: { header: once }, body: payment }))
const again = await shop.POST('/payments', { params: { header: once }, body: payment })
check(good(again).id === paid.id && again.response.headers.get('idempotent-replayed') === 'true', 'a repeated request takes effect once')
const reused = await shop.POST('/payments', { params: { header: once }, body: { ...payment, amount: '1' } })
calls++
check(reused.response.status === 422 && reused.error?.code === 'idempotency-key-reused', 'a key is for one request')
good(await shop.GET('/payments/{id}', path(paid.id)))
good(await shop.GET('/payments', { params: { query: { order_id: order.id, method: 'card', sort: ['-amount'] } } }))
good(await shop.PATCH('/orders/{id}/status', { ...path(order.id), body: { status: 'paid' } }))

// --- problems ---
const invalid = await shop.POST('/products', { body: { name: '', category: 'kitchen', price: 'cheap' } })
calls++
check(invalid.response.status === 400 && invalid.error?.code === 'invalid', 'a problem has a code')
const pointers: string[] = (invalid.error.errors ?? []).map((error) => error.pointer)
check(pointers.includes('/name') && pointers.includes('/price'), `all that is wrong: ${pointers}`)
const missing = await shop.GET('/orders/{id}', path('00000000-0000-7000-8000-000000000000'))
calls++
const code: 'no-such-row' | undefined = missing.response.status === 404 && missing.error?.status === 404 ? missing.error.code : undefined
check(code === 'no-such-row', 'the codes of a status are known')
const stranger = await createClient<paths>({ baseUrl: address + '/v1' }).GET('/orders')
calls++
check(stranger.error?.status === 401, 'strangers are told so')

// --- a job ---
const job = good(await shop.POST('/reports/sales'))
let status = good(await shop.GET('/reports/sales/{job_id}/status', { params: { path: { job_id: job.job_id } } }))
for (let asked = 0; status.status !== 'completed' && asked < 600; asked++) {
  check(status.status !== 'dead', `the job failed: ${status.error}`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  status = good(await shop.GET('/reports/sales/{job_id}/status', { params: { path: { job_id: job.job_id } } }))
}
const report = await shop.GET('/reports/sales/{job_id}/result', { params: { path: { job_id: job.job_id } }, parseAs: 'text' })
calls++
check(String(report.data).startsWith('month,orders,revenue'), 'the result')
good(await shop.DELETE('/products/{id}', path(good(await shop.POST('/products', { body: { name: 'Spare', category: 'toys', price: '1' } })).id)))

check(calls >= 40, `${calls} calls`)
console.log(`${calls} calls`)
