// Answers lines of {"schema", "instance", "format", "remotes", "repeat", "compile"} as `plimsoll schema validate --json-lines`
// does, by ajv: what is measured and compared beside Plimsoll.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const Ajv = require('ajv/dist/2020').default
const addFormats = require('ajv-formats').default

// Errors off: the first one ends a validation. Schemas are taken as they are; what strict mode would refuse is the standard's.
const options = { strict: false, validateSchema: false, allErrors: false, messages: false, logger: false }

function compile(line) {
  const ajv = new Ajv({ ...options, validateFormats: !!line.format })
  if (line.format) addFormats(ajv)
  for (const [uri, schema] of Object.entries(line.remotes ?? {})) ajv.addSchema(schema, uri)
  return ajv.compile(line.schema)
}

let kept = false

function time(validate, instance, count) {
  let valid = false
  const start = process.hrtime.bigint()
  for (let i = 0; i < count; i++) valid = validate(instance) !== valid
  const ns = Number(process.hrtime.bigint() - start)
  kept = valid
  return ns
}

let last = { text: '', validate: null }

// Neighbouring lines often ask the same schema.
function compileOnce(line) {
  const text = JSON.stringify([line.schema, line.format, line.remotes])
  if (text !== last.text) last = { text, validate: null }
  return (last.validate ??= compile(line))
}

function answer(line) {
  const validate = compileOnce(line)
  const out = { valid: validate(line.instance) }
  if (line.repeat) {
    // Warm first, so that what is measured is optimised code; then the best of three, so that no collection falls into it.
    time(validate, line.instance, line.repeat)
    out.ns = Math.min(...[1, 2, 3].map(() => time(validate, line.instance, line.repeat)))
  }
  if (line.compile) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < line.compile; i++) compile(line)(line.instance)
    out.compile_ns = Number(process.hrtime.bigint() - start)
  }
  return out
}

for await (const text of createInterface({ input: process.stdin })) {
  if (!text) continue
  let out
  try {
    out = answer(JSON.parse(text))
  } catch (error) {
    out = { valid: null, error: String(error.message) }
  }
  process.stdout.write(JSON.stringify(out) + '\n')
}
