// SPDX-License-Identifier: Apache-2.0
// The listeners of a broker, on a network and files that are made up: limits, and certificates that change while it runs.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ADMISSION_OF_NODE, type ListenerSettings } from '#base/config/listener'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { FileReader } from '#base/port/file-reader'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, Listener, ListenOptions, Network, TlsMaterial } from '#base/port/network'
import { Acceptor } from '../../../../src/broker/network/acceptor.ts'
import { ListenerSet } from '../../../../src/broker/network/listener-set.ts'

const WATCH_MS = 30_000

class FakeListener implements Listener {
  readonly address: string
  readonly materials: TlsMaterial[] = []
  accept: ((channel: Channel) => ChannelHandler) | undefined

  constructor(options: ListenOptions) {
    this.address = `${options.host}:${options.port}`
    if ('tls' in options) this.#take(options.tls)
  }

  async start(accept: (channel: Channel) => ChannelHandler): Promise<void> {
    this.accept = accept
  }

  async stop(): Promise<void> {
    this.accept = undefined
  }

  setTls(tls: TlsMaterial): void {
    this.#take(tls)
  }

  /** What the listener shows: the content of the certificate. */
  get shown(): string | undefined {
    return this.materials.at(-1)?.pair.cert.bytes.toString()
  }

  /** Unusable is a pair that does not belong together. */
  #take(tls: TlsMaterial): void {
    const [cert, key] = [tls.pair.cert.bytes.toString(), tls.pair.key.bytes.toString()]
    if (cert !== key) throw new PlatformError(ERROR_CODES.configInvalid, `${cert} and ${key} are no pair`)
    this.materials.push(tls)
  }
}

class Stage {
  readonly lines: string[] = []
  readonly timers: { readonly atMs: number; readonly fire: () => void }[] = []
  readonly listeners: FakeListener[] = []
  readonly options: ListenOptions[] = []
  /** By path: content and stamp. */
  readonly contents = new Map<string, string>([
    ['c', 'one'],
    ['k', 'one'],
  ])
  stamps = 0
  nowMs = 0

  readonly network: Network = {
    listener: (options) => {
      const listener = new FakeListener(options)
      this.listeners.push(listener)
      this.options.push(options)
      return listener
    },
  }
  readonly files: FileReader = {
    read: async (path) => {
      const content = this.contents.get(path)
      if (content === undefined) throw new PlatformError(ERROR_CODES.notFound, `cannot read ${path}: ENOENT`)
      return Buffer.from(content)
    },
    stamp: async (path) => (this.contents.has(path) ? String(this.stamps) : undefined),
  }
  readonly logger: Logger = {
    log: (level, message, fields = {}) => this.lines.push(`${level} ${message} ${Object.values(fields).join(' ')}`),
    scope: () => this.logger,
  }
  readonly clock: Clock = {
    monotonic: () => this.nowMs,
    realtime: () => this.nowMs,
    after: (delayMs, fire) => {
      const timer = { atMs: this.nowMs + delayMs, fire }
      this.timers.push(timer)
      return { cancel: () => void this.timers.splice(this.timers.indexOf(timer), 1) }
    },
    endOfTurn: () => assert.fail('nothing waits for the end of a turn'),
  }

  set(...settings: readonly Partial<ListenerSettings>[]): ListenerSet {
    const all = settings.map((each): ListenerSettings => ({ ...PLAIN, ...each }))
    return new ListenerSet(this, all, 1000)
  }

  write(path: string, content: string | undefined): void {
    this.stamps++
    if (content === undefined) this.contents.delete(path)
    else this.contents.set(path, content)
  }

  async pass(durationMs: number): Promise<void> {
    this.nowMs += durationMs
    for (const timer of this.timers.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.timers.splice(this.timers.indexOf(timer), 1)
      timer.fire()
    }
    await new Promise(setImmediate)
  }
}

const PLAIN: ListenerSettings = {
  name: 'x',
  transport: 'tcp',
  host: 'h',
  port: 1,
  path: '/mqtt',
  origins: [],
  connectionsMax: 10,
  tls: undefined,
  admission: ADMISSION_OF_NODE,
  maxMessageRate: 0,
  maxByteRate: 0,
  hostPath: 'mqtt.bind',
}

const TLS = { pair: { cert: 'c', key: 'k' }, others: [], ca: undefined, verifyClient: 'none' } as const
const HANDLER: ChannelHandler = { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }

describe('listener set', () => {
  it('opens each as it is configured, and tells where', async () => {
    const stage = new Stage()
    stage.contents.set('ca', 'issuers')
    const set = stage.set(
      { transport: 'tcp' },
      { transport: 'tls', port: 2, tls: TLS },
      { transport: 'ws', port: 3, path: '/w', origins: ['null'] },
      { transport: 'wss', port: 4, tls: { ...TLS, ca: 'ca', others: [TLS.pair], verifyClient: 'required' } },
    )
    assert.deepEqual(set.addresses, [])
    await set.start(() => HANDLER)
    assert.deepEqual(set.addresses, ['mqtt h:1', 'mqtts h:2', 'ws h:3', 'wss h:4'])
    const [tcp, tls, ws, wss] = stage.options
    assert.deepEqual(tcp, { transport: 'tcp', host: 'h', port: 1, connectionsMax: 10 })
    assert.ok(tls?.transport === 'tls' && tls.verifyClient === 'none' && tls.tls.ca === undefined)
    assert.ok(ws?.transport === 'ws')
    assert.deepEqual(ws.webSocket, { path: '/w', origins: ['null'], messageBytesMax: 1000 + 65_536 })
    assert.ok(wss?.transport === 'wss' && wss.verifyClient === 'required')
    assert.deepEqual([wss.tls.ca?.bytes.toString(), wss.tls.others.length], ['issuers', 1])
    await set.stop()
    assert.deepEqual(stage.timers, [])
  })

  it('a file that is missing, or cannot be used, refuses the start as a mistake of the configuration', async () => {
    for (const content of [undefined, 'two']) {
      const stage = new Stage()
      stage.write('k', content)
      await assert.rejects(
        stage.set({ transport: 'tls', tls: TLS }).start(() => HANDLER),
        (error) => isPlatformError(error, ERROR_CODES.configInvalid),
      )
    }
  })

  it('changed certificates are taken within 30 seconds, unchanged ones are left alone', async () => {
    const stage = new Stage()
    const set = stage.set({ transport: 'tls', tls: TLS })
    await set.start(() => HANDLER)
    const [listener] = stage.listeners as [FakeListener]
    await stage.pass(WATCH_MS)
    assert.equal(listener.materials.length, 1)
    stage.write('c', 'two')
    stage.write('k', 'two')
    await stage.pass(WATCH_MS - 1)
    assert.equal(listener.shown, 'one')
    await stage.pass(1)
    assert.equal(listener.shown, 'two')
    assert.deepEqual(stage.lines, ['info certificates were read again c'])
    await set.stop()
  })

  it('half a change keeps the old certificate, is told once, and is made good by the other half', async () => {
    const stage = new Stage()
    const set = stage.set({ transport: 'wss', tls: TLS })
    await set.start(() => HANDLER)
    const [listener] = stage.listeners as [FakeListener]
    stage.write('c', 'two')
    for (let times = 0; times < 3; times++) await stage.pass(WATCH_MS)
    assert.equal(listener.shown, 'one')
    assert.deepEqual(stage.lines, ['error certificates have changed and cannot be used: the old ones stay two and one are no pair'])
    stage.write('k', undefined)
    await stage.pass(WATCH_MS)
    assert.equal(listener.shown, 'one')
    stage.write('k', 'two')
    await stage.pass(WATCH_MS)
    assert.equal(listener.shown, 'two')
    await set.stop()
  })

  it('a refresh reads them all at once, changed or not', async () => {
    const stage = new Stage()
    const set = stage.set({ transport: 'tls', tls: TLS }, { transport: 'tcp' }, { transport: 'wss', tls: TLS })
    await set.start(() => HANDLER)
    await set.refresh()
    assert.deepEqual(
      stage.listeners.map(({ materials }) => materials.length),
      [2, 0, 2],
    )
    await set.stop()
    await set.refresh()
    assert.equal(stage.listeners[0]?.materials.length, 2)
  })

  it('nothing is watched when there are no certificates', async () => {
    const stage = new Stage()
    await stage.set({ transport: 'tcp' }, { transport: 'ws' }).start(() => HANDLER)
    assert.deepEqual(stage.timers, [])
  })
})

describe('acceptor', () => {
  it('closes what is over the limit of its listener or of the node, and takes more when there is room again', async () => {
    const stage = new Stage()
    const taken: ListenerSettings[] = []
    let refused = 0
    const acceptor = new Acceptor(
      stage.set({ name: 'a', connectionsMax: 2 }, { name: 'b' }),
      3,
      (_channel, listener) => {
        taken.push(listener)
        return HANDLER
      },
      () => refused++,
      () => ({ maxConnectRate: 0, connectionsPerIpMax: 0 }),
      stage.clock,
    )
    await acceptor.start()
    const reasons: (string | undefined)[] = []
    const channel = { remote: '192.0.2.1:1', destroy: (reason?: string) => reasons.push(reason) } as unknown as Channel
    const arrive = (index: number): void => void stage.listeners[index]?.accept?.(channel)
    for (let times = 0; times < 3; times++) arrive(0)
    assert.deepEqual([taken.length, refused], [2, 1])
    arrive(1)
    arrive(1)
    assert.deepEqual([taken.length, refused, acceptor.connections], [3, 2, 3])
    assert.deepEqual(reasons, ['tryLater', 'tryLater'])
    acceptor.released(channel, taken[0] as ListenerSettings)
    arrive(0)
    assert.deepEqual(
      taken.map(({ name }) => name),
      ['a', 'a', 'b', 'a'],
    )
    await acceptor.stop()
  })
})
