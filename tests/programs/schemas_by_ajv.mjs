// node schemas_by_ajv.mjs DOCUMENT.json: judges lines of {"pointer", "value"} by ajv, {"errors"} each (null: satisfied). `pointer` leads to a schema of
// the document, an OpenAPI 3.1 document (JSON Schema 2020-12), which is taken as it stands: nothing is translated. ajv is that of bench/package.json.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../bench/', import.meta.url))
const Ajv = require('ajv/dist/2020').default
const ajv = require('ajv-formats').default(new Ajv({ strict: false, validateSchema: false, allErrors: true, logger: false }))

/** Examples are data: ajv would take an `id` in them for the name of a schema. */
function withoutExamples(value) {
  if (Array.isArray(value)) return value.map(withoutExamples)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).filter(([name, below]) => !(['example', 'examples'].includes(name) && (name === 'example' || Array.isArray(below)))).map(([name, below]) => [name, withoutExamples(below)]))
}

ajv.addSchema({ ...withoutExamples(JSON.parse(readFileSync(process.argv[2], 'utf8'))), $schema: undefined, id: undefined, $id: undefined }, 'https://example.com/contract')
const judges = new Map()
for await (const text of createInterface({ input: process.stdin })) {
  if (!text) continue
  const { pointer, value } = JSON.parse(text)
  let errors
  try {
    const place = pointer.split('/').map(encodeURIComponent).join('/')
    if (!judges.has(place)) judges.set(place, ajv.compile({ $ref: 'https://example.com/contract#' + place }))
    const validate = judges.get(place)
    errors = validate(value) ? null : validate.errors.slice(0, 3).map((e) => `${e.instancePath} ${e.message} (${e.schemaPath})`)
  } catch (error) {
    errors = [String(error).slice(0, 300)]
  }
  process.stdout.write(JSON.stringify({ errors }) + '\n')
}
