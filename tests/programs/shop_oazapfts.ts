// The shop by the functions that oazapfts makes from its served contract. node shop_oazapfts.js ADDRESS TOKEN
declare const process: { argv: string[] }
import * as shop from './shop_api.js'

const [address, token] = process.argv.slice(2)
shop.defaults.baseUrl = `${address}/v1`
shop.defaults.headers = { Authorization: `Bearer ${token}` }

function check(condition: unknown, what: unknown): asserts condition {
  if (!condition) throw new Error(JSON.stringify(what))
}
const kettle = await shop.createProduct({ name: 'Iron kettle', category: 'kitchen', price: '29.90' })
check(kettle.status === 201, kettle)
const page = await shop.listProducts({ category: ['kitchen', 'garden'], priceGe: '5', sort: ['-price', 'name'], limit: 2 })
check(page.status === 200 && page.data.data.length === 2 && page.data.has_more, page)
// oazapfts sends every body as application/json; a merge patch has a media type of its own, which the contract names.
const merge = { headers: { 'Content-Type': 'application/merge-patch+json' } }
const cheaper = await shop.changeProduct(kettle.data.id, { price: '24.90' }, {}, merge)
check(cheaper.status === 200 && cheaper.data.price === '24.90', cheaper)
const ada = await shop.createCustomer({ name: 'Ada', email: `oazapfts.${Date.now()}@example.com`, country: 'DE' })
check(ada.status === 201, ada)
const order = await shop.createOrder({ customer_id: ada.data.id })
check(order.status === 201, order)
const since: string = '2020-01-01T00:00:00Z'
const listed = await shop.listOrders({ customerId: ada.data.id, createdAtGe: since, embed: ['customer', 'items'] })
check(listed.status === 200 && listed.data.data[0]?.customer?.name === 'Ada', listed)
const key = crypto.randomUUID()
const paid = await shop.createPayment(key, { order_id: order.data.id, method: 'card', amount: '1.00' })
const again = await shop.createPayment(key, { order_id: order.data.id, method: 'card', amount: '1.00' })
check(paid.status === 201 && again.status === 201 && paid.data.id === again.data.id, again)
const wrong = await shop.createProduct({ name: '', category: 'kitchen', price: '1' })
check(wrong.status === 400 && wrong.data.code === 'invalid', wrong)
console.log('done')
