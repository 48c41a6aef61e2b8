// SPDX-License-Identifier: Apache-2.0
// What many topics with one stored message each cost: memory, disk, time to create, to restart, and to find those that match a filter.
//
//   node dist/test/bench/million-topics.js [TOPICS = 1000000] [retain] [profile DIRECTORY]
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { metric, residentKiB, untilMetric } from '../cluster/process-figures.ts'
import { ServerProcess } from '../cluster/server-process.ts'
import { LoadClient, type LoadMessage } from './load-client.ts'

/** Every figure is in ms or bytes. */
export interface TopicFigures {
  readonly topics: number
  readonly idleBytes: number
  readonly createMs: number
  readonly residentBytes: number
  readonly diskBytes: number
  /** From the start of the process until it is ready, after a kill. */
  readonly restartMs: number
  readonly restartedResidentBytes: number
  /** From CONNECT to the only message of a topic of which one was missed. */
  readonly exactMs: number
  /** From CONNECT to the last message of `a/+/c7`. */
  readonly selectiveMs: number
  readonly selectiveCount: number
  /** From CONNECT (or SUBSCRIBE, for retained messages) to the last of all messages. */
  readonly everythingMs: number
  readonly everythingCount: number
}

export interface TopicLoad {
  readonly topics: number
  readonly retain?: boolean
  readonly directory: string
  readonly settings?: readonly string[]
  /** Put before the executable of the node that is restarted. */
  readonly prefix?: readonly string[]
}

/** Topics `a/X/cY`: as many X as Y, so that `a/+/c7` matches few. */
const topicOf = (index: number, side: number): string => `a/${Math.floor(index / side)}/c${index % side}`

function* messages(count: number, side: number): Generator<LoadMessage> {
  const payload = Buffer.alloc(64, 'm')
  for (let index = 0; index < count; index++) yield { topic: topicOf(index, side), payload }
}

/** Creates the topics, kills the node, starts it again, and lets three sessions fetch what they missed. */
export async function measureTopics({ topics, retain = false, directory, settings = [], prefix = [] }: TopicLoad): Promise<TopicFigures> {
  const side = Math.max(8, Math.round(Math.sqrt(topics)))
  const sessions = [
    { id: 'exact', filter: topicOf(Math.floor(topics / 3), side) },
    { id: 'selective', filter: 'a/+/c7' },
    { id: 'everything', filter: '#' },
  ]
  let server = await ServerProcess.start({ directory, settings })
  try {
    const idleBytes = residentBytes(server)
    if (!retain) for (const { id, filter } of sessions) await away(server.port, id, filter)
    const publisher = await LoadClient.connect(server.port, 'publisher', { clean: true })
    const createMs = await timed(() => publisher.publish(messages(topics, side), { retain }))
    publisher.destroy()
    await untilMetric(server, 'robustmq_engine_backlog_bytes', (bytes) => bytes === 0)
    const figures = { residentBytes: residentBytes(server), diskBytes: bytesBelow(directory) }
    await server.kill()
    let restarted: ServerProcess | undefined
    const restartMs = await timed(async () => {
      restarted = await ServerProcess.start({ directory, settings, prefix })
    })
    server = restarted as unknown as ServerProcess
    const stored = await metric(server, 'robustmq_engine_topics')
    if (stored !== topics) throw new Error(`${stored} topics after the restart, ${topics} before`)
    const restartedResidentBytes = residentBytes(server)
    const selectiveCount = Math.floor((topics - 8) / side) + 1
    const exactMs = await caughtUp(server.port, 'exact', sessions[0]?.filter as string, retain, 1)
    const selectiveMs = await caughtUp(server.port, 'selective', 'a/+/c7', retain, selectiveCount)
    const everythingMs = await caughtUp(server.port, 'everything', '#', retain, topics)
    await server.stop()
    return {
      ...{ topics, idleBytes, createMs, ...figures, restartMs, restartedResidentBytes, exactMs },
      ...{ selectiveMs, selectiveCount, everythingMs, everythingCount: topics },
    }
  } finally {
    await server.kill()
  }
}

/** A persistent session that has subscribed and left. */
async function away(port: number, clientId: string, filter: string): Promise<void> {
  const client = await LoadClient.connect(port, clientId, { clean: false })
  await client.subscribe(filter, 1)
  await client.disconnect()
}

/** Time until so many messages have come: missed ones of a persistent session, or retained ones of a new subscription. */
async function caughtUp(port: number, clientId: string, filter: string, retained: boolean, count: number): Promise<number> {
  const beganMs = performance.now()
  const client = await LoadClient.connect(port, clientId, { clean: retained })
  if (retained) await client.subscribe(filter, 1)
  await client.untilReceived(count)
  const lasted = client.lastAtMs - beganMs
  await client.disconnect()
  if (client.received !== count) throw new Error(`${client.received} messages for ${filter}, ${count} expected`)
  return lasted
}

export const residentBytes = (server: ServerProcess): number => residentKiB(server).now * 1024

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return performance.now() - beganMs
}

/** Bytes of all files below a directory that other processes may change meanwhile. */
export function bytesBelow(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) bytes += bytesBelow(path)
    else bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0
  }
  return bytes
}

async function main(words: readonly string[]): Promise<void> {
  const topics = Number(words[0] ?? 1_000_000)
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-topics-'))
  try {
    const profile = words.indexOf('profile')
    const script = `node="$1"; shift; exec "$node" --cpu-prof --cpu-prof-dir=${words[profile + 1]} "$@"`
    const prefix = profile < 0 ? [] : ['/bin/sh', '-c', script, 'profile']
    const settings = ['engine.retention.max_bytes=1TiB']
    const figures = await measureTopics({ topics, retain: words.includes('retain'), directory, settings, prefix })
    const perTopic = (figures.residentBytes - figures.idleBytes) / topics
    const perTopicRestarted = (figures.restartedResidentBytes - figures.idleBytes) / topics
    process.stdout.write(`${JSON.stringify({ ...figures, perTopic, perTopicRestarted }, undefined, 2)}\n`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
