'use strict';
// The form of an operation: its inputs by their types, a sample of what they make, and the response when it is sent.

const option = (value, text) => h('option', {value}, text ?? value);

/** An input for a value of a schema: `{element, read}`; `read` gives a text, a list, or '' where nothing was chosen. */
function inputFor(schema, label, shown, required) {
  const own = folded(schema);
  const types = [].concat(own.type || []);
  const common = {'aria-label': label, autocomplete: 'off', spellcheck: 'false'};
  const words = own.enum || (types.includes('boolean') ? [true, false] : 'const' in own ? [own.const] : null);
  if (words && words.every((each) => each === null || typeof each !== 'object')) {
    const select = h('select', common, required ? null : option('', ''), words.map((each) => option(String(each))));
    select.value = shown === undefined || shown === null ? (required ? String(words[0]) : '') : String(shown);
    return {element: select, read: () => select.value};
  }
  const each = isArray(own) && own.items ? folded(own.items) : null;
  if (each?.enum && each.enum.length <= 24) {
    const chosen = [].concat(shown ?? []).map(String);
    const boxes = each.enum.map((word) => {
      const box = h('input', {type: 'checkbox', value: String(word)});
      box.checked = chosen.includes(String(word));
      return box;
    });
    const element = h('div', {class: 'choices', role: 'group', 'aria-label': label}, boxes.map((box) => h('label', null, box, ' ', box.value)));
    return {element, read: () => boxes.filter((box) => box.checked).map((box) => box.value)};
  }
  const number = types.includes('integer') || types.includes('number');
  const attributes = {...common, type: number ? 'number' : own.format === 'password' ? 'password' : 'text'};
  if (number) Object.assign(attributes, {step: types.includes('integer') ? '1' : 'any'});
  const places = {'date-time': '2026-01-31T12:00:00Z', date: '2026-01-31', time: '12:00:00Z', uuid: '01890a5d-ac96-774b-bcce-b302099a8057', email: 'someone@example.com'};
  attributes.placeholder = each ? 'values, separated by commas' : places[own.format] || (types.includes('object') ? 'JSON' : '');
  const input = h('input', attributes);
  input.value = shown === undefined || shown === null ? '' : Array.isArray(shown) ? shown.join(',') : json(shown);
  const read = () => {
    if (each) return input.value === '' ? '' : input.value.split(',').map((part) => part.trim());
    if (types.includes('object')) return parsed(input.value)?.value ?? input.value;
    return input.value;
  };
  return {element: input, read};
}

function fileInput(label) {
  const input = h('input', {type: 'file', 'aria-label': label});
  return {element: input, read: () => input.files[0] || null};
}

function row(name, where, input, required, more) {
  return h('div', {class: 'row'}, h('div', {class: 'label'}, h('span', {class: 'name'}, name), h('span', {class: 'type'}, ` ${where}`), required ? h('span', {class: 'required'}, ' required') : null), h('div', {class: 'value'}, input.element, more));
}

/** The inputs of the parameters; those that may be left out are folded away where there are many. */
function parameterRows(entry) {
  const inputs = [];
  const made = (one) => {
    const required = one.required || one.in === 'path';
    const input = inputFor(schemaOf(one), one.name, required ? exampleParameter(one) : undefined, required);
    inputs.push([one, input]);
    const isKey = one.in === 'header' && one.name.toLowerCase() === 'idempotency-key';
    const fresh = isKey ? h('button', {type: 'button', class: 'plain', onclick: () => { input.element.value = freshKey(); input.element.dispatchEvent(new Event('input', {bubbles: true})); }}, 'new key') : null;
    return row(one.name, one.in, input, required, fresh);
  };
  const needed = entry.parameters.filter((one) => one.required || one.in === 'path').map(made);
  const rest = entry.parameters.filter((one) => !one.required && one.in !== 'path' && one.in !== 'cookie').map(made);
  const folds = rest.length > 3 ? [h('details', null, h('summary', null, `${rest.length} more parameters`), rest)] : rest;
  return [[...needed, ...folds], inputs];
}

/** The inputs of the body: a media type, and what belongs to it. */
function bodyRows(entry, redraw) {
  const body = resolve(entry.operation.requestBody);
  const types = Object.entries(body.content || {});
  if (!types.length) return [[], () => null];
  let read = () => null;
  const place = h('div');
  const choose = (type) => {
    const media = types.find(([name]) => name === type)[1];
    if (isForm(type)) {
      const schema = media.schema ? folded(media.schema) : {};
      const shown = exampleOf(media, true) || {};
      const inputs = Object.entries(schema.properties || {}).filter(([, one]) => !folded(one).readOnly).map(([name, one]) => {
        const required = (schema.required || []).includes(name);
        const input = isBinary('', one) ? fileInput(name) : inputFor(one, name, required ? shown[name] : undefined, required);
        return [name, one, input, required];
      });
      place.replaceChildren(...inputs.map(([name, one, input, required]) => row(name, typeName(one), input, required)));
      read = () => ({type, fields: inputs.flatMap(([name, one, input, required]) => {
        const value = input.read();
        if (value instanceof File) return [{name, file: value.name, content: value}];
        if (isBinary('', one)) return required ? [{name, file: 'file.bin'}] : [];
        return value === '' || (Array.isArray(value) && !value.length) ? [] : [].concat(value).map((each) => ({name, value: json(each)}));
      })});
    } else if (isBinary(type, media.schema)) {
      const input = fileInput('Body');
      place.replaceChildren(row('body', type, input, body.required));
      read = () => { const file = input.read(); return {type, file: file ? file.name : 'file.bin', content: file}; };
    } else {
      const start = textOf(type, exampleOf(media, true));
      const area = h('textarea', {rows: String(Math.min(16, Math.max(4, start.split('\n').length + 1))), 'aria-label': 'Body', spellcheck: 'false', autocomplete: 'off'});
      area.value = start;
      place.replaceChildren(area);
      read = () => (area.value === '' ? null : {type, text: area.value});
    }
    redraw();
  };
  const select = h('select', {'aria-label': 'Media type of the body', onchange: () => choose(select.value)}, types.map(([type]) => option(type)));
  choose(types[0][0]);
  return [[h('div', {class: 'row'}, h('div', {class: 'label'}, h('span', {class: 'name'}, 'body')), h('div', {class: 'value'}, types.length > 1 ? select : h('span', {class: 'type'}, types[0][0]))), place], () => read()];
}

/** Sample and form of an operation. */
function trial(entry) {
  let sample = null;
  const redraw = () => sample?.show();
  const bases = basesOf(entry);
  const server = h('select', {'aria-label': 'Server'}, bases.map((each) => option(each)));
  const [rows, inputs] = parameterRows(entry);
  const [body, readBody] = bodyRows(entry, redraw);
  const request = () => requestOf(entry, server.value || bases[0], inputs.map(([one, input]) => [one, input.read()]), entry.method === 'get' || entry.method === 'head' ? null : readBody());
  sample = samples(request);
  const output = h('div', {class: 'output', 'aria-live': 'polite'});
  const send = h('button', {type: 'submit', class: 'main'}, `Send ${entry.verb}`);
  const said = h('p', {class: 'limits'});
  const credentialsSaid = () => {
    const missing = chosen(entry.operation).filter(({name, scheme}) => !credentials.get(name) && !unsendable(scheme));
    said.replaceChildren(...(missing.length ? [`Sent without ${missing.map((each) => each.name).join(' and ')}: `, h('button', {type: 'button', class: 'plain', onclick: authorize}, 'Authorize')] : []));
  };
  document.addEventListener('credentials', credentialsSaid);
  credentialsSaid();
  const form = h('form', {class: 'trial', novalidate: true, 'aria-label': `Send ${entry.verb} ${entry.path}`,
    oninput: redraw, onchange: redraw,
    onsubmit: (event) => { event.preventDefault(); sent(request(), output, send); }},
    bases.length > 1 ? row('server', '', {element: server}, false) : null, rows, body, said, send, output);
  return [h('h4', null, 'Request'), sample.element, h('h4', null, 'Try it'), form];
}

const filled = (pieces) => pieces.map((each) => (typeof each === 'string' ? each : credentials.get(each.scheme) || '')).join('');

async function sent({method, url, headers, basic, body}, output, button) {
  const fields = new Headers();
  try {
    for (const {name, value} of headers) {
      if (name === 'Cookie' || value.some((each) => typeof each !== 'string' && !credentials.get(each.scheme))) continue;
      fields.set(name, filled(value));
    }
    if (basic && credentials.get(basic.scheme)) fields.set('Authorization', 'Basic ' + btoa(String.fromCharCode(...new TextEncoder().encode(credentials.get(basic.scheme)))));
    let content;
    if (body?.fields) {
      content = body.type.startsWith('multipart/') ? new FormData() : new URLSearchParams();
      for (const {name, value, file, content: chosenFile} of body.fields) content.append(name, file ? chosenFile || new Blob([]) : value);
    } else if (body?.file) content = body.content || '';
    else if (body) content = body.text;
    button.disabled = true;
    const began = performance.now();
    const answer = await fetch(filled(url), {method, headers: fields, body: content, redirect: 'manual'});
    const bytes = await answer.blob();
    const took = Math.round(performance.now() - began);
    output.replaceChildren(...await shownAnswer(answer, bytes, took));
  } catch (error) {
    output.replaceChildren(h('p', {class: 'failure'}, `Nothing came back: ${error.message}. The server may have ended the connection, or a header has characters that none may have.`));
  } finally {
    button.disabled = false;
  }
}

async function shownAnswer(answer, bytes, took) {
  const type = answer.headers.get('content-type') || '';
  const textual = !type || /json|text|xml|csv|yaml|javascript|form-urlencoded/.test(type);
  const text = textual ? await bytes.text() : '';
  const shown = [h('p', {class: 'result'}, h('span', {class: `status s${String(answer.status)[0]}`}, String(answer.status)), `${answer.statusText} — ${took} ms, ${bytes.size} bytes`)];
  const problem = /problem\+json/.test(type) && parsed(text)?.value;
  if (problem) shown.push(...toldProblem(problem));
  shown.push(lazily(['headers'], () => [scrolled([...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\n'))]));
  if (!textual) {
    const link = h('a', {href: URL.createObjectURL(bytes), download: 'response'}, `Save the ${bytes.size} bytes of ${type}`);
    shown.push(h('p', null, link));
  } else if (text !== '') shown.push(scrolled(pretty(text, type)));
  return shown;
}

const scrolled = (text) => h('pre', {tabindex: '0'}, h('code', null, text));

/** A problem (RFC 9457) in words: what is wrong, where, and the page about it. */
function toldProblem(problem) {
  const told = [h('strong', null, problem.title || 'Problem'), problem.detail ? h('p', null, problem.detail) : null];
  if (Array.isArray(problem.errors) && problem.errors.length > 1)
    told.push(h('ul', null, problem.errors.map((each) => h('li', null, h('code', null, `${each.in || 'body'}${each.pointer ? ' ' + each.pointer : ''}`), ' ', each.message || each.detail || ''))));
  if (problem.retry_after !== undefined) told.push(h('p', null, `May be sent again after ${problem.retry_after} s.`));
  if (problem.code && problems.has(problem.code)) told.push(h('p', null, h('a', {href: `#problem-${problem.code}`}, 'About this problem')));
  return [h('div', {class: 'problem'}, told)];
}

function pretty(text, type) {
  if (!/json/.test(type) || text.length > 500000) return text.slice(0, 100000);
  const one = parsed(text);
  return one ? JSON.stringify(one.value, null, 2) : text;  // else several documents, or none
}
