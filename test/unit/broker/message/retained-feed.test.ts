// SPDX-License-Identifier: Apache-2.0
// The retained messages of a new subscription: all of them, in order, and no page before there is room for it.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Clock } from '#base/port/clock'
import type { RetainedValue } from '#contract/client/meta-client'
import type { Subscription } from '#contract/record/session'
import { FeedTurns } from '../../../../src/broker/message/feed-turns.ts'
import { RetainedFeed } from '../../../../src/broker/message/retained-feed.ts'

const EMPTY = Buffer.alloc(0)
/** A log that was created after the subscription had become live. */
const LATER = 1
const TOPICS = Array.from({ length: 5000 }, (_, at) => `t/${String(at).padStart(4, '0')}`)
const SUBSCRIPTION = { filter: '#', qos: 0 } as Subscription

const messageOf = (topic: string, log: number): RetainedValue => ({
  topic,
  qos: 0,
  expiryMs: 0,
  storedAtMs: 0,
  publisher: 0,
  headers: EMPTY,
  payload: EMPTY,
  log,
  position: 0,
})

/** A view that answers when it is told to. */
class View {
  readonly asked: (() => void)[] = []
  pages = 0
  log = (_topic: string): number => 0

  retained(_filter: string, after: string | undefined, count: number): Promise<readonly RetainedValue[]> {
    this.pages++
    const from = after === undefined ? 0 : TOPICS.indexOf(after) + 1
    return new Promise((resolve) => {
      this.asked.push(() => resolve(TOPICS.slice(from, from + count).map((topic) => messageOf(topic, this.log(topic)))))
    })
  }

  /** Answers what was asked so far, and lets everything happen that follows from it. */
  async answer(): Promise<void> {
    for (const reply of this.asked.splice(0)) reply()
    await settled()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A client that takes as many messages as it has room for. */
class Client {
  readonly appetite = 1000
  storesQos0 = false
  readonly got: string[] = []
  room = 0
  done = false

  offerRetained(_subscription: Subscription, { topic }: RetainedValue): boolean {
    if (this.room === 0) return false
    this.room--
    this.got.push(topic)
    return true
  }

  feedDone(): void {
    this.done = true
  }

  failed(error: unknown): void {
    throw error
  }
}

function feedOf(view: View, client: Client, turns: FeedTurns): RetainedFeed {
  const clock = { realtime: () => 0 } as unknown as Clock
  const store = { retainedUpTo: async () => {} }
  const durableLogs = new Set([0, LATER])
  return new RetainedFeed({ store, meta: view, clock, turns, durableLogs }, client, SUBSCRIPTION, [{ log: 0, position: 1 }])
}

it('D10: a client that takes everything gets every topic once, in order', async () => {
  const view = new View()
  const client = new Client()
  client.room = Number.POSITIVE_INFINITY
  feedOf(view, client, new FeedTurns()).resume()
  await settled()
  while (view.asked.length > 0) await view.answer()
  assert.ok(client.done)
  assert.deepEqual(client.got, TOPICS)
})

it('back-pressure: no page is asked for while the client has no room, and nothing is lost or comes twice at the seams', async () => {
  const view = new View()
  const client = new Client()
  const feed = feedOf(view, client, new FeedTurns())
  while (!client.done) {
    client.room = 700
    const before = client.got.length
    feed.resume()
    await settled()
    while (view.asked.length > 0) await view.answer()
    const { pages } = view
    await settled()
    assert.equal(view.pages, pages)
    if (!client.done) assert.equal(client.got.length, before + 700)
  }
  assert.deepEqual(client.got, TOPICS)
})

it('fairness: of many feeds two read at a time, each one page, and all come to their end', async () => {
  const view = new View()
  const turns = new FeedTurns()
  const clients = Array.from({ length: 10 }, () => new Client())
  for (const client of clients) {
    client.room = Number.POSITIVE_INFINITY
    feedOf(view, client, turns).resume()
  }
  await settled()
  while (view.asked.length > 0) {
    assert.ok(view.asked.length <= 2)
    await view.answer()
    const counts = clients.map(({ got }) => got.length)
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 512, 'nobody is a page behind another')
  }
  for (const { got } of clients) assert.deepEqual(got, TOPICS)
})

it('fairness: a feed that is closed while it waits passes its turn on', async () => {
  const view = new View()
  const turns = new FeedTurns()
  const clients = Array.from({ length: 4 }, () => new Client())
  const feeds = clients.map((client) => {
    client.room = Number.POSITIVE_INFINITY
    const feed = feedOf(view, client, turns)
    feed.resume()
    return feed
  })
  await settled()
  for (const feed of feeds.slice(0, 3)) feed.close()
  while (view.asked.length > 0) await view.answer()
  assert.deepEqual(
    clients.map(({ got }) => got.length),
    [0, 0, 0, TOPICS.length],
  )
})

it('D10: what is retained in a log that came after the subscription was live comes live, and not again as retained', async () => {
  const view = new View()
  view.log = (topic) => (topic === 't/0007' ? LATER : 0)
  const client = new Client()
  client.room = Number.POSITIVE_INFINITY
  feedOf(view, client, new FeedTurns()).resume()
  await settled()
  while (view.asked.length > 0) await view.answer()
  assert.deepEqual(
    client.got,
    TOPICS.filter((topic) => topic !== 't/0007'),
  )
})

it('D10: a feed that goes on leaves out what the session is owed from the logs since it subscribed, and sends what it is not', async () => {
  const subscription = { filter: '#', qos: 1, since: [{ log: 0, position: 5 }], retainedAfter: '' } as unknown as Subscription
  const values = [
    { topic: 'before', log: 0, position: 4, qos: 1 },
    { topic: 'away', log: 0, position: 5, qos: 1 },
    { topic: 'away/fleeting', log: 0, position: 6, qos: 0 },
    { topic: 'away/later', log: LATER, position: 0, qos: 2 },
  ].map((value) => ({ ...messageOf(value.topic, value.log), ...value }))
  for (const storesQos0 of [false, true]) {
    const client = new Client()
    client.room = Number.POSITIVE_INFINITY
    client.storesQos0 = storesQos0
    const meta = { retained: async (_filter: string, after: string | undefined) => (after === undefined ? values : []) }
    const clock = { realtime: () => 0 } as unknown as Clock
    const source = { store: { retainedUpTo: async () => {} }, meta, clock, turns: new FeedTurns(), durableLogs: new Set([0, LATER]) }
    const ends = [0, LATER].map((log) => ({ log, position: 100 }))
    new RetainedFeed(source, client, subscription, ends).resume()
    await settled()
    assert.deepEqual(client.got, storesQos0 ? ['before'] : ['before', 'away/fleeting'])
  }
})
