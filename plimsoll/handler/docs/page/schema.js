'use strict';
// A JSON Schema as a tree that opens where it is asked to, so that a schema that refers to itself ends nowhere.

let contract = {};

/** What a local reference stands for, with what stands beside it (OpenAPI 3.1) laid over it. */
function resolve(value, depth = 0) {
  if (!value || typeof value.$ref !== 'string' || depth > 20) return value || {};
  if (!value.$ref.startsWith('#')) return value;
  let target = contract;
  for (const step of value.$ref.slice(1).split('/').filter(Boolean))
    target = target?.[decodeURIComponent(step).replace(/~1/g, '/').replace(/~0/g, '~')];
  const {$ref, ...beside} = value;
  return {'x-name': $ref.split('/').pop(), ...resolve(target, depth + 1), ...beside};
}

/** The schema with its `allOf` folded in: one list of properties. */
function folded(schema, depth = 0) {
  const own = resolve(schema);
  if (!Array.isArray(own.allOf) || depth > 8) return own;
  const all = {...own, properties: {...own.properties}, required: [...(own.required || [])]};
  delete all.allOf;
  for (const part of own.allOf.map((each) => folded(each, depth + 1))) {
    for (const [key, value] of Object.entries(part))
      if (!(key in all) && key !== 'x-name') all[key] = value;
    Object.assign(all.properties, {...part.properties, ...all.properties});
    all.required.push(...(part.required || []));
  }
  return all;
}

function typeName(schema) {
  const own = folded(schema);
  if (own === true || own === false) return own ? 'anything' : 'nothing';
  const types = [].concat(own.type || []);
  let word = types.join(' | ');
  if (types.includes('array') || (!word && own.items)) word = (own.items ? typeName(own.items) : 'anything') + '[]' + (types.includes('null') ? ' | null' : '');
  else if (!word && own.properties) word = 'object';
  else if (!word && (own.oneOf || own.anyOf)) word = (own.oneOf || own.anyOf).map(typeName).join(' | ');
  else if (!word && own.enum) word = 'enum';
  else if (!word && 'const' in own) word = 'constant';
  if (own['x-name'] && (word === 'object' || !word)) word = own['x-name'];
  if (own.nullable) word += ' | null';
  return (word || 'anything') + (own.format ? ` <${own.format}>` : '');
}

/** The model under a schema that the contract names; null: it has no name. */
function modelOf(schema, depth = 0) {
  if (!schema || depth > 4) return null;
  const ref = typeof schema.$ref === 'string' ? schema.$ref.match(/^#\/components\/schemas\/([^/]+)$/) : null;
  if (ref) return decodeURIComponent(ref[1]).replace(/~1/g, '/').replace(/~0/g, '~');
  const own = resolve(schema);
  if (own.items) return modelOf(own.items, depth + 1);
  const parts = [...(own.allOf || []), ...(own.anyOf || []), ...(own.oneOf || [])].map((each) => modelOf(each, depth + 1)).filter(Boolean);
  return parts.length === 1 ? parts[0] : null;
}

/** The name of a type; it leads to the model where there is one. */
function typeOf(schema) {
  const model = modelOf(schema);
  const text = typeName(schema);
  return model ? h('a', {class: 'type', href: '#' + encodeURIComponent(`model-${model}`), title: `Model ${model}`}, text) : h('span', {class: 'type'}, text);
}

/** The limits of a value, as short phrases. */
function limits(schema) {
  const own = folded(schema);
  const said = [];
  const say = (key, phrase) => { if (own[key] !== undefined) said.push(phrase(own[key])); };
  const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
  const many = (count, thing) => `${count} ${thing}${count === 1 ? '' : 's'}`;
  const listed = (words) => words.slice(0, 12).map(shown).join(', ') + (words.length > 12 ? ', …' : '');
  say('const', (value) => `always ${shown(value)}`);
  say('default', (value) => `default ${shown(value)}`);
  say('minimum', (value) => `≥ ${value}`);
  say('exclusiveMinimum', (value) => (value === true ? 'exclusive' : `> ${value}`));
  say('maximum', (value) => `≤ ${value}`);
  say('exclusiveMaximum', (value) => (value === true ? 'exclusive' : `< ${value}`));
  say('multipleOf', (value) => `multiple of ${value}`);
  say('minLength', (value) => `at least ${many(value, 'character')}`);
  say('maxLength', (value) => `at most ${many(value, 'character')}`);
  say('pattern', (value) => `matches ${value}`);
  say('minItems', (value) => `at least ${many(value, 'item')}`);
  say('maxItems', (value) => `at most ${many(value, 'item')}`);
  if (own.uniqueItems) said.push('no two alike');
  if (own.readOnly) said.push('read only');
  if (own.writeOnly) said.push('write only');
  if (own.deprecated) said.push('deprecated');
  if (own.enum) said.push('one of ' + listed(own.enum));
  const each = own.items && folded(own.items);
  if (each?.enum) said.push('each one of ' + listed(each.enum));
  return said.length ? h('div', {class: 'limits'}, said.join(' · ')) : null;
}

/** The schema under which more can be unfolded: of an array, its items. */
function inner(schema) {
  const own = folded(schema);
  return own.items && !own.properties ? inner(own.items) : own;
}

function opens(schema) {
  const own = inner(schema);
  return Boolean(Object.keys(own.properties || {}).length || own.oneOf || own.anyOf ||
    (own.additionalProperties && typeof own.additionalProperties === 'object'));
}

/** A `details` whose content is made when it is first opened. */
function lazily(summary, make, open) {
  const made = h('details', null, h('summary', null, ...summary));
  const fill = () => { if (made.childElementCount === 1) made.append(...make()); };
  made.addEventListener('toggle', () => { if (made.open) fill(); });
  if (open) { fill(); made.open = true; }
  return made;
}

function field(name, schema, required) {
  const own = folded(schema);
  const model = modelOf(schema);
  const open = opens(schema);
  const head = [h('span', {class: 'name'}, name), ' ', open ? h('span', {class: 'type'}, typeName(schema)) : typeOf(schema), required ? h('span', {class: 'required'}, ' required') : null]
    .filter((part) => part !== null);
  const rest = [...markdown(own.description), limits(schema)].filter((part) => part !== null);
  return h('li', {class: 'field'}, open ? lazily(head, () => [fields(schema), model ? h('p', {class: 'limits'}, 'Model ', typeOf(schema)) : null].filter(Boolean)) : head, rest);
}

/** The fields of an object, or the alternatives. */
function fields(schema) {
  const own = inner(schema);
  const list = h('ul', {class: 'fields'});
  for (const [name, each] of Object.entries(own.properties || {})) list.append(field(name, each, (own.required || []).includes(name)));
  if (own.additionalProperties && typeof own.additionalProperties === 'object') list.append(field('(any other name)', own.additionalProperties));
  (own.oneOf || own.anyOf || []).forEach((each, index) => list.append(field(`${own.oneOf ? 'either' : 'any of'} ${index + 1}`, each)));
  return list;
}

/** An example value: the one that is given, or one that fits. */
function example(schema, depth = 0, writing = false) {
  const own = folded(schema);
  if (own.example !== undefined) return own.example;
  if (Array.isArray(own.examples) && own.examples.length) return own.examples[0];
  if ('const' in own) return own.const;
  if (own.default !== undefined) return own.default;
  if (own.enum) return own.enum[0];
  const type = [].concat(own.type || []).find((each) => each !== 'null') || (own.properties ? 'object' : own.items ? 'array' : null);
  if (!type && (own.oneOf || own.anyOf)) return example((own.oneOf || own.anyOf)[0], depth + 1, writing);
  if (type === 'object') {
    const made = {};
    if (depth > 4) return made;
    for (const [name, each] of Object.entries(own.properties || {})) {
      const one = folded(each);
      if (writing && one.readOnly || !writing && one.writeOnly) continue;
      if (writing && !(own.required || []).includes(name) && (own.required || []).length) continue;
      made[name] = example(each, depth + 1, writing);
    }
    return made;
  }
  if (type === 'array') return depth > 4 ? [] : [example(own.items || {}, depth + 1, writing)];
  if (type === 'integer' || type === 'number') return Math.max(own.minimum ?? 1, Number.isFinite(own.exclusiveMinimum) ? own.exclusiveMinimum + 1 : -Infinity);
  if (type === 'boolean') return true;
  const formats = {'date-time': '2026-01-31T12:00:00Z', date: '2026-01-31', time: '12:00:00Z', email: 'someone@example.com', uuid: '01890a5d-ac96-774b-bcce-b302099a8057',
    uri: 'https://example.com/', decimal: '9.90', hostname: 'example.com', ipv4: '192.0.2.1', duration: 'P1D'};
  return type === 'string' ? formats[own.format] ?? 'text' : null;
}
