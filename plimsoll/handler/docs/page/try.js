'use strict';
// Sends a request to this server from the page, and shows what comes back.

/** What goes into every request of this page, until it is closed: kept in memory only. */
const credentials = new Map();

/** Names of the credentials an operation may want, each with how it is sent. */
function wanted(entry) {
  const names = new Set((entry.operation.security ?? contract.security ?? []).flatMap(Object.keys));
  return [...names].map((name) => [name, resolve(contract.components?.securitySchemes?.[name])]).filter(([, scheme]) => scheme.type && scheme.type !== 'mutualTLS');
}

function credentialHeader(scheme, value) {
  if (scheme.type === 'apiKey') return scheme.in === 'header' ? [scheme.name, value] : null;
  return ['Authorization', scheme.scheme?.toLowerCase() === 'basic' ? `Basic ${value}` : `Bearer ${value}`];
}

function box(label, attributes, value) {
  const input = h(attributes.rows ? 'textarea' : 'input', {spellcheck: 'false', autocomplete: 'off', ...attributes});
  input.value = value ?? '';
  return [h('label', null, h('span', {class: 'name'}, label), input), input];
}

function trial(entry) {
  const form = h('div', {class: 'trial'});
  const secrets = wanted(entry).map(([name, scheme]) => {
    const [label, input] = box(name, {placeholder: 'credential'}, credentials.get(name));
    input.addEventListener('input', () => credentials.set(name, input.value));
    form.append(label);
    return [scheme, input];
  });
  const given = entry.parameters.filter((one) => one.in !== 'cookie').map((one) => {
    const shown = one.required || one.in === 'path' ? one.example ?? example(schemaOf(one)) : '';
    const [label, input] = box(one.name, {placeholder: `${one.in}${one.required ? ', required' : ''}`}, shown);
    form.append(label);
    return [one, input];
  });
  const [type, media] = Object.entries(resolve(entry.operation.requestBody).content || {})[0] || [];
  let body = null;
  if (type) {
    const start = exampleOf(media, true);
    const [label, input] = box(type, {rows: 8}, start === undefined ? '' : json(start));
    form.append(label);
    body = input;
  }
  const output = h('div', {'aria-live': 'polite'});
  form.append(h('button', {type: 'button', onclick: () => send(entry, secrets, given, type, body, output)}, `Send ${entry.method.toUpperCase()}`), output);
  return form;
}

async function send(entry, secrets, given, type, body, output) {
  const headers = new Headers();
  const query = [];
  let path = entry.path;
  for (const [one, input] of given) {
    const value = input.value;
    if (one.in === 'path') path = path.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (value !== '' && one.in === 'query') query.push(`${one.name}=${encodeURIComponent(value).replace(/%2C/g, ',')}`);
    else if (value !== '' && one.in === 'header') headers.set(one.name, value);
  }
  for (const [scheme, input] of secrets) {
    const header = input.value && credentialHeader(scheme, input.value);
    if (header) headers.set(...header);
    else if (input.value && scheme.in === 'query') query.push(`${scheme.name}=${encodeURIComponent(input.value)}`);
  }
  const content = body && body.value !== '' && entry.method !== 'get' ? body.value : undefined;
  if (content !== undefined && !type.startsWith('multipart/')) headers.set('Content-Type', type);
  const began = performance.now();
  try {
    const answer = await fetch(base() + path + (query.length ? '?' + query.join('&') : ''), {method: entry.method.toUpperCase(), headers, body: content, redirect: 'manual'});
    const text = await answer.text();
    const took = Math.round(performance.now() - began);
    output.replaceChildren(
      h('p', null, h('span', {class: `status s${String(answer.status)[0]}`}, String(answer.status)), `${answer.statusText} — ${took} ms, ${text.length} characters`),
      lazily(['headers'], () => [h('pre', null, h('code', null, [...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\n')))]),
      h('pre', null, h('code', null, pretty(text, answer.headers.get('content-type') || ''))));
  } catch (error) {
    output.replaceChildren(h('p', {class: 'failure'}, `Nothing came back. ${error.message}`));
  }
}

function pretty(text, type) {
  if (!/json/.test(type) || text.length > 500000) return text.slice(0, 100000);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;  // several documents, or none
  }
}
