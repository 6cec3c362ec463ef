'use strict';
// The little of CommonMark that descriptions use, made into elements. Text stays text: nothing is ever parsed as HTML.

/** An element: `h('a', {href: '#x'}, 'text', child)`. Null children are left out. */
function h(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Only links that lead to a page, never `javascript:` and its like. */
function safeAddress(address) {
  return /^(https?:|mailto:|#|\/|\.)/i.test(address) || !/^[a-z][a-z0-9+.-]*:/i.test(address) ? address : null;
}

function inline(source) {
  const text = source.replace(/!\[([^\]]*)\]\([^)]*\)/g, '$1');  // of an image, the words: nothing is fetched from elsewhere
  const parts = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)|<(https?:[^>\s]+)>|(?<![\w*])[*_]([^*_]+)[*_](?![\w*])/g;
  let from = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(from, found.index));
    from = found.index + found[0].length;
    const [, code, strong, label, address, bare, emphasis] = found;
    if (code) parts.push(h('code', null, code));
    else if (strong) parts.push(h('strong', null, ...inline(strong)));
    else if (label && safeAddress(address)) parts.push(h('a', {href: address, rel: 'noreferrer'}, label));
    else if (bare) parts.push(h('a', {href: bare, rel: 'noreferrer'}, bare));
    else if (emphasis) parts.push(h('em', null, ...inline(emphasis)));
    else parts.push(found[0]);
  }
  parts.push(text.slice(from));
  return parts;
}

/** Elements for a description: paragraphs, headings, lists, tables, fenced code. */
function markdown(text) {
  const lines = (text || '').replace(/\r/g, '').split('\n');
  const out = [];
  let at = 0;
  const take = (pattern) => {
    const taken = [];
    while (at < lines.length && pattern.test(lines[at])) taken.push(lines[at++]);
    return taken;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) { at++; continue; }
    if (/^\s*```/.test(line)) {
      at++;
      const code = take(/^(?!\s*```)/);
      at++;
      out.push(h('pre', null, h('code', null, code.join('\n'))));
    } else if (/^#{1,6}\s/.test(line)) {
      at++;
      out.push(h('h3', null, ...inline(line.replace(/^#+\s*/, ''))));
    } else if (/^\s*([-*+]|\d+[.)])\s/.test(line)) {
      const items = [];
      while (at < lines.length && lines[at].trim()) {
        if (/^\s*([-*+]|\d+[.)])\s/.test(lines[at])) items.push(lines[at].replace(/^\s*([-*+]|\d+[.)])\s+/, ''));
        else items[items.length - 1] += ' ' + lines[at].trim();
        at++;
      }
      out.push(h(/^\s*\d/.test(line) ? 'ol' : 'ul', null, items.map((item) => h('li', null, ...inline(item)))));
    } else if (line.includes('|') && /^[\s|:-]+$/.test(lines[at + 1] || '') && lines[at + 1].includes('-')) {
      const rows = take(/\|/).map((row) => row.trim().replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim()));
      out.push(h('table', null, h('tr', null, rows[0].map((cell) => h('th', null, ...inline(cell)))),
        rows.slice(2).map((row) => h('tr', null, row.map((cell) => h('td', null, ...inline(cell)))))));
    } else {
      const paragraph = [];
      while (at < lines.length && lines[at].trim() && !/^(#{1,6}\s|\s*```)/.test(lines[at])) paragraph.push(lines[at++]);
      out.push(h('p', null, ...inline(paragraph.join(' '))));
    }
  }
  return out;
}
