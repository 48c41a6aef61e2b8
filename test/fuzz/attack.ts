// SPDX-License-Identifier: Apache-2.0
// One attack: a session damaged in ways that know what a packet is, cut into pieces, and how its connection ends. All of it follows from a seed.
import { connect } from 'node:net'
import { varint } from '../conformance/harness/wire.ts'
import { attackSession } from './attack-packets.ts'
import { Seeded } from './seeded.ts'

export interface Attack {
  readonly chunks: readonly Buffer[]
  /** `end` says that nothing more comes and waits for the server; `destroy` just goes, and does not read what is on its way. */
  readonly ending: 'end' | 'destroy'
  /** Between the last chunk and the end: what comes late enough to be handled, and what is cut off in the middle. */
  readonly lingerMs: number
}

/** How long the server may take to close a connection whose client has closed its half. */
const CLOSE_MS_MAX = 20_000

export function attackOf(seed: number): Attack {
  const chance = new Seeded(seed)
  const packets = attackSession(chance)
  // Some sessions stay valid: they lead others to the places that the damaged ones never reach.
  const damages = chance.once(3) ? 0 : 1 + chance.below(4)
  for (let left = damages; left > 0 && packets.length > 0; left--) damage(chance, packets)
  return { chunks: cut(chance, Buffer.concat(packets)), ending: chance.once(3) ? 'destroy' : 'end', lingerMs: chance.pick([0, 1, 20, 60]) }
}

/** Damages one packet, or the order of two. */
function damage(chance: Seeded, packets: Buffer[]): void {
  const at = chance.below(packets.length)
  const packet = packets[at] as Buffer
  const start = bodyStart(packet)
  const body = packet.subarray(start)
  const reframed = (content: Buffer): Buffer => Buffer.concat([packet.subarray(0, 1), varint(content.length), content])
  switch (chance.below(14)) {
    case 0: // Another type, or other flags.
      packets[at] = Buffer.concat([Buffer.of(chance.below(256)), packet.subarray(1)])
      return
    case 1: // A length that lies.
      packets[at] = Buffer.concat([packet.subarray(0, 1), varint(Math.max(0, body.length + chance.below(9) - 4)), body])
      return
    case 2: // A length that is far too large, or has too many bytes.
      packets[at] = Buffer.concat([packet.subarray(0, 1), chance.pick(LENGTHS), body])
      return
    case 3: // Cut short, and the length says so.
      packets[at] = reframed(body.subarray(0, chance.below(body.length + 1)))
      return
    case 4: // Cut short, and the next packet fills the gap.
      packets[at] = packet.subarray(0, chance.below(packet.length + 1))
      return
    case 5:
      packets[at] = reframed(Buffer.concat([body, chance.bytes(6)]))
      return
    case 6: // Two become one.
      packets.splice(at, 2, reframed(Buffer.concat([body, packets[at + 1] ?? Buffer.of()])))
      return
    case 7:
      packets.splice(at, 0, ...Array.from({ length: 1 + chance.below(4) }, () => packet))
      return
    case 8:
      packets.push(...packets.splice(at, 1))
      return
    case 9:
      packets.splice(at, 1)
      return
    case 10: // A piece moves to another place of its packet: lengths and properties stay plausible.
      packets[at] = reframed(moved(chance, body))
      return
    case 11: {
      const changed = Buffer.from(packet)
      for (let left = 1 + chance.below(3); left > 0; left--) changed[chance.below(changed.length)] = chance.pick(EDGES)
      packets[at] = changed
      return
    }
    case 12: {
      const changed = Buffer.from(packet)
      const place = chance.below(changed.length)
      changed[place] = (changed[place] as number) ^ (1 << chance.below(8))
      packets[at] = changed
      return
    }
    default:
      packets.splice(at, 0, chance.bytes(12))
  }
}

const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0b, 0x23, 0x26]
const LENGTHS = [
  Buffer.of(0xff, 0xff, 0xff, 0x7f),
  Buffer.of(0xff, 0xff, 0xff, 0xff, 0x01),
  Buffer.of(0x80, 0x80, 0x80, 0x00),
  Buffer.of(0x80, 0x00),
  Buffer.of(0x00),
]

function moved(chance: Seeded, body: Buffer): Buffer {
  const [from, to] = [chance.below(body.length + 1), chance.below(body.length + 1)]
  const piece = body.subarray(from, from + 1 + chance.below(8))
  const rest = Buffer.concat([body.subarray(0, from), body.subarray(from + piece.length)])
  return Buffer.concat([rest.subarray(0, to), piece, rest.subarray(to)])
}

function bodyStart(packet: Buffer): number {
  let at = 1
  while (at < packet.length && (packet[at] as number) >= 0x80) at++
  return Math.min(at + 1, packet.length)
}

/** In one piece, in a few, or byte by byte. */
function cut(chance: Seeded, bytes: Buffer): readonly Buffer[] {
  const sizeMax = chance.pick([bytes.length + 1, bytes.length + 1, 200, 20, 1])
  const chunks: Buffer[] = []
  // Byte by byte only as far as it says anything new.
  for (let at = 0; at < bytes.length; ) {
    const size = chunks.length < 100 ? 1 + chance.below(sizeMax) : bytes.length
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

/** Does it. Resolves when the connection is gone; rejects when the server keeps it open. */
export function perform({ chunks, ending, lingerMs }: Attack, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the server has not closed the connection ${CLOSE_MS_MAX} ms after its client did`))
    }, CLOSE_MS_MAX)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.resume()
    const leave = (): unknown => (ending === 'end' ? socket.end() : socket.destroy())
    let at = 0
    const next = (): void => {
      const chunk = chunks[at]
      at++
      if (socket.destroyed) return
      if (chunk !== undefined) socket.write(chunk, () => setImmediate(next))
      else setTimeout(leave, lingerMs)
    }
    socket.on('connect', next)
  })
}
