'use strict';
// Reads the effective contract from this server and shows it. Nothing is asked of anybody else.

const methods = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'trace', 'query'];
const byId = (id) => document.getElementById(id);
let operations = [];
let models = [];
/** By code: `{code, status, title}`. */
let problems = new Map();

/** Path item and operation as one list, in the order of the document. */
function gather() {
  const found = [];
  const taken = new Set();
  for (const [path, item] of Object.entries(contract.paths || {})) {
    const whole = resolve(item);
    const named = [...methods.filter((each) => whole[each]).map((each) => [each, whole[each]]), ...Object.entries(whole.additionalOperations || {})];
    for (const [method, operation] of named) {
      let id = operation.operationId || `${method}-${path}`.replace(/[^\w.-]+/g, '-');
      while (taken.has(id)) id += '-';
      taken.add(id);
      found.push({
        id, method, verb: methods.includes(method) ? method.toUpperCase() : method, path, operation, item: whole, kind: 'operation',
        group: (operation.tags || [])[0] || path.split('/').find((part) => part && !part.startsWith('{')) || '/',
        parameters: merged(whole.parameters, operation.parameters),
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

/** The problems that operations may answer with: their codes are an enumeration of the schema. */
function gatherProblems() {
  const found = new Map();
  const titles = new Map();
  const enumerated = (schema, depth = 0) => {
    if (!schema || typeof schema !== 'object' || depth > 4) return;
    const own = resolve(schema);
    const status = own.properties?.status?.enum?.[0];
    for (const name of own.properties?.code?.enum || []) if (!found.has(name)) found.set(name, {code: name, status, title: titles.get(name) || ''});
    for (const part of [...(own.allOf || []), ...(own.anyOf || []), ...(own.oneOf || [])]) enumerated(part, depth + 1);
  };
  const responses = [...Object.values(contract.components?.responses || {}), ...operations.flatMap((entry) => Object.values(entry.operation.responses || {}))].map((one) => resolve(one));
  for (const response of responses)
    for (const [, title, name] of (response.description || '').matchAll(/(?:^|; )([^;`]+?) \(`([\w-]+)`\)/g)) titles.set(name, title);
  for (const response of responses) enumerated(response.content?.['application/problem+json']?.schema);
  return new Map([...found].sort(([, a], [, b]) => (a.status || 0) - (b.status || 0) || (a.code < b.code ? -1 : 1)));
}

function security(operation) {
  const wanted = alternatives(operation);
  if (!wanted.length) return [h('span', {class: 'badge'}, 'public')];
  return wanted.map((one) => h('span', {class: 'badge'},
    one.map(({name, scopes}) => (scopes.length ? `${name}: ${scopes.join(', ')}` : name)).join(' and ') || 'public'));
}

function parameterTable(list, isParameter = true) {
  return h('table', {class: 'stacked'},
    h('thead', null, h('tr', null, ['name', ...(isParameter ? ['in'] : []), 'type', 'meaning'].map((title) => h('th', {scope: 'col'}, title)))),
    h('tbody', null, list.map((each) => h('tr', null,
      h('td', null, h('span', {class: 'name'}, each.name), each.required ? h('div', {class: 'required'}, 'required') : null, each.deprecated ? h('div', {class: 'warn'}, 'deprecated') : null),
      isParameter ? h('td', null, each.in) : null,
      h('td', null, typeOf(schemaOf(each))),
      h('td', null, ...markdown(each.description), limits(schemaOf(each)), opens(schemaOf(each)) ? lazily(['fields'], () => [fields(schemaOf(each))]) : null)))));
}

function code(text) {
  const button = h('button', {type: 'button'}, 'copy');
  const shown = scrolled(text);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'copied';
    } catch {
      getSelection().selectAllChildren(shown);
      button.textContent = 'selected';
    }
  });
  return h('div', {class: 'copied'}, shown, button);
}

function content(map, writing) {
  return Object.entries(map || {}).flatMap(([type, media]) => {
    const shown = exampleOf(media, writing);
    const schema = media.schema || media.itemSchema;
    return [
      h('div', null, h('span', {class: 'type'}, type, schema ? (media.schema ? ' — ' : ' — each ') : ''), schema ? typeOf(schema) : null),
      schema && opens(schema) ? fields(schema) : schema ? limits(schema) : null,
      shown === undefined || shown === null ? null : lazily(['example'], () => [code(json(shown))], false),
    ];
  }).filter(Boolean);
}

/** How the server treats requests of the operation: its limits, its cache, what a repetition does. */
function behaviour(operation) {
  const said = operation['x-notes'];
  return Array.isArray(said) && said.length ? [h('h4', null, 'Limits and repetition'), h('ul', {class: 'notes'}, said.map((each) => h('li', null, ...inline(String(each)))))] : [];
}

/** A response that is a problem and nothing else. */
function isRefusal(status, response) {
  const types = Object.keys(response.content || {});
  return /^[45]/.test(status) && types.length > 0 && types.every((type) => type === 'application/problem+json');
}

function responses(operation) {
  const own = [];
  const refusals = [];
  for (const [status, one] of Object.entries(operation.responses || {})) {
    if (status.startsWith('x-')) continue;
    const response = resolve(one);
    const head = [h('span', {class: `status s${status[0]}`}, status), ...markdown(response.description)];
    const headers = Object.entries(response.headers || {});
    const more = () => [
      ...content(response.content),
      headers.length ? lazily([`${headers.length} headers`], () => [parameterTable(headers.map(([name, each]) => ({name, ...resolve(each)})), false)]) : null].filter(Boolean);
    const shown = h('div', {class: 'response'}, headers.length || response.content ? lazily(head, more, status[0] === '2') : head);
    if (isRefusal(status, response)) refusals.push([status, shown]);
    else own.push(shown);
  }
  if (!refusals.length) return own;
  return [...own, h('details', {class: 'refusals'}, h('summary', null, 'Problems', refusals.map(([status]) => h('span', {class: `status s${status[0]}`}, status))), refusals.map(([, shown]) => shown))];
}

function details(entry) {
  const {operation} = entry;
  const body = resolve(operation.requestBody);
  const parts = [h('div', {class: 'badges'}, security(operation), operation.deprecated ? h('span', {class: 'badge warn'}, 'deprecated') : null,
    operation.operationId ? h('span', {class: 'badge'}, operation.operationId) : null)];
  parts.push(...markdown(operation.description));
  if (operation.externalDocs && safeAddress(operation.externalDocs.url)) parts.push(h('p', null, h('a', {href: operation.externalDocs.url, rel: 'noreferrer'}, operation.externalDocs.description || operation.externalDocs.url)));
  parts.push(...behaviour(operation));
  if (entry.parameters.length) parts.push(h('h4', null, 'Parameters'), parameterTable(entry.parameters));
  if (body.content) parts.push(h('h4', null, 'Body', body.required ? h('span', {class: 'required'}, ' required') : null), ...markdown(body.description), ...content(body.content, true));
  parts.push(h('h4', null, 'Responses'), ...responses(operation), ...trial(entry));
  return parts;
}

/** A card that opens: a heading that is a button, and what is made when it is first opened. */
function folding(entry, head, make, ...classes) {
  const button = h('button', {type: 'button', 'aria-expanded': 'false'}, head);
  const body = h('div', {class: 'body', hidden: true});
  entry.open = (wanted) => {
    if (wanted && !body.childElementCount) body.append(...make().filter(Boolean));
    body.hidden = !wanted;
    button.setAttribute('aria-expanded', String(wanted));
  };
  button.addEventListener('click', () => {
    entry.open(body.hidden);
    if (!body.hidden) history.replaceState(null, '', '#' + encodeURIComponent(entry.id));
  });
  entry.card = h('article', {id: entry.id, class: classes.filter(Boolean).join(' ') || null}, h('h3', null, button), body);
  return entry.card;
}

function card(entry) {
  const {operation} = entry;
  entry.link = h('a', {href: '#' + encodeURIComponent(entry.id), title: `${entry.verb} ${entry.path}`},
    h('span', {class: `method ${entry.method.toLowerCase()}`}, entry.method === 'delete' ? 'del' : entry.method), h('span', null, operation.summary || entry.path));
  return folding(entry, [h('span', {class: `method ${entry.method.toLowerCase()}`}, entry.method), h('span', {class: 'path'}, entry.path),
    operation.deprecated ? h('span', {class: 'badge warn'}, 'deprecated') : null, h('span', {class: 'summary'}, operation.summary || '')],
    () => details(entry), operation.deprecated && 'deprecated');
}

function modelCard(entry) {
  entry.link = h('a', {href: '#' + encodeURIComponent(entry.id)}, h('span', null, entry.name));
  return folding(entry, [h('span', {class: 'path'}, entry.name), h('span', {class: 'summary'}, folded(entry.schema).title || '')],
    () => [...markdown(folded(entry.schema).description), h('p', {class: 'type'}, typeName(entry.schema)), limits(entry.schema), opens(entry.schema) ? fields(entry.schema) : null,
      lazily(['example'], () => [code(json(example(entry.schema) ?? null))])]);
}

function schemesShown() {
  const all = schemes();
  if (!all.length) return [];
  return [h('h2', {class: 'group'}, 'Authentication'), h('table', {class: 'stacked'}, h('tbody', null, all.map(([name, scheme]) =>
    h('tr', null, h('td', null, h('span', {class: 'name'}, name)), h('td', {class: 'how'}, sentWhere(scheme)), h('td', null, ...markdown(scheme.description)))))),
    h('p', null, h('button', {type: 'button', class: 'main', onclick: authorize}, 'Authorize'))];
}

/** Beside the page, as the page is beside its contract: `docs` stands for `problems`. */
const problemPage = (name) => new URL(`problems/${encodeURIComponent(name)}`, document.baseURI).pathname;

function problemsShown() {
  if (!problems.size) return [];
  return [h('h2', {class: 'group', id: 'problems'}, 'Problems'), h('p', null, 'A request that fails is answered with one of these (', h('code', null, 'application/problem+json'), '). Programs decide by ', h('code', null, 'code'), '.'),
    h('table', {class: 'stacked'}, h('thead', null, h('tr', null, ['status', 'code', 'what happened'].map((title) => h('th', {scope: 'col'}, title)))),
      h('tbody', null, [...problems.values()].map((one) => h('tr', {id: `problem-${one.code}`}, h('td', null, h('span', {class: `status s${String(one.status)[0]}`}, String(one.status ?? ''))),
        h('td', null, h('a', {class: 'name', href: problemPage(one.code)}, one.code)), h('td', null, one.title)))))];
}

function show() {
  const info = contract.info || {};
  document.title = `${info.title || 'API'} reference`;
  byId('title').textContent = info.title || 'API reference';
  byId('version').textContent = info.version ? `version ${info.version}` : '';
  operations = gather();
  problems = gatherProblems();
  models = Object.entries(contract.components?.schemas || {}).map(([name, schema]) => ({id: `model-${name}`, name, schema, kind: 'model'}));
  const groups = new Map();
  for (const entry of operations) groups.set(entry.group, [...(groups.get(entry.group) || []), entry]);
  const said = Object.fromEntries((contract.tags || []).map((tag) => [tag.name, tag]));
  const main = [h('h1', null, info.title || 'API reference'), ...markdown(info.description), h('p', {class: 'type'}, basesOf({operation: {}, item: {}})[0]), ...schemesShown()];
  const list = [];
  for (const [name, entries] of groups) {
    main.push(h('h2', {class: 'group'}, said[name]?.summary || name), ...markdown(said[name]?.description), ...entries.map(card));
    list.push(h('div', null, h('h2', null, said[name]?.summary || name), entries.map((entry) => entry.link)));
  }
  if (models.length) {
    main.push(h('h2', {class: 'group', id: 'models'}, 'Models'), ...models.map(modelCard));
    list.push(h('details', {class: 'more'}, h('summary', null, 'Models'), models.map((entry) => entry.link)));
  }
  if (problems.size) {
    main.push(...problemsShown());
    for (const one of problems.values()) one.link = h('a', {href: `#problem-${one.code}`}, h('span', {class: 'status'}, String(one.status ?? '')), h('span', null, one.code));
    list.push(h('details', {class: 'more'}, h('summary', null, 'Problems'), [...problems.values()].map((one) => one.link)));
  }
  byId('content').replaceChildren(...main);
  byId('list').replaceChildren(...list);
  if (schemes().length) byId('authorize').hidden = false;
  changed();
  follow();
  document.documentElement.dataset.ready = String(operations.length);
}

/** Opens what the address names: an operation, a model or a problem. */
function follow() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  for (const entry of [...operations, ...models]) entry.link.classList.toggle('here', entry.id === wanted);
  closeMenu();
  const entry = operations.find((one) => one.id === wanted) || models.find((one) => one.id === wanted);
  if (entry) {
    entry.open(true);
    entry.card.scrollIntoView();
    return;
  }
  const place = wanted && byId(wanted);
  if (place) place.scrollIntoView({block: 'center'});
}

/** The contents are beside the page where there is room, and above it where there is not. */
function openMenu() {
  byId('contents').classList.add('open');
  byId('menu').setAttribute('aria-expanded', 'true');
}

function closeMenu() {
  byId('contents').classList.remove('open');
  byId('menu').setAttribute('aria-expanded', 'false');
}

/** What an operation answers. Problems, which most operations have in common, are entries of their own. */
const answersOf = (operation) => Object.entries(operation.responses || {}).map(([status, one]) => [status, resolve(one)]).filter(([status, one]) => !isRefusal(status, one));

/** All words of an entry, made at the first search. */
function wordsOf(entry) {
  if (entry.text === undefined) {
    const whole = entry.kind === 'operation' ? [entry.method, entry.path, entry.id, entry.operation, answersOf(entry.operation), entry.parameters.map(({name, description}) => [name, description])]
      : entry.kind === 'model' ? [entry.name, entry.schema] : [entry.code, entry.status, entry.title];
    entry.text = JSON.stringify(whole, (key, value) => (key === 'responses' || key === 'x-plimsoll' ? undefined : value)).toLowerCase();
  }
  return entry.text;
}

function search() {
  const words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const entry of [...operations, ...models, ...problems.values()]) {
    entry.link.hidden = words.length > 0 && !words.every((word) => wordsOf(entry).includes(word));
    if (!entry.link.hidden) found++;
  }
  for (const group of byId('list').children) {
    group.hidden = !group.querySelector('a:not([hidden])');
    if (group.matches('details')) group.open = words.length > 0;
  }
  byId('found').textContent = words.length ? `${found} found` : '';
}

byId('search').addEventListener('input', search);
byId('authorize').addEventListener('click', authorize);
byId('menu').addEventListener('click', () => (byId('contents').classList.contains('open') ? closeMenu() : openMenu()));
addEventListener('hashchange', follow);
addEventListener('keydown', (event) => {
  if (event.key === 'Escape') closeMenu();
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.target.matches('input, textarea, select')) return;
  event.preventDefault();
  openMenu();
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
  .then((read) => {
    contract = read;
    developmentCredentials();
    show();
  })
  .catch((error) => byId('content').replaceChildren(h('p', {class: 'failure'}, `The contract could not be shown. ${error.message}`)));
