// node response_bodies_by_ajv.mjs CONTRACT.json: judges lines of {"path", "method", "status", "media", "body"} by ajv, {"valid", "errors"} each.
// `body` is the text of an answer. Schemas of OpenAPI 3.1 are JSON Schema 2020-12 and go to ajv as they are; those of 3.0 are translated to
// draft 4 by @openapi-contrib/openapi-schema-to-json-schema. Its packages are those of bench/package.json.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../bench/', import.meta.url))
const addFormats = require('ajv-formats').default
const document = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const options = { strict: false, validateSchema: false, allErrors: true, logger: false }
const old = document.openapi.startsWith('3.0')
const Ajv = old ? require('ajv-draft-04').default : require('ajv/dist/2020').default
const ajv = addFormats(new Ajv(options))

const translate = old
  ? (schema) => {
      const { $schema, ...rest } = require('@openapi-contrib/openapi-schema-to-json-schema').fromSchema(schema, { removeWriteOnly: true })
      return rest
    }
  : withoutWriteOnly

/** Members that are only written are in no answer (OpenAPI 3.1: JSON Schema has the word as an annotation). */
function withoutWriteOnly(schema) {
  if (Array.isArray(schema)) return schema.map(withoutWriteOnly)
  if (schema === null || typeof schema !== 'object') return schema
  const made = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, withoutWriteOnly(value)]))
  const hidden = Object.keys(made.properties ?? {}).filter((name) => made.properties[name]?.writeOnly === true)
  for (const name of hidden) delete made.properties[name]
  if (hidden.length > 0 && Array.isArray(made.required)) made.required = made.required.filter((name) => !hidden.includes(name))
  return made
}

/** The object at a JSON pointer, and where it really stands once references are followed. */
function find(steps) {
  let at = document
  let place = []
  for (const step of steps) {
    at = at[step]
    place = [...place, step]
    while (typeof at?.$ref === 'string') {
      place = at.$ref.slice(2).split('/').map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
      at = place.reduce((value, part) => value[part], document)
    }
  }
  return { at, place }
}

// Each schema an answer can have is translated where it stands, so that references lead to what is translated.
for (const [name, schema] of Object.entries(document.components?.schemas ?? {})) document.components.schemas[name] = translate(schema)
const responses = Object.values(document.components?.responses ?? {})
for (const item of Object.values(document.paths ?? {})) for (const operation of Object.values(item)) responses.push(...Object.values(operation?.responses ?? {}))
for (const response of responses) {
  for (const media of Object.values(response.content ?? {})) {
    delete media.example // ajv would take an `id` in them for the name of a schema
    delete media.examples
    if (media.schema && !media.schema.$ref) media.schema = translate(media.schema)
  }
}
ajv.addSchema({ ...document, $schema: undefined, id: undefined, $id: undefined }, 'https://example.com/contract')

const judges = new Map()
function judge({ path, method, status, media }) {
  const { place } = find(['paths', path, method, 'responses', status])
  const steps = [...place, 'content', media, 'schema']
  const pointer = steps.map((step) => '/' + encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('')
  if (!judges.has(pointer)) judges.set(pointer, ajv.compile({ $ref: 'https://example.com/contract#' + pointer }))
  return judges.get(pointer)
}

for await (const text of createInterface({ input: process.stdin })) {
  if (!text) continue
  const line = JSON.parse(text)
  let out
  try {
    const validate = judge(line)
    out = { valid: validate(JSON.parse(line.body)), errors: (validate.errors ?? []).slice(0, 3).map((e) => `${e.instancePath} ${e.message} (${e.schemaPath})`) }
  } catch (error) {
    out = { valid: null, errors: [String(error).slice(0, 300)] }
  }
  process.stdout.write(JSON.stringify(out) + '\n')
}
