'use strict';
// The same request in four languages. Secrets are read from environment variables.

const shellQuoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;

function shell(pieces) {
  if (pieces.every((each) => typeof each === 'string')) return shellQuoted(pieces.join(''));
  return '"' + pieces.map((each) => (typeof each === 'string' ? each.replace(/["\\$`]/g, '\\$&') : '$' + each.variable)).join('') + '"';
}

function curl({method, url, headers, basic, body}) {
  const lines = [`curl ${method === 'GET' ? '' : method === 'HEAD' ? '--head ' : `-X ${method} `}${shell(url)}`];
  for (const {name, value} of headers) lines.push(`-H ${shell([`${name}: `, ...value])}`);
  if (basic) lines.push(`-u "$${basic.variable}"`);
  if (body?.fields)
    for (const {name, value, file} of body.fields)
      lines.push(body.type.startsWith('multipart/') ? (file ? `-F ${shellQuoted(`${name}=@${file}`)}` : `--form-string ${shellQuoted(`${name}=${value}`)}`)
        : `--data-urlencode ${shellQuoted(`${name}=${value}`)}`);
  else if (body?.file) lines.push(`--data-binary ${shellQuoted('@' + body.file)}`);
  else if (body) lines.push(`--data-raw ${shellQuoted(body.text)}`);
  return lines.join(' \\\n  ');
}

const scriptQuoted = (text) => `'${text.replace(/[\\']/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r')}'`;

function script(pieces) {
  if (pieces.every((each) => typeof each === 'string')) return scriptQuoted(pieces.join(''));
  return '`' + pieces.map((each) => (typeof each === 'string' ? each.replace(/[\\`]|\$\{/g, '\\$&') : '${process.env.' + each.variable + '}')).join('') + '`';
}

const indented = (text, by) => text.replace(/\n/g, '\n' + ' '.repeat(by));
const parsed = (text) => {
  try {
    return {value: JSON.parse(text)};
  } catch {
    return null;
  }
};

function javascript({method, url, headers, basic, body}) {
  const lines = [];
  const options = [];
  if (method !== 'GET') options.push(`  method: ${scriptQuoted(method)},`);
  const fields = headers.map(({name, value}) => `    ${scriptQuoted(name)}: ${script(value)},`);
  if (basic) fields.push(`    'Authorization': 'Basic ' + btoa(process.env.${basic.variable}),`);
  if (fields.length) options.push('  headers: {', ...fields, '  },');
  if (body?.fields) {
    const many = body.type.startsWith('multipart/');
    if (body.fields.some((each) => each.file)) lines.push("import {openAsBlob} from 'node:fs';", '');
    lines.push(`const form = new ${many ? 'FormData' : 'URLSearchParams'}();`);
    for (const {name, value, file} of body.fields)
      lines.push(file ? `form.append(${scriptQuoted(name)}, await openAsBlob(${scriptQuoted(file)}), ${scriptQuoted(file)});` : `form.append(${scriptQuoted(name)}, ${scriptQuoted(value)});`);
    lines.push('');
    options.push('  body: form,');
  } else if (body?.file) {
    lines.push("import {openAsBlob} from 'node:fs';", '');
    options.push(`  body: await openAsBlob(${scriptQuoted(body.file)}),`);
  } else if (body) {
    const value = isJson(body.type) && parsed(body.text);
    options.push(value ? `  body: JSON.stringify(${indented(JSON.stringify(value.value, null, 2), 2)}),` : `  body: ${scriptQuoted(body.text)},`);
  }
  lines.push(options.length ? `const response = await fetch(${script(url)}, {` : `const response = await fetch(${script(url)});`);
  if (options.length) lines.push(...options, '});');
  lines.push('console.log(response.status, await response.text());');
  return lines.join('\n');
}

/** A JSON value as Python writes it. */
function pythonValue(value, depth = 0) {
  const inside = ' '.repeat(4 * (depth + 1));
  const end = '\n' + ' '.repeat(4 * depth);
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return value.length ? `[\n${value.map((each) => inside + pythonValue(each, depth + 1)).join(',\n')},${end}]` : '[]';
  const members = Object.entries(value).map(([name, each]) => `${inside}${JSON.stringify(name)}: ${pythonValue(each, depth + 1)}`);
  return members.length ? `{\n${members.join(',\n')},${end}}` : '{}';
}

function pythonText(pieces) {
  return pieces.map((each) => (typeof each === 'string' ? JSON.stringify(each) : `os.environ["${each.variable}"]`)).join(' + ');
}

function python({method, url, headers, basic, body}) {
  const lines = [];
  const used = variables({url, headers, basic}).length > 0;
  const value = body?.text !== undefined && isJson(body.type) && parsed(body.text);
  const plain = value && body.type === 'application/json';
  if (value && !plain) lines.push('import json');
  if (used) lines.push('import os');
  if (lines.length) lines.push('');
  lines.push('import requests', '');
  const known = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'].includes(method);
  lines.push(`response = requests.${known ? method.toLowerCase() : 'request'}(`);
  if (!known) lines.push(`    ${JSON.stringify(method)},`);
  lines.push(`    ${pythonText(url)},`);
  const shown = headers.filter((each) => !(plain && each.name === 'Content-Type'));
  if (shown.length) lines.push('    headers={', ...shown.map((each) => `        ${JSON.stringify(each.name)}: ${pythonText(each.value)},`), '    },');
  if (basic) lines.push(`    auth=tuple(os.environ["${basic.variable}"].split(":", 1)),`);
  if (body?.fields) {
    const texts = body.fields.filter((each) => !each.file);
    const files = body.fields.filter((each) => each.file);
    const many = body.type.startsWith('multipart/');
    if (many) lines.push('    files={', ...texts.map((each) => `        ${JSON.stringify(each.name)}: (None, ${JSON.stringify(each.value)}),`),
      ...files.map((each) => `        ${JSON.stringify(each.name)}: open(${JSON.stringify(each.file)}, "rb"),`), '    },');
    else lines.push('    data={', ...texts.map((each) => `        ${JSON.stringify(each.name)}: ${JSON.stringify(each.value)},`), '    },');
  } else if (body?.file) lines.push(`    data=open(${JSON.stringify(body.file)}, "rb"),`);
  else if (plain) lines.push(`    json=${pythonValue(value.value, 1)},`);
  else if (value) lines.push(`    data=json.dumps(${pythonValue(value.value, 1)}),`);
  else if (body) lines.push(`    data=${JSON.stringify(body.text)}.encode(),`);
  lines.push(')', 'print(response.status_code, response.text)');
  return lines.join('\n');
}

const cQuoted = (text) => '"' + text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r') + '"';

function raw(text) {
  let mark = 'json';
  while (text.includes(`)${mark}"`)) mark += '_';
  return text.includes('\n') || text.includes('"') ? `R"${mark}(${text})${mark}"` : cQuoted(text);
}

function cppText(pieces) {
  if (pieces.every((each) => typeof each === 'string')) return cQuoted(pieces.join(''));
  return `(${pieces.map((each) => (typeof each === 'string' ? `std::string(${cQuoted(each)})` : `std::string(std::getenv("${each.variable}"))`)).join(' + ')}).c_str()`;
}

function cpp({method, url, headers, basic, body}) {
  const used = variables({url, headers, basic}).length > 0;
  const lines = ['// c++ sample.cpp -lcurl', '#include <curl/curl.h>', ''];
  if (used) lines.push('#include <cstdlib>');
  if (body?.file) lines.push('#include <fstream>', '#include <iterator>');
  lines.push('#include <string>', '', 'int main() {', '  CURL* call = curl_easy_init();', '  curl_slist* headers = nullptr;');
  for (const {name, value} of headers) lines.push(`  headers = curl_slist_append(headers, ${cppText([`${name}: `, ...value])});`);
  lines.push(`  curl_easy_setopt(call, CURLOPT_URL, ${cppText(url)});`);
  if (method === 'HEAD') lines.push('  curl_easy_setopt(call, CURLOPT_NOBODY, 1L);');
  else if (method !== 'GET') lines.push(`  curl_easy_setopt(call, CURLOPT_CUSTOMREQUEST, "${method}");`);
  lines.push('  curl_easy_setopt(call, CURLOPT_HTTPHEADER, headers);');
  if (basic) lines.push(`  curl_easy_setopt(call, CURLOPT_USERPWD, std::getenv("${basic.variable}"));`);
  const many = body?.fields && body.type.startsWith('multipart/');
  if (many) {
    lines.push('  curl_mime* form = curl_mime_init(call);', '  curl_mimepart* part = nullptr;');
    for (const {name, value, file} of body.fields)
      lines.push('  part = curl_mime_addpart(form);', `  curl_mime_name(part, ${cQuoted(name)});`,
        file ? `  curl_mime_filedata(part, ${cQuoted(file)});` : `  curl_mime_data(part, ${raw(value)}, CURL_ZERO_TERMINATED);`);
    lines.push('  curl_easy_setopt(call, CURLOPT_MIMEPOST, form);');
  } else if (body) {
    if (body.file) lines.push(`  std::ifstream file(${cQuoted(body.file)}, std::ios::binary);`, '  const std::string body{std::istreambuf_iterator<char>(file), {}};');
    else lines.push(`  const std::string body = ${raw(body.fields ? new URLSearchParams(body.fields.map((each) => [each.name, each.value])).toString() : body.text)};`);
    lines.push('  curl_easy_setopt(call, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));', '  curl_easy_setopt(call, CURLOPT_POSTFIELDS, body.data());');
  }
  lines.push('  const CURLcode result = curl_easy_perform(call);  // the response is written to the standard output');
  if (many) lines.push('  curl_mime_free(form);');
  lines.push('  curl_slist_free_all(headers);', '  curl_easy_cleanup(call);', '  return result == CURLE_OK ? 0 : 1;', '}');
  return lines.join('\n');
}

const languages = [['curl', curl], ['JavaScript', javascript], ['Python', python], ['C++', cpp]];
let language = 'curl';

/** The names of the variables that a request needs, with what they hold. */
function variables({url, headers, basic}) {
  const all = [...url, ...headers.flatMap((each) => each.value), ...(basic ? [basic] : [])].filter((each) => typeof each !== 'string');
  return [...new Map(all.map((each) => [each.variable, each])).values()];
}

/** Tabs, one for each language. `request` is asked for what to show. */
function samples(request) {
  const tabs = h('div', {role: 'tablist', 'aria-label': 'Language of the sample', class: 'tabs'});
  const place = h('div', {role: 'tabpanel', tabindex: '0', class: 'sample'});
  const show = () => {
    const one = request();
    const needed = variables(one);
    for (const tab of tabs.children) {
      const here = tab.textContent === language;
      tab.setAttribute('aria-selected', String(here));
      tab.tabIndex = here ? 0 : -1;
    }
    place.setAttribute('aria-label', language);
    place.replaceChildren(code(languages.find(([name]) => name === language)[1](one)),
      ...(needed.length ? [h('p', {class: 'limits'}, 'Set ', ...needed.flatMap((each, index) => [index ? ', ' : '', h('code', null, each.variable)]),
        ` in the environment to your credential${needed.length > 1 ? 's' : ''}${one.basic ? ' (name:password)' : ''}.`)] : []));
  };
  for (const [name] of languages) tabs.append(h('button', {type: 'button', role: 'tab', onclick: () => choose(name)}, name));
  tabs.addEventListener('keydown', (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const names = languages.map(([name]) => name);
    choose(names[(names.indexOf(language) + step + names.length) % names.length]);
    tabs.querySelector('[aria-selected=true]').focus();
  });
  document.addEventListener('language', show);
  document.addEventListener('credentials', show);
  show();
  return {element: h('div', null, tabs, place), show};
}

function choose(name) {
  language = name;
  document.dispatchEvent(new Event('language'));
}
