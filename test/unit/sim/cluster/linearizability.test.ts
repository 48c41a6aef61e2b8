// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkLinearizable, type Operation } from '../../../sim/cluster/checker/linearizability.ts'
import {
  checkRegisters,
  LinearizabilityBroken,
  type RegisterOperation,
  registerModel,
} from '../../../sim/cluster/checker/register-history.ts'
import type { RegisterCall, RegisterReply } from '../../../sim/cluster/register-call.ts'
import { SimRandom } from '../../../sim/random.ts'

const OPEN = Number.POSITIVE_INFINITY

function read(called: number, returned: number, found: Record<string, number>): RegisterOperation {
  return {
    input: { expected: new Map(), set: new Map(), read: Object.keys(found) },
    output: new Map(Object.entries(found)),
    called,
    returned,
  }
}

/** `found` is what the keys held before; undefined when the outcome is not known. */
function write(
  called: number,
  returned: number,
  set: Record<string, number>,
  found: Record<string, number> | undefined,
  expected: Record<string, number> = {},
): RegisterOperation {
  const input = { expected: new Map(Object.entries(expected)), set: new Map(Object.entries(set)), read: [] }
  return { input, output: found === undefined ? undefined : new Map(Object.entries(found)), called, returned }
}

const accepts = (history: readonly RegisterOperation[]): void => assert.doesNotThrow(() => checkRegisters(history))
const refuses = (history: readonly RegisterOperation[]): void => assert.throws(() => checkRegisters(history), LinearizabilityBroken)

describe('linearizability (T12)', () => {
  it('a read after a write sees it', () => accepts([write(0, 1, { a: 1 }, { a: 0 }), read(2, 3, { a: 1 })]))

  it('a read after a write that sees what was before is refused', () => refuses([write(0, 1, { a: 1 }, { a: 0 }), read(2, 3, { a: 0 })]))

  it('a read beside a write may see either', () => {
    accepts([write(0, 10, { a: 1 }, { a: 0 }), read(1, 2, { a: 0 }), read(3, 4, { a: 1 })])
    refuses([write(0, 10, { a: 1 }, { a: 0 }), read(1, 2, { a: 1 }), read(3, 4, { a: 0 })])
  })

  it('a call that returns in the moment in which another begins may have met it', () =>
    accepts([write(0, 5, { a: 1 }, { a: 0 }), read(5, 6, { a: 0 })]))

  it('a value that nobody wrote is refused', () => refuses([read(0, 1, { a: 7 })]))

  it('a write of unknown outcome may happen late, or never', () => {
    const unknown = write(0, OPEN, { a: 1 }, undefined)
    accepts([unknown, read(1, 2, { a: 0 }), read(3, 4, { a: 1 })])
    accepts([unknown, read(1, 2, { a: 0 }), read(100, 101, { a: 0 })])
    refuses([unknown, read(1, 2, { a: 1 }), read(3, 4, { a: 0 })])
  })

  it('a write that was refused and yet seen is refused: it is not in the history', () =>
    refuses([write(0, 1, { a: 1 }, { a: 0 }), write(2, 3, { a: 2 }, { a: 9 })]))

  it('a compare that fails changes nothing', () => {
    const failed = write(2, 3, { a: 2 }, { a: 1 }, { a: 5 })
    accepts([write(0, 1, { a: 1 }, { a: 0 }), failed, read(4, 5, { a: 1 })])
    refuses([write(0, 1, { a: 1 }, { a: 0 }), failed, read(4, 5, { a: 2 })])
  })

  it('two keys of one call change together', () => {
    const both = write(0, 10, { a: 1, b: 2 }, { a: 0, b: 0 })
    accepts([both, read(1, 2, { a: 0, b: 0 }), read(3, 4, { a: 1, b: 2 })])
    refuses([both, read(1, 2, { a: 1, b: 0 })])
    // Each key by itself would be in order.
    refuses([both, read(1, 2, { a: 1 }), read(3, 4, { b: 0 })])
  })

  it('a search that takes too many steps has not shown anything', () => {
    const history = Array.from({ length: 12 }, (_, at) => write(0, 100, { a: at + 1 }, { a: 50 }))
    assert.equal(checkLinearizable(registerModel, history, 10), 'unknown')
  })

  it('agrees with trying every order, on small random histories', () => {
    const random = new SimRandom(20_260_101)
    let refused = 0
    for (let round = 0; round < 3_000; round++) {
      const history = drawHistory(random)
      const expected = someOrderFits(history)
      if (!expected) refused++
      assert.equal(checkLinearizable(registerModel, history) === 'linearizable', expected, JSON.stringify(history.map(describeOperation)))
    }
    assert.ok(refused > 300 && refused < 2_700, `${refused} of 3000 histories are refused`)
  })
})

function drawHistory(random: SimRandom): readonly RegisterOperation[] {
  return Array.from({ length: random.range(1, 5) }, (_, at) => {
    const called = random.range(0, 8)
    const returned = called + random.range(1, 6)
    if (random.chance(0.4)) return read(called, returned, { a: random.range(0, 3) })
    const expected = random.chance(0.3) ? { a: random.range(0, 3) } : {}
    return write(called, returned, { a: at + 1 }, random.chance(0.2) ? undefined : { a: random.range(0, 3) }, expected)
  })
}

/** The definition itself: an order that keeps who returned before whom was called, with unknown calls anywhere after their call, or left out. */
function someOrderFits(history: readonly RegisterOperation[]): boolean {
  const place = (state: ReadonlyMap<string, number>, left: readonly RegisterOperation[]): boolean => {
    if (left.every(({ output }) => output === undefined)) return true
    return left.some((operation) => {
      const isFirst = left.every((other) => other.output === undefined || other === operation || other.returned >= operation.called)
      if (!isFirst) return false
      const after = registerModel.step(state, operation.input, operation.output)
      return (
        after !== undefined &&
        place(
          after,
          left.filter((other) => other !== operation),
        )
      )
    })
  }
  return place(new Map(), history)
}

const describeOperation = ({ input, output, called, returned }: Operation<RegisterCall, RegisterReply>): unknown => [
  called,
  returned,
  [...input.expected],
  [...input.set],
  output === undefined ? 'unknown' : [...output],
]
