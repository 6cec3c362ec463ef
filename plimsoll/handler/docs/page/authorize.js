'use strict';
// The credentials of this page: given once, used for every operation, kept in memory until the page is closed.

/** By security scheme: what was given. For `http: basic`, `name:password`. */
const credentials = new Map();

/** Name and declaration of each security scheme. */
const schemes = () => Object.entries(contract.components?.securitySchemes || {}).map(([name, one]) => [name, resolve(one)]);

/** In one phrase, where a credential of the scheme is sent. */
function sentWhere(scheme) {
  if (scheme.type === 'apiKey') return scheme.in === 'query' ? `query parameter ${scheme.name}` : `${scheme.in} ${scheme.name}`;
  if (scheme.type === 'mutualTLS') return 'the client certificate of the connection';
  const kind = scheme.type === 'http' ? scheme.scheme || 'bearer' : 'bearer';
  return `header Authorization: ${kind[0].toUpperCase()}${kind.slice(1)}`;
}

const isBasic = (scheme) => scheme.type === 'http' && (scheme.scheme || '').toLowerCase() === 'basic';

/** Why the page cannot send a credential of the scheme; null where it can. */
function unsendable(scheme) {
  if (scheme.type === 'mutualTLS') return 'The browser presents the certificate that is installed in it.';
  if (scheme.type === 'apiKey' && scheme.in === 'cookie') return 'The browser sends the cookie that it has for this address.';
  return null;
}

/** Alternatives of which one is enough: each a list of `{name, scheme, scopes}`; an empty list is anybody. */
function alternatives(operation) {
  return (operation.security ?? contract.security ?? []).map((one) =>
    Object.entries(one).map(([name, scopes]) => ({name, scopes, scheme: resolve(contract.components?.securitySchemes?.[name])})));
}

/** The alternative whose credentials were all given; else the first. */
function chosen(operation) {
  const all = alternatives(operation);
  const given = (one) => one.length && one.every(({name, scheme}) => credentials.get(name) || unsendable(scheme));
  return all.find(given) || all[0] || [];
}

function changed() {
  const given = schemes().filter(([name]) => credentials.get(name)).map(([name]) => name);
  const button = byId('authorize');
  button.textContent = given.length ? 'Authorized' : 'Authorize';
  button.classList.toggle('given', given.length > 0);
  button.setAttribute('aria-label', given.length ? `Authorized with ${given.join(', ')}` : 'Authorize');
  document.dispatchEvent(new Event('credentials'));
}

function flowsOf(scheme) {
  const rows = [];
  for (const [flow, one] of Object.entries(scheme.flows || {})) {
    for (const key of ['authorizationUrl', 'deviceAuthorizationUrl', 'tokenUrl', 'refreshUrl'])
      if (one[key]) rows.push([`${flow}: ${key}`, h('code', null, one[key])]);
    for (const [scope, meaning] of Object.entries(one.scopes || {})) rows.push([scope, meaning]);
  }
  if (scheme.openIdConnectUrl) rows.push(['openIdConnectUrl', h('code', null, scheme.openIdConnectUrl)]);
  if (!rows.length) return null;
  return lazily(['flows and scopes'], () => [h('table', null, rows.map(([name, text]) => h('tr', null, h('td', null, h('span', {class: 'name'}, name)), h('td', null, text))))]);
}

function schemeForm([name, scheme]) {
  const parts = [h('h3', null, name), h('p', {class: 'type'}, sentWhere(scheme)), ...markdown(scheme.description)];
  const why = unsendable(scheme);
  if (why) return [...parts, h('p', null, why)];
  const input = (label, type) => {
    const made = h('input', {type, autocomplete: 'off', spellcheck: 'false', 'data-scheme': name});
    return [h('label', null, h('span', null, label), made), made];
  };
  if (isBasic(scheme)) {
    const [user, userInput] = input('Name', 'text');
    const [secret, secretInput] = input('Password', 'password');
    const [known, ...rest] = (credentials.get(name) || '').split(':');
    userInput.value = known;
    secretInput.value = rest.join(':');
    const take = () => { credentials.set(name, userInput.value || secretInput.value ? `${userInput.value}:${secretInput.value}` : ''); changed(); };
    for (const each of [userInput, secretInput]) each.addEventListener('input', take);
    return [...parts, user, secret];
  }
  const [label, made] = input(scheme.type === 'apiKey' ? 'Key' : 'Token', 'password');
  made.value = credentials.get(name) || '';
  made.addEventListener('input', () => { credentials.set(name, made.value.trim().replace(/^Bearer\s+/i, '')); changed(); });
  return [...parts, label, flowsOf(scheme)];
}

function authorize() {
  const dialog = byId('credentials');
  const close = () => dialog.close();
  dialog.replaceChildren(
    h('h2', {id: 'credentials-title'}, 'Authorize'),
    h('p', null, 'Used for every request that you send from this page. Kept in memory until the page is closed.'),
    ...schemes().flatMap(schemeForm).filter(Boolean),
    h('div', {class: 'actions'},
      h('button', {type: 'button', class: 'plain', onclick: () => { credentials.clear(); changed(); authorize(); }}, 'Forget all'),
      h('button', {type: 'button', class: 'main', onclick: close}, 'Done')));
  if (!dialog.open) dialog.showModal();
}

/**
 * The address that a server in development prints brings its credentials. They are taken from nowhere but an address of
 * this machine: who links to another server's page cannot make its reader act as somebody else.
 */
function developmentCredentials() {
  const mark = '#credentials:';
  if (!location.hash.startsWith(mark)) return;
  const given = new URLSearchParams(location.hash.slice(mark.length));
  history.replaceState(null, '', location.pathname + location.search);
  if (!/^(localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname)) return;
  for (const [name, credential] of given) credentials.set(name, credential);
}
