'use strict';
// Reads the effective contract from this server and shows it. Nothing is asked of anybody else.

const methods = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'trace'];
const byId = (id) => document.getElementById(id);
let operations = [];

/** Path item and operation as one list, in the order of the document. */
function gather() {
  const found = [];
  const taken = new Set();
  for (const [path, item] of Object.entries(contract.paths || {})) {
    const whole = resolve(item);
    for (const method of methods.filter((each) => whole[each])) {
      const operation = whole[method];
      let id = operation.operationId || `${method}-${path}`.replace(/[^\w.-]+/g, '-');
      while (taken.has(id)) id += '-';
      taken.add(id);
      found.push({
        id, method, path, operation,
        group: (operation.tags || [])[0] || path.split('/').find((part) => part && !part.startsWith('{')) || '/',
        parameters: merged(whole.parameters, operation.parameters),
        text: `${method} ${path} ${id} ${operation.summary || ''}`.toLowerCase(),
      });
    }
  }
  return found;
}

/** An operation's parameters replace the path's of the same name and place. */
function merged(outer = [], own = []) {
  const all = new Map();
  for (const each of [...outer, ...own].map((one) => resolve(one))) all.set(`${each.in} ${each.name}`, each);
  return [...all.values()];
}

/** Where the operations are: the path that the contract says, on the server that shows this page. */
function base() {
  const server = resolve((contract.servers || [])[0]);
  const filled = (server.url || '/').replace(/\{(\w+)\}/g, (_, name) => server.variables?.[name]?.default ?? '');
  return location.origin + new URL(filled, document.baseURI).pathname.replace(/\/$/, '');
}

function security(operation) {
  const wanted = operation.security ?? contract.security ?? [];
  if (!wanted.length) return [h('span', {class: 'badge'}, 'public')];
  return wanted.map((one) => h('span', {class: 'badge'},
    Object.entries(one).map(([name, scopes]) => (scopes.length ? `${name}: ${scopes.join(', ')}` : name)).join(' and ') || 'public'));
}

const schemaOf = (parameter) => parameter.schema || Object.values(parameter.content || {})[0]?.schema || {};

function parameterTable(list) {
  return h('table', {class: 'stacked'},
    h('tr', null, ['name', 'in', 'type', ''].map((title) => h('th', {scope: 'col'}, title))),
    list.map((each) => h('tr', null,
      h('td', null, h('span', {class: 'name'}, each.name), each.required ? h('div', {class: 'required'}, 'required') : null),
      h('td', null, each.in),
      h('td', null, h('span', {class: 'type'}, typeName(schemaOf(each)))),
      h('td', null, ...markdown(each.description), limits(schemaOf(each)), opens(schemaOf(each)) ? lazily(['fields'], () => [fields(schemaOf(each))]) : null))));
}

function code(text) {
  const button = h('button', {type: 'button'}, 'copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'copied';
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
      button.textContent = 'selected';
    }
  });
  return h('div', {class: 'copied'}, h('pre', null, h('code', null, text)), button);
}

function exampleOf(media, writing) {
  if (media.example !== undefined) return media.example;
  const first = resolve(Object.values(media.examples || {})[0]);
  if (first.value !== undefined) return first.value;
  return media.schema ? example(media.schema, 0, writing) : undefined;
}

const json = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function content(map, writing) {
  return Object.entries(map || {}).flatMap(([type, media]) => {
    const shown = exampleOf(media, writing);
    return [
      h('div', {class: 'type'}, type, media.schema ? ` — ${typeName(media.schema)}` : ''),
      media.schema && opens(media.schema) ? fields(media.schema) : media.schema ? limits(media.schema) : null,
      shown === undefined || shown === null ? null : lazily(['example'], () => [code(json(shown))], false),
    ];
  }).filter(Boolean);
}

const quoted = (text) => `'${String(text).replace(/'/g, "'\\''")}'`;

function curl(entry) {
  let path = entry.path;
  const query = [];
  const lines = [];
  for (const each of entry.parameters.filter((one) => one.required || one.in === 'path')) {
    const value = each.example ?? example(schemaOf(each));
    if (each.in === 'path') path = path.replace(`{${each.name}}`, encodeURIComponent(value ?? ''));
    if (each.in === 'query') query.push(`${each.name}=${encodeURIComponent(value ?? '')}`);
    if (each.in === 'header') lines.push(`-H ${quoted(`${each.name}: ${value}`)}`);
  }
  const wanted = entry.operation.security ?? contract.security ?? [];
  for (const name of Object.keys(wanted[0] || {})) {
    const scheme = resolve(contract.components?.securitySchemes?.[name]);
    if (scheme.type === 'apiKey' && scheme.in === 'header') lines.push(`-H ${quoted(`${scheme.name}: …`)}`);
    else if (scheme.type !== 'apiKey' && scheme.type !== 'mutualTLS') lines.push(`-H 'Authorization: Bearer …'`);
  }
  const [type, media] = Object.entries(resolve(entry.operation.requestBody).content || {})[0] || [];
  if (type) {
    lines.push(`-H ${quoted(`Content-Type: ${type}`)}`);
    const body = exampleOf(media, true);
    if (body !== undefined) lines.push(`-d ${quoted(typeof body === 'string' ? body : JSON.stringify(body))}`);
  }
  const verb = entry.method === 'get' ? '' : `-X ${entry.method.toUpperCase()} `;
  return [`curl ${verb}${quoted(base() + path + (query.length ? '?' + query.join('&') : ''))}`, ...lines].join(' \\\n  ');
}

function details(entry) {
  const {operation} = entry;
  const body = resolve(operation.requestBody);
  const parts = [h('div', {class: 'badges'}, security(operation), operation.deprecated ? h('span', {class: 'badge warn'}, 'deprecated') : null,
    operation.operationId ? h('span', {class: 'badge'}, operation.operationId) : null)];
  parts.push(...markdown(operation.description));
  if (entry.parameters.length) parts.push(h('h3', null, 'Parameters'), parameterTable(entry.parameters));
  if (body.content) parts.push(h('h3', null, 'Body', body.required ? h('span', {class: 'required'}, ' required') : null), ...markdown(body.description), ...content(body.content, true));
  parts.push(h('h3', null, 'Responses'));
  for (const [status, one] of Object.entries(operation.responses || {})) {
    const response = resolve(one);
    const head = [h('span', {class: `status s${status[0]}`}, status), ...markdown(response.description)];
    const headers = Object.entries(response.headers || {});
    const more = () => [
      headers.length ? parameterTable(headers.map(([name, each]) => ({in: 'header', name, ...resolve(each)}))) : null,
      ...content(response.content)].filter(Boolean);
    parts.push(h('div', {class: 'response'}, headers.length || response.content ? lazily(head, more, status[0] === '2') : head));
  }
  parts.push(h('h3', null, 'Example'), code(curl(entry)), lazily(['Try it here'], () => [trial(entry)]));
  return parts;
}

function card(entry) {
  const button = h('button', {type: 'button', 'aria-expanded': 'false'},
    h('span', {class: `method ${entry.method}`}, entry.method), h('span', {class: 'path'}, entry.path),
    entry.operation.deprecated ? h('span', {class: 'badge warn'}, 'deprecated') : null,
    h('span', {class: 'summary'}, entry.operation.summary || ''));
  const body = h('div', {class: 'body', hidden: true});
  entry.open = (wanted) => {
    if (wanted && !body.childElementCount) body.append(...details(entry));
    body.hidden = !wanted;
    button.setAttribute('aria-expanded', String(wanted));
  };
  button.addEventListener('click', () => {
    entry.open(body.hidden);
    if (!body.hidden) history.replaceState(null, '', '#' + encodeURIComponent(entry.id));
  });
  entry.card = h('article', {id: entry.id, class: entry.operation.deprecated ? 'deprecated' : null}, button, body);
  entry.link = h('a', {href: '#' + encodeURIComponent(entry.id), title: `${entry.method.toUpperCase()} ${entry.path}`},
    h('span', {class: `method ${entry.method}`}, entry.method === 'delete' ? 'del' : entry.method), h('span', null, entry.operation.summary || entry.path));
  return entry.card;
}

function schemes() {
  const all = Object.entries(contract.components?.securitySchemes || {});
  if (!all.length) return [];
  return [h('h2', {class: 'group'}, 'Authentication'), h('table', {class: 'stacked'}, all.map(([name, one]) => {
    const scheme = resolve(one);
    const how = scheme.type === 'apiKey' ? `${scheme.in} ${scheme.name}` : scheme.type === 'http' ? `Authorization: ${scheme.scheme[0].toUpperCase()}${scheme.scheme.slice(1)}` : scheme.type;
    return h('tr', null, h('td', null, h('span', {class: 'name'}, name)), h('td', {class: 'how'}, how), h('td', null, ...markdown(scheme.description)));
  }))];
}

function show() {
  const info = contract.info || {};
  document.title = `${info.title || 'API'} reference`;
  byId('title').textContent = info.title || 'API reference';
  byId('version').textContent = info.version ? `version ${info.version}` : '';
  operations = gather();
  const groups = new Map();
  for (const entry of operations) groups.set(entry.group, [...(groups.get(entry.group) || []), entry]);
  const said = Object.fromEntries((contract.tags || []).map((tag) => [tag.name, tag]));
  const main = [h('h1', null, info.title || 'API reference'), ...markdown(info.description), h('p', {class: 'type'}, base()), ...schemes()];
  const list = [];
  for (const [name, entries] of groups) {
    main.push(h('h2', {class: 'group'}, name), ...markdown(said[name]?.description), ...entries.map(card));
    list.push(h('div', null, h('h2', null, name), entries.map((entry) => entry.link)));
  }
  byId('content').replaceChildren(...main);
  byId('list').replaceChildren(...list);
  follow();
  document.documentElement.dataset.ready = String(operations.length);
}

/** Opens the operation that the address names. */
function follow() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  for (const entry of operations) entry.link.classList.toggle('here', entry.id === wanted);
  const entry = operations.find((one) => one.id === wanted);
  if (!entry) return;
  entry.open(true);
  entry.card.scrollIntoView();
  byId('contents').classList.remove('open');
}

function search() {
  const words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of operations) entry.link.hidden = !words.every((word) => entry.text.includes(word));
  for (const group of byId('list').children) group.hidden = !group.querySelector('a:not([hidden])');
}

byId('search').addEventListener('input', search);
byId('menu').addEventListener('click', () => byId('menu').setAttribute('aria-expanded', String(byId('contents').classList.toggle('open'))));
addEventListener('hashchange', follow);
addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.target.matches('input, textarea')) return;
  event.preventDefault();
  byId('search').focus();
});
byId('search').addEventListener('keydown', (event) => {
  if (event.key === 'Enter') byId('list').querySelector('a:not([hidden])')?.click();
});

fetch(byId('source').getAttribute('href'))
  .then((answer) => {
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    return answer.json();
  })
  .then((read) => { contract = read; show(); })
  .catch((error) => byId('content').replaceChildren(h('p', {class: 'failure'}, `The contract could not be shown. ${error.message}`)));
