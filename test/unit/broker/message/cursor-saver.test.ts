// SPDX-License-Identifier: Apache-2.0
// The order in which cursors are saved: what a session lets go of, its shared groups must know of first.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cursor } from '#contract/record/session'
import { CursorSaver, type CursorSource, type UnsavedCursors } from '../../../../src/broker/message/cursor-saver.ts'
import { ManualClock, settled } from '../../engine/engine-node.ts'

interface Save {
  readonly uid: number
  readonly cursors: readonly Cursor[]
}

class Source implements CursorSource {
  readonly uid: number
  readonly epoch = 1
  readonly before: readonly Source[]
  stored = true
  /** What its cursor says. */
  next = 0

  constructor(uid: number, before: readonly Source[] = []) {
    this.uid = uid
    this.before = before
  }

  readonly marks: number[] = []

  unsaved(): UnsavedCursors {
    return { cursors: [{ log: 0, next: this.next, seen: this.next, inFlight: [] }], mark: this.next }
  }

  saved(mark: number): void {
    this.marks.push(mark)
  }
}

function createSaver() {
  const clock = new ManualClock()
  const writes: { readonly saved: string; readonly commit: () => void }[] = []
  const logger = { log: () => {}, scope: () => logger }
  const saveCursors = (saves: readonly Save[]): Promise<void> =>
    new Promise((resolve) => {
      writes.push({ saved: saves.map(({ uid, cursors }) => `${uid}@${cursors[0]?.next}`).join(' '), commit: resolve })
    })
  return { saver: new CursorSaver({ saveCursors }, clock, logger), clock, writes }
}

const commitNext = async (writes: { readonly saved: string; readonly commit: () => void }[]): Promise<string | undefined> => {
  const write = writes.shift()
  write?.commit()
  await settled()
  return write?.saved
}

test('a source is saved once its groups are, as it was before they were looked at', async () => {
  const { saver, writes } = createSaver()
  const group = new Source(9)
  const session = new Source(1, [group])
  let isDone = false
  void saver.saveNow(session).then(() => {
    isDone = true
  })
  session.next = 5
  group.next = 5
  await settled()
  assert.equal(await commitNext(writes), '9@5', 'the group knows of everything that the session has finished')
  assert.equal(isDone, false)
  assert.equal(await commitNext(writes), '1@0')
  assert.equal(isDone, true)
})

test('a later save of the same source never overtakes an earlier one', async () => {
  const { saver, writes } = createSaver()
  const session = new Source(1, [new Source(9)])
  void saver.saveNow(session)
  session.next = 1
  void saver.saveNow(session)
  await settled()
  const order: (string | undefined)[] = []
  while (writes.length > 0) order.push(await commitNext(writes))
  assert.deepEqual(order, ['9@0', '1@0', '9@0', '1@1'])
})

test('one save of a group serves all who wait for it', async () => {
  const { saver, writes } = createSaver()
  const group = new Source(9)
  for (const uid of [1, 2, 3]) void saver.saveNow(new Source(uid, [group]))
  await settled()
  assert.deepEqual(
    writes.map(({ saved }) => saved),
    ['9@0'],
  )
  await commitNext(writes)
  assert.deepEqual(
    writes.map(({ saved }) => saved),
    ['1@0', '2@0', '3@0'],
  )
})

test('of a session that ends with its connection, only the groups are saved', async () => {
  const { saver, writes } = createSaver()
  const session = new Source(1, [new Source(9)])
  session.stored = false
  const saving = saver.saveNow(session)
  await settled()
  assert.equal(await commitNext(writes), '9@0')
  await saving
  assert.equal(writes.length, 0)
})

test('what has moved is saved within 100 ms, groups once, and before those who wait for them', async () => {
  const { saver, clock, writes } = createSaver()
  const group = new Source(9)
  const sources = [new Source(1, [group]), new Source(2), group]
  for (const source of sources) saver.mark(source)
  await clock.pass(100)
  assert.equal(await commitNext(writes), '2@0')
  assert.equal(await commitNext(writes), '9@0')
  assert.equal(await commitNext(writes), '1@0')
  assert.equal(writes.length, 0)
})

test('a group that has lost its record meanwhile is left out', async () => {
  const { saver, writes } = createSaver()
  const group = new Source(9)
  void saver.saveNow(new Source(1, [group]))
  group.stored = false
  await settled()
  assert.equal(await commitNext(writes), '1@0')
})

test('a source is told what is saved when it is, and not before', async () => {
  const { saver, writes } = createSaver()
  const session = new Source(1)
  session.next = 5
  const saving = saver.saveNow(session)
  session.next = 6
  await settled()
  assert.deepEqual(session.marks, [])
  await commitNext(writes)
  await saving
  assert.deepEqual(session.marks, [5])
})

test('a source in which nothing has moved costs no write', async () => {
  const { saver, writes } = createSaver()
  const session = new Source(1)
  session.unsaved = () => ({ cursors: [], mark: 0 })
  await saver.saveNow(session)
  assert.equal(writes.length, 0)
})
