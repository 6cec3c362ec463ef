// Opens everything of /docs and prints, as JSON, which texts are cut off at the right edge of their card or of the page. What scrolls by itself (code
// blocks, inputs) is not cut off. Arguments: the address of the page, the width, a file for the screenshot.
import {chromium} from 'playwright-core';

const [address, width, screenshot] = process.argv.slice(2);
const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
const page = await browser.newPage({viewport: {width: Number(width), height: 900}});
page.setDefaultTimeout(120000);
await page.goto(address);
await page.waitForSelector('html[data-ready]');
const seen = await page.evaluate(() => {
  for (const one of [...operations, ...models]) one.open(true);
  for (let closed; (closed = document.querySelectorAll('main details:not([open])')).length && document.querySelectorAll('main *').length < 60000;) closed.forEach((one) => { one.open = true; });
  const cut = [];
  let looked = 0;
  for (const each of document.querySelectorAll('main *')) {
    if (!each.getClientRects().length || each.closest('pre, input, select, textarea')) continue;
    looked++;
    const over = Math.round(each.getBoundingClientRect().right - each.closest('article, main').getBoundingClientRect().right);
    if (over > 0) cut.push([each.closest('article')?.id ?? 'main', each.tagName.toLowerCase(), over, each.textContent.slice(0, 60)]);
  }
  return {looked, cut, width: document.documentElement.scrollWidth};
});
await page.screenshot({path: screenshot});
await browser.close();
console.log(JSON.stringify(seen));
