// Opens each page in a new browser and prints, as JSON, what it cost until an operation was shown, and until nothing was left to do.
// Arguments: pages as JSON, `[[name, URL, text of the operation that is looked for]]`.
import {chromium} from 'playwright-core';

const found = {};
for (const [name, url, text] of JSON.parse(process.argv[2])) {
  const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox'], timeout: 180000});
  const page = await browser.newPage({viewport: {width: 1400, height: 900}});
  page.setDefaultTimeout(120000);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', {timeDomain: 'threadTicks'});
  const cost = async () => {
    const {metrics} = await session.send('Performance.getMetrics');
    const one = Object.fromEntries(metrics.map(({name: what, value}) => [what, value]));
    return {thread: 1000 * one.ThreadTime, nodes: one.Nodes, heap: one.JSHeapUsedSize / 1048576};
  };
  await page.goto(url, {waitUntil: 'commit'});
  const began = Date.now();
  await page.getByText(text).filter({visible: true}).first().waitFor();
  const shown = {wall: Date.now() - began, ...await cost()};
  // Done when the thread has used less than a hundredth of half a second.
  let now = shown, before;
  do {
    before = now;
    await page.waitForTimeout(500);
    now = await cost();
  } while (now.thread - before.thread > 5);
  found[name] = {shown, done: now};
  await browser.close();
}
console.log(JSON.stringify(found));
