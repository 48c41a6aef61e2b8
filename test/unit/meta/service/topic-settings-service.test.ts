// SPDX-License-Identifier: Apache-2.0
// Settings of topics that the cluster keeps: what is refused, in which order they stand, and who hears of them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { TOPIC_ENTRIES_MAX, type TopicEntry, type TopicSettingsClient } from '#contract/client/topic-settings-client'
import { createMetaNode } from '../meta-node.ts'

const entry = (name: string, filter: string, order = 0): TopicEntry => ({ name, order, table: { filter, max_age: '1h' } })
const names = (entries: readonly TopicEntry[]): string => entries.map(({ name }) => name).join(' ')
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The text of the refusal. */
async function refusal(settings: TopicSettingsClient, wrong: TopicEntry): Promise<string> {
  try {
    await settings.set(wrong)
  } catch (error) {
    assert.ok(isPlatformError(error, ERROR_CODES.configInvalid))
    return error.message
  }
  return 'none'
}

describe('topic settings', () => {
  it('are listed by order, then by name, and replaced and removed by name', async () => {
    const { topicSettings } = (await createMetaNode()).service
    for (const each of [entry('c', 'c'), entry('b', 'b', 1), entry('a', 'a'), entry('z', 'z', -5)]) await topicSettings.set(each)
    assert.equal(names(await topicSettings.list()), 'z a c b')
    await topicSettings.set(entry('z', 'z', 9))
    assert.equal(names(await topicSettings.list()), 'a c b z')
    assert.deepEqual((await topicSettings.list()).at(-1), entry('z', 'z', 9))
    assert.equal(await topicSettings.remove('a'), true)
    assert.equal(await topicSettings.remove('a'), false)
    assert.equal(await topicSettings.remove('no such/name'), false)
    assert.equal(names(await topicSettings.list()), 'c b z')
  })

  it('that a file could not have are refused with the words it would get, and nothing is kept', async () => {
    const { topicSettings } = (await createMetaNode()).service
    const storage = await refusal(topicSettings, { name: 'x', order: 0, table: { filter: 'a', storage: 'tape' } })
    assert.equal(storage, `topic settings 'x': storage = "tape": expected one of "rocksdb", "segment", "memory"`)
    assert.match(await refusal(topicSettings, { name: 'x', order: 0, table: {} }), /filter is missing: expected a topic filter/)
    assert.match(await refusal(topicSettings, { ...entry('x', 'a'), order: 1.5 }), /order = 1.5: expected an integer/)
    assert.match(await refusal(topicSettings, entry('a name', 'a')), /expected a name of 1 to 128 letters/)
    assert.deepEqual(await topicSettings.list(), [])
  })

  it('of a filter that others have would never count, and are refused; replacing them is not', async () => {
    const { topicSettings } = (await createMetaNode()).service
    await topicSettings.set(entry('first', 'a/#'))
    assert.match(await refusal(topicSettings, entry('second', 'a/#')), /expected a filter that 'first' does not have already/)
    await topicSettings.set(entry('first', 'a/#', 3))
    assert.equal(names(await topicSettings.list()), 'first')
  })

  it('are bounded in number', async () => {
    const { topicSettings } = (await createMetaNode()).service
    for (let count = 0; count < TOPIC_ENTRIES_MAX; count += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, at) => topicSettings.set(entry(`e${count + at}`, `t/${count + at}`))))
    }
    assert.equal((await topicSettings.list()).length, TOPIC_ENTRIES_MAX)
    await assert.rejects(topicSettings.set(entry('more', 'more')), { code: ERROR_CODES.quotaExceeded })
    await topicSettings.set(entry('e7', 'seven'))
  })

  it('a follower is told of all of them at once, then after every change, before the one who made it is answered', async () => {
    const { topicSettings } = (await createMetaNode()).service
    await topicSettings.set(entry('a', 'a'))
    const told: string[] = []
    await topicSettings.follow((entries) => told.push(names(entries)))
    assert.deepEqual(told, ['a'])
    await topicSettings.set(entry('b', 'b'))
    assert.equal(told.at(-1), 'a b')
    await topicSettings.remove('a')
    assert.equal(told.at(-1), 'b')
    topicSettings.stop()
  })

  it('all followers hear of what another node has changed, and of nothing once the service has stopped', async () => {
    const node = await createMetaNode()
    const { topicSettings, kv } = node.service
    const told: string[] = []
    let heard = (): void => undefined
    const others: string[] = []
    await Promise.all([
      topicSettings.follow((entries) => others.push(names(entries))),
      topicSettings.follow((entries) => {
        told.push(names(entries))
        heard()
      }),
    ])
    told.splice(0)
    const hearing = new Promise<void>((resolve) => {
      heard = resolve
    })
    const put = (name: string) => {
      const value = Buffer.from(JSON.stringify({ version: 1, order: 0, table: { filter: name } }))
      return kv.put(Buffer.from(`topic-settings/${name}`), value)
    }
    await put('elsewhere')
    await hearing
    assert.equal(told.at(-1), 'elsewhere')
    topicSettings.stop()
    await put('late')
    await node.idle()
    await settled()
    assert.deepEqual(told, ['elsewhere'])
    assert.equal(others.at(-1), 'elsewhere')
  })

  it('of a later version are left out', async () => {
    const { topicSettings, kv } = (await createMetaNode()).service
    await kv.put(Buffer.from('topic-settings/new'), Buffer.from(JSON.stringify({ version: 2 })))
    await kv.put(Buffer.from('topic-settings/none'), Buffer.from('{'))
    await topicSettings.set(entry('a', 'a'))
    assert.equal(names(await topicSettings.list()), 'a')
  })
})
