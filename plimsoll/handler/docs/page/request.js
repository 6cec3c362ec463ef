'use strict';
// A request as the page sends it and as the samples write it. What is secret stands in it as the name of a variable.

const schemaOf = (parameter) => parameter.schema || Object.values(parameter.content || {})[0]?.schema || {};
const isArray = (schema) => [].concat(folded(schema).type || []).includes('array') || Boolean(folded(schema).items);
const isBinary = (type, schema) => {
  const own = schema ? folded(schema) : {};
  return own.format === 'binary' || Boolean(own.contentMediaType && !own.contentEncoding) || (/^(image|audio|video)\/|octet-stream|\/pdf$|\/zip$/.test(type) && own.type !== 'object');
};
const isForm = (type) => type === 'application/x-www-form-urlencoded' || type.startsWith('multipart/');
const isJson = (type) => /[/+]json$/.test(type.split(';')[0]);

/** The paths of the servers of an operation, on the server that shows this page. */
function basesOf(entry) {
  const servers = entry.operation.servers || entry.item.servers || contract.servers || [{url: '/'}];
  const paths = servers.map((one) => {
    const filled = (one.url || '/').replace(/\{(\w+)\}/g, (_, name) => one.variables?.[name]?.default ?? '');
    return location.origin + new URL(filled, document.baseURI).pathname.replace(/\/$/, '');
  });
  return [...new Set(paths)];
}

/** Percent-encoded, with the characters left as they are that a query or a path may have. */
const encoded = (value) => encodeURIComponent(value).replace(/%(2C|3A|40|24)/g, (whole) => decodeURIComponent(whole));

/** Name and value pairs of a parameter as its style writes them; a value is a list where the parameter is an array. */
function serialized(parameter, value) {
  if (parameter.content) return [[parameter.name, typeof value === 'string' ? value : JSON.stringify(value)]];
  const style = parameter.style || (parameter.in === 'query' || parameter.in === 'cookie' ? 'form' : 'simple');
  const explode = parameter.explode ?? ['form', 'cookie', 'deepObject'].includes(style);
  if (Array.isArray(value)) {
    if (explode && style === 'form') return value.map((each) => [parameter.name, String(each)]);
    const between = {spaceDelimited: ' ', pipeDelimited: '|'}[style] || ',';
    return [[parameter.name, value.join(between)]];
  }
  if (!value || typeof value !== 'object') return [[parameter.name, String(value)]];
  const members = Object.entries(value);
  if (style === 'deepObject') return members.map(([key, each]) => [`${parameter.name}[${key}]`, String(each)]);
  if (explode && style === 'form') return members.map(([key, each]) => [key, String(each)]);
  return [[parameter.name, members.flat().join(',')]];
}

/** The whole query, which one parameter is (`in: querystring`). */
function wholeQuery(parameter, value) {
  if (typeof value === 'string') return value;
  return parameter.content?.['application/x-www-form-urlencoded'] ? new URLSearchParams(value).toString() : encoded(JSON.stringify(value));
}

function pathValue(parameter, value) {
  const text = [].concat(value).map((each) => encodeURIComponent(each)).join(',');
  if (parameter.style === 'label') return '.' + text;
  if (parameter.style === 'matrix') return `;${parameter.name}=${text}`;
  return text;
}

const variableOf = (name) => name.replace(/([a-z])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_').toUpperCase();

/**
 * The request that an operation is called by.
 * `given`: [parameter, value] pairs, null and '' are left out; `body`: null, or {type, text}, {type, fields} or {type, file}.
 * Returns {method, url, headers, basic, body}: `url` and the values of headers are lists of texts and {variable, scheme}.
 */
function requestOf(entry, base, given, body) {
  let path = entry.path;
  const query = [];
  const headers = [];
  const cookies = [];
  let basic = null;
  for (const [parameter, value] of given) {
    if (value === null || value === undefined || (value === '' && parameter.in !== 'path') || (Array.isArray(value) && !value.length)) continue;
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, pathValue(parameter, value));
    else if (parameter.in === 'query') query.push(...serialized(parameter, value).map(([name, each]) => [`${encodeURIComponent(name)}=${encoded(each)}`]));
    else if (parameter.in === 'querystring') query.push([wholeQuery(parameter, value)]);
    else if (parameter.in === 'header') headers.push({name: parameter.name, value: [serialized(parameter, value)[0][1]]});
    else if (parameter.in === 'cookie') cookies.push([`${parameter.name}=${serialized(parameter, value)[0][1]}`]);
  }
  for (const {name, scheme} of chosen(entry.operation)) {
    const secret = {variable: variableOf(name), scheme: name};
    if (isBasic(scheme)) basic = secret;
    else if (scheme.type === 'apiKey' && scheme.in === 'query') query.push([`${encodeURIComponent(scheme.name)}=`, secret]);
    else if (scheme.type === 'apiKey' && scheme.in === 'cookie') cookies.push([`${scheme.name}=`, secret]);
    else if (scheme.type === 'apiKey') headers.push({name: scheme.name, value: [secret]});
    else if (scheme.type && scheme.type !== 'mutualTLS') headers.push({name: 'Authorization', value: ['Bearer ', secret]});
  }
  if (cookies.length) headers.push({name: 'Cookie', value: cookies.flatMap((each, index) => (index ? ['; ', ...each] : each))});
  if (body && !body.type.startsWith('multipart/')) headers.push({name: 'Content-Type', value: [body.type]});
  const url = [base + path, ...query.flatMap((each, index) => [index ? '&' : '?', ...each])];
  return {method: entry.verb, url: joined(url), headers: headers.map((each) => ({...each, value: joined(each.value)})), basic, body};
}

/** Texts that stand side by side as one. */
function joined(pieces) {
  const made = [];
  for (const piece of pieces)
    if (typeof piece === 'string' && typeof made.at(-1) === 'string') made[made.length - 1] += piece;
    else made.push(piece);
  return made;
}

/** The value that a form begins with. */
function exampleParameter(parameter) {
  const first = resolve(Object.values(parameter.examples || {})[0]);
  const shown = parameter.example ?? first.value ?? first.dataValue;
  if (shown !== undefined) return shown;
  if (parameter.name.toLowerCase() === 'idempotency-key' && parameter.in === 'header') return freshKey();
  return example(schemaOf(parameter)) ?? '';
}

/** A key that nobody has used. */
function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((each) => each.toString(16).padStart(2, '0')).join('');
}

function exampleOf(media, writing) {
  if (media.example !== undefined) return media.example;
  const first = resolve(Object.values(media.examples || {})[0]);
  if (first.value !== undefined) return first.value;
  if (first.dataValue !== undefined) return first.dataValue;
  return media.schema ? example(media.schema, 0, writing) : undefined;
}

const json = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function textOf(type, value) {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' && !isJson(type) ? value : JSON.stringify(value, null, 2);
}
