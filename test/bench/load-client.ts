// SPDX-License-Identifier: Apache-2.0
// An MQTT 3.1.1 client for loads: writes packets from templates, walks what comes in place, acknowledges QoS 1 by itself, and counts.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const TYPE = { connack: 2, publish: 3, puback: 4, suback: 9, pingresp: 13 } as const
const PACKET_IDS = 65_535
/** Written at once. */
const WRITE_BYTES = 64 * 1024

export interface LoadMessage {
  readonly topic: string
  readonly payload: Buffer
}

interface Waiter {
  readonly done: () => boolean
  readonly resolve: () => void
}

export class LoadClient {
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)
  #waiters: Waiter[] = []
  #closed = false
  #connacks = 0
  #subacks = 0
  #packetId = 0
  sessionPresent = false
  /** PUBACKs that have come. */
  acknowledged = 0
  /** Messages that have come. */
  received = 0
  /** performance.now() of the first and of the last message. */
  firstAtMs = 0
  lastAtMs = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static async connect(port: number, clientId: string, { clean }: { readonly clean: boolean }): Promise<LoadClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    const client = new LoadClient(socket)
    const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, clean ? 2 : 0, 0, 0])
    socket.write(packet(0x10, Buffer.concat([variable, text(clientId)])))
    await client.until(() => client.#connacks > 0)
    return client
  }

  async subscribe(filter: string, qos: 0 | 1): Promise<void> {
    const wanted = this.#subacks + 1
    this.#socket.write(packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])])))
    await this.until(() => this.#subacks >= wanted)
  }

  /** Publishes with QoS 1, `window` ahead of the acknowledgements; resolves when all are acknowledged. */
  async publish(messages: Iterable<LoadMessage>, options: { readonly window?: number; readonly retain?: boolean } = {}): Promise<number> {
    const { window = 1000, retain = false } = options
    const before = this.acknowledged
    let sent = 0
    let pending: Buffer[] = []
    let bytes = 0
    const flush = (): void => {
      this.#socket.write(Buffer.concat(pending))
      pending = []
      bytes = 0
    }
    for (const { topic, payload } of messages) {
      if (sent - (this.acknowledged - before) >= window) {
        flush()
        await this.until(() => sent - (this.acknowledged - before) <= window / 2)
      }
      this.#packetId = (this.#packetId % PACKET_IDS) + 1
      const id = Buffer.from([this.#packetId >> 8, this.#packetId & 0xff])
      const encoded = packet(retain ? 0x33 : 0x32, Buffer.concat([text(topic), id, payload]))
      pending.push(encoded)
      bytes += encoded.length
      sent++
      if (bytes >= WRITE_BYTES) flush()
    }
    flush()
    await this.until(() => this.acknowledged - before === sent)
    return sent
  }

  untilReceived(count: number): Promise<void> {
    return this.until(() => this.received >= count)
  }

  /** Resolves when the server has answered everything that was sent before. */
  async disconnect(): Promise<void> {
    this.#socket.write(Buffer.from([0xe0, 0]))
    if (!this.#closed) await once(this.#socket, 'close')
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Rejects when the connection closes first. */
  async until(done: () => boolean): Promise<void> {
    if (!done()) await new Promise<void>((resolve) => this.#waiters.push({ done, resolve }))
    if (!done()) throw new Error('the connection was closed by the server')
  }

  #wake(): void {
    const ready = this.#waiters.filter((waiter) => this.#closed || waiter.done())
    if (ready.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter))
    for (const waiter of ready) waiter.resolve()
  }

  #onData(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const acknowledgements: number[] = []
    let at = 0
    for (;;) {
      let length = 0
      let begin = at + 1
      let shift = 0
      let byte = 0x80
      while (begin < bytes.length && (byte & 0x80) !== 0) {
        byte = bytes[begin++] as number
        length |= (byte & 0x7f) << shift
        shift += 7
      }
      if ((byte & 0x80) !== 0 || begin + length > bytes.length) break
      this.#onPacket(bytes, at, begin, acknowledgements)
      at = begin + length
    }
    this.#rest = bytes.subarray(at)
    if (acknowledgements.length > 0) this.#socket.write(Buffer.from(acknowledgements))
    this.#wake()
  }

  #onPacket(bytes: Buffer, at: number, begin: number, acknowledgements: number[]): void {
    const head = bytes[at] as number
    const type = head >> 4
    if (type === TYPE.puback) this.acknowledged++
    else if (type === TYPE.publish) {
      if (this.received++ === 0) this.firstAtMs = performance.now()
      this.lastAtMs = performance.now()
      if ((head & 0x06) === 0) return
      const id = begin + 2 + bytes.readUInt16BE(begin)
      acknowledgements.push(0x40, 2, bytes[id] as number, bytes[id + 1] as number)
    } else if (type === TYPE.connack) {
      if (bytes[begin + 1] !== 0) throw new Error(`CONNECT was refused with ${bytes[begin + 1]}`)
      this.sessionPresent = bytes[begin] === 1
      this.#connacks++
    } else if (type === TYPE.suback) this.#subacks++
  }
}

const text = (words: string): Buffer => {
  const bytes = Buffer.from(words)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function packet(head: number, body: Buffer): Buffer {
  const header = [head]
  let left = body.length
  do {
    const low = left & 0x7f
    left >>= 7
    header.push(left > 0 ? low | 0x80 : low)
  } while (left > 0)
  return Buffer.concat([Buffer.from(header), body])
}
