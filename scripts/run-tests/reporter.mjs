// SPDX-License-Identifier: Apache-2.0
// A reporter of node:test for scripts/run-tests.mjs: a line of JSON for each test that ended, for each warning, and for the end.
//
//   line := {outcome: passed | failed | skipped, name, error?} | {outcome: warning, error} | {outcome: end}
import { inspect } from 'node:util'

// The reporter interface of node:test asks for a default export.
// biome-ignore lint/style/noDefaultExport: see above
export default async function* report(events) {
  const names = []
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      names.length = data.nesting
      names.push(data.name)
    }
    // How Node tells of work that fails after its test has ended.
    if (type === 'test:diagnostic' && /^(Warning|Error)/.test(data.message)) yield line({ outcome: 'warning', error: data.message })
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const ended = describe(type, data, [...names.slice(0, data.nesting), data.name])
    if (ended !== undefined) yield line(ended)
  }
  // Without it the process has left before its tests were done.
  yield line({ outcome: 'end' })
}

const line = (value) => `${JSON.stringify(value)}\n`

/** Groups are not tests, and what failed only because something inside it failed is told there. */
function describe(type, data, names) {
  const error = data.details.error
  if (error?.failureType === 'subtestsFailed') return undefined
  if (data.details.type === 'suite' && type === 'test:pass') return undefined
  const isSkipped = data.skip !== undefined || data.todo !== undefined
  return {
    outcome: isSkipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed',
    name: names.join(' > '),
    error: error === undefined ? undefined : inspect(error.cause ?? error, { colors: false, depth: 8 }),
  }
}
