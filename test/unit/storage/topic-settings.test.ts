// SPDX-License-Identifier: Apache-2.0
// Which settings of topics are in force: those of the cluster before those of the file, at the start and after each change of either.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { Logger } from '#base/port/logger'
import type { TopicEntry } from '#contract/client/topic-settings-client'
import { TopicSettings } from '#storage'

function configOf(...topic: readonly Readonly<Record<string, unknown>>[]): Config {
  const outcome = loadConfig({ file: { name: 'config.toml', text: '', table: { topic } } })
  assert.ok(outcome.kind === 'loaded')
  return outcome.config
}

function setUp(file: Config, kept: readonly TopicEntry[] = []) {
  const inForce: string[][] = [[], []]
  const logged: string[] = []
  const logger: Logger = { log: (_level, message) => void logged.push(message), scope: () => logger }
  let follower: (entries: readonly TopicEntry[]) => void = () => undefined
  const client = {
    follow: async (follow: typeof follower) => {
      follower = follow
      follow(kept)
    },
  }
  const settings = new TopicSettings(
    client,
    logger,
    file.topic,
    inForce.map((texts) => (topics) => {
      texts.splice(0, texts.length, ...topics.map(({ filter, storage = 'default' }) => `${filter} ${storage}`))
    }),
  )
  return { settings, inForce, logged, change: (entries: readonly TopicEntry[]) => follower(entries) }
}

const entry = (name: string, table: TopicEntry['table']): TopicEntry => ({ name, order: 0, table })

describe('topic settings', () => {
  it('a start hands over what the cluster keeps, then what the file says, to everybody', async () => {
    const { settings, inForce } = setUp(configOf({ filter: 'a', storage: 'memory' }), [entry('x', { filter: 'a', storage: 'segment' })])
    await settings.start()
    assert.deepEqual(inForce, [
      ['a segment', 'a memory'],
      ['a segment', 'a memory'],
    ])
  })

  it('a change in the cluster and a reload of the file leave the other in force', async () => {
    const { settings, inForce, change } = setUp(configOf({ filter: 'file' }))
    await settings.start()
    change([entry('x', { filter: 'kept' })])
    assert.deepEqual(inForce[0], ['kept default', 'file default'])
    settings.reload(configOf({ filter: 'other' }))
    assert.deepEqual(inForce[0], ['kept default', 'other default'])
    change([])
    assert.deepEqual(inForce[0], ['other default'])
  })

  it('an entry that this version does not understand has no effect, and is told', async () => {
    const kept = [entry('new', { filter: 'a', replicas: 7 }), entry('x', { filter: 'b' })]
    const { settings, inForce, logged, change } = setUp(configOf(), kept)
    await settings.start()
    assert.deepEqual(inForce[0], ['b default'])
    assert.deepEqual(settings.warnings(), [`topic settings 'new': replicas = 7: there is no such key`])
    change(kept)
    assert.equal(logged.length, 1, 'told once')
    change([])
    assert.deepEqual(settings.warnings(), [])
  })
})
