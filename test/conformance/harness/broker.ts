// SPDX-License-Identifier: Apache-2.0
// The server under test: one process for each test file, with names that no two tests share.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { ServerProcess } from '../../cluster/server-process.ts'
import { Client } from './client.ts'
import type { Connack } from './decode.ts'
import { type ConnectFields, encodeConnect, type Properties, type Version } from './wire.ts'

/** `connect` fills in a client id of its own. */
export interface Connected {
  readonly client: Client
  readonly connack: Connack
  readonly clientId: string
}

export class Broker {
  readonly #version: Version
  readonly #clients: Client[] = []
  #server: ServerProcess | undefined
  #names = 0

  /** Registers the hooks that start and stop the server. `version`: of clients that do not say. `settings`: 'mqtt.max_qos=1'. `config`: text of a file. */
  constructor(version: Version, settings: readonly string[] = [], config?: string) {
    this.#version = version
    const directory = mkdtempSync(join(tmpdir(), 'robustmq-'))
    before(async () => {
      this.#server = await ServerProcess.start({ directory, settings, ...(config === undefined ? {} : { config }) })
    })
    after(async () => {
      for (const client of this.#clients) client.destroy()
      await this.#server?.stop()
      rmSync(directory, { recursive: true, force: true })
    })
  }

  get server(): ServerProcess {
    assert.ok(this.#server !== undefined, 'the server runs while tests do')
    return this.#server
  }

  /** A name that was not used before: for a topic or a client. */
  name(kind = 't'): string {
    this.#names++
    return `${kind}${this.#names}`
  }

  /** A connection on which nothing has been sent. */
  async open(version: Version = this.#version): Promise<Client> {
    const client = await Client.open(this.server.port, version)
    this.#clients.push(client)
    return client
  }

  /** A client that is accepted. */
  async connect(fields: ConnectFields = {}): Promise<Connected> {
    const client = await this.open(fields.version)
    const clientId = String(fields.clientId ?? this.name('client'))
    const connack = await client.connect({ ...fields, clientId })
    assert.equal(connack.reasonCode, 0, `CONNECT was refused with 0x${connack.reasonCode.toString(16)}`)
    return { client, connack, clientId }
  }

  /** The same, for tests to which only the client matters. */
  async client(fields: ConnectFields = {}): Promise<Client> {
    return (await this.connect(fields)).client
  }

  /** A client whose session outlives its connection. */
  persistent(fields: ConnectFields = {}): Promise<Connected> {
    const { properties = [], version = this.#version, cleanStart = false } = fields
    return this.connect({ ...fields, cleanStart, properties: version === 5 ? [...PERSISTENT, ...properties] : [] })
  }

  /** The reason code that answers CONNECT, undefined when the connection is closed without one. It must be closed. */
  async refusal(fields: ConnectFields): Promise<number | undefined> {
    const client = await this.open(fields.version)
    client.send(encodeConnect({ version: client.version, clientId: this.name('client'), ...fields }))
    return client.closeReason()
  }

  /** Resolves when so many seconds have passed on the server's own clock: seen by a will with that delay. */
  async secondsPass(seconds: number): Promise<void> {
    const topic = this.name('clock')
    const watcher = await this.client({ version: 5 })
    await watcher.subscribe(topic)
    const will = { topic, properties: [['willDelay', seconds]] as Properties }
    const dying = await this.client({ version: 5, properties: PERSISTENT, will })
    dying.destroy()
    await watcher.take('publish')
    watcher.destroy()
  }
}

/** Long enough for any test. */
const PERSISTENT: Properties = [['sessionExpiry', 600]]
