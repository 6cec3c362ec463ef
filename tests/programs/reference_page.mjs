// Uses /docs of the shop as a person does, in Chromium. Arguments: the address that --dev prints, the credential, the width, a folder for
// screenshots and samples. Prints what it saw as JSON.
import {chromium} from 'playwright-core';
import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const [address, credential, width, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const seen = {complaints: [], elsewhere: [], violations: {}};
const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
const context = await browser.newContext({viewport: {width: Number(width), height: 900}, colorScheme: Number(width) < 800 ? 'dark' : 'light'});
const page = await context.newPage();
page.setDefaultTimeout(60000);
page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !/status of 4\d\d/.test(message.text())) seen.complaints.push(message.text()); });
page.on('pageerror', (error) => seen.complaints.push(error.message));
page.on('request', (request) => { if (new URL(request.url()).origin !== new URL(address).origin && !request.url().startsWith('blob:')) seen.elsewhere.push(request.url()); });

const opened = async (id) => {
  await page.evaluate((wanted) => { location.hash = '#' + wanted; }, id);
  await page.waitForSelector(`#${id} form`);
};
const answer = async (id) => {
  await page.click(`#${id} form button[type=submit]`);
  await page.waitForSelector(`#${id} form button[type=submit]:not([disabled])`);
  await page.waitForSelector(`#${id} .result`);
  const status = Number(await page.textContent(`#${id} .result .status`));
  const text = await page.textContent(`#${id} .output > pre`);
  await page.click(`#${id} .output details summary`);
  const headers = await page.textContent(`#${id} .output details pre`);
  return {status, body: text ? JSON.parse(text) : null, headers};
};
const audit = async (what) => {
  if (!(await page.evaluate(() => Boolean(window.axe)))) await context.newCDPSession(page).then((session) => session.send('Runtime.evaluate', {expression: axe}));
  const found = await page.evaluate(() => window.axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}));
  seen.violations[what] = found.violations.map((one) => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)]);
  await page.screenshot({path: `${folder}/${what}-${width}.png`});
};

// The address of --dev fills the credentials in, and shows none of them any more.
await page.goto(address);
await page.waitForSelector('html[data-ready]');
seen.filled = await page.textContent('#authorize');
seen.shown = page.url();
// Without it they are given in the dialog.
const plain = address.split('#')[0];
await page.goto('about:blank');
await page.goto(plain);
await page.waitForSelector('html[data-ready]');
seen.before = await page.textContent('#authorize');
await audit('start');
await page.click('#authorize');
await page.fill('#credentials input', `Bearer ${credential}`);
await audit('authorize');
await page.keyboard.press('Escape');
seen.after = await page.textContent('#authorize');

await opened('listCustomers');
seen.customers = await answer('listCustomers');
await opened('createOrder');
await page.fill('#createOrder textarea', JSON.stringify({customer_id: seen.customers.body.data[0].id, note: "it's for Ann"}));
seen.order = await answer('createOrder');
await opened('getOrder');
await page.fill('#getOrder form input[aria-label=id]', seen.order.body.id);
seen.row = await answer('getOrder');
await opened('createPayment');
seen.notes = await page.textContent('#createPayment .notes');
seen.key = await page.inputValue('#createPayment form input[aria-label=Idempotency-Key]');
await page.fill('#createPayment textarea', JSON.stringify({order_id: seen.order.body.id, method: 'card', amount: '9.90'}));
seen.paid = await answer('createPayment');
seen.again = await answer('createPayment');
await page.click('#createPayment form button:text("new key")');
await page.fill('#createPayment textarea', JSON.stringify({order_id: seen.order.body.id, method: 'gold', amount: '-1'}));
seen.invalid = await answer('createPayment');
seen.told = await page.textContent('#createPayment .problem');
await page.fill('#createPayment textarea', JSON.stringify({order_id: '01890a5d-ac96-774b-bcce-b302099a8057', method: 'card', amount: '1.00'}));
seen.refused = await answer('createPayment');
await audit('refused');
await page.click('#createPayment .problem a');
seen.problem = await page.evaluate(() => document.getElementById(location.hash.slice(1)).textContent);
await page.fill('#createPayment textarea', JSON.stringify({order_id: seen.order.body.id, method: 'voucher', amount: '0.10'}, null, 2));
await page.click('#createPayment form button:text("new key")');
await page.evaluate(() => { location.hash = '#model-Order'; });
await page.waitForSelector('#model-Order .fields');
await audit('model');

// By keyboard alone: find an operation, open its language, send it.
await page.keyboard.press('/');
await page.keyboard.type('record payment');
seen.found = await page.textContent('#found');
await page.fill('#search', 'voucher');
seen.foundInModels = await page.$$eval('#list a:not([hidden])', (all) => all.map((one) => one.getAttribute('href')));
await page.fill('#search', 'preference-applied');
seen.foundInResponses = await page.$$eval('#list a:not([hidden])', (all) => all.map((one) => one.getAttribute('href')));
await page.fill('#search', '');
await page.keyboard.press('Escape');

// What is shown in each language, with what the forms hold.
await opened('listOrders');
await page.$$eval('#listOrders details', (all) => all.forEach((one) => { one.open = true; }));
await page.check('#listOrders .choices input[value=open]');
await page.check('#listOrders .choices input[value=paid]');
await page.fill('#listOrders form input[aria-label="total[ge]"]', '0');
seen.samples = [];
for (const [language, ending] of [['curl', 'sh'], ['JavaScript', 'mjs'], ['Python', 'py'], ['C++', 'cpp']])
  for (const id of ['listOrders', 'createPayment']) {
    await page.click(`#${id} [role=tab]:text-is("${language}")`);
    writeFileSync(`${folder}/${id}.${ending}`, await page.textContent(`#${id} .sample pre`));
    seen.samples.push(`${id}.${ending}`);
  }
seen.width = await page.evaluate(() => document.documentElement.scrollWidth);

// The pages beside it look the same.
await page.goto(new URL('problems/constraint', plain).href);
await audit('problem');
seen.font = await page.evaluate(() => getComputedStyle(document.body).fontFamily);
await browser.close();
console.log(JSON.stringify(seen));
