// SPDX-License-Identifier: Apache-2.0
// A packet handler that writes down what it is told, and the ways in which tests feed a reader.
import {
  type AckType,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type PacketHandler,
  PacketReader,
  type ProtocolProblem,
  type PublishView,
  READER_LIMITS,
  type ReaderLimits,
  type SubscribePacket,
  type UnsubscribePacket,
} from '../../../../../src/broker/protocol/mqtt/index.ts'

export interface RecordedPublish {
  readonly call: 'publish'
  readonly dup: boolean
  readonly qos: number
  readonly retain: boolean
  readonly topic: string
  readonly packetId: number
  readonly topicAlias: number
  readonly messageExpirySeconds: number
  readonly headers: string
  readonly payload: string
}

export type Recorded =
  | { readonly call: 'connect'; readonly packet: ConnectPacket }
  | RecordedPublish
  | { readonly call: 'ack'; readonly type: AckType; readonly packetId: number; readonly reasonCode: number }
  | { readonly call: 'subscribe'; readonly packet: SubscribePacket }
  | { readonly call: 'unsubscribe'; readonly packet: UnsubscribePacket }
  | { readonly call: 'pingreq' }
  | { readonly call: 'disconnect'; readonly packet: DisconnectPacket }
  | { readonly call: 'auth'; readonly packet: AuthPacket }
  | { readonly call: 'malformed'; readonly problem: ProtocolProblem }

export class Recorder implements PacketHandler {
  readonly calls: Recorded[] = []
  readonly reader: PacketReader
  /** Runs after a call was written down. */
  after: (call: Recorded) => void = () => {}

  constructor(limits: Partial<ReaderLimits> = {}) {
    this.reader = new PacketReader(this, { ...READER_LIMITS, ...limits })
  }

  onConnect(packet: ConnectPacket): void {
    this.#note({ call: 'connect', packet })
  }

  onPublish(view: PublishView): void {
    this.#note({
      call: 'publish',
      dup: view.dup,
      qos: view.qos,
      retain: view.retain,
      topic: view.topic,
      packetId: view.packetId,
      topicAlias: view.topicAlias,
      messageExpirySeconds: view.messageExpirySeconds,
      headers: view.headers.toString('hex'),
      payload: view.bytes.toString('hex', view.payloadStart, view.payloadEnd),
    })
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    this.#note({ call: 'ack', type, packetId, reasonCode })
  }

  onSubscribe(packet: SubscribePacket): void {
    this.#note({ call: 'subscribe', packet })
  }

  onUnsubscribe(packet: UnsubscribePacket): void {
    this.#note({ call: 'unsubscribe', packet })
  }

  onPingreq(): void {
    this.#note({ call: 'pingreq' })
  }

  onDisconnect(packet: DisconnectPacket): void {
    this.#note({ call: 'disconnect', packet })
  }

  onAuth(packet: AuthPacket): void {
    this.#note({ call: 'auth', packet })
  }

  onMalformed(problem: ProtocolProblem): void {
    this.#note({ call: 'malformed', problem })
  }

  #note(call: Recorded): void {
    this.calls.push(call)
    this.after(call)
  }
}

/** The smallest CONNECT of each version. */
export const CONNECT: Readonly<Record<3 | 4 | 5, Buffer>> = {
  3: bytesOf(packet(0x10, text('MQIsdp'), '03 02 0000', text('c'))),
  4: bytesOf(packet(0x10, text('MQTT'), '04 02 0000', text('c'))),
  5: bytesOf(packet(0x10, text('MQTT'), '05 02 0000 00', text('c'))),
}

/** A recorder whose client has connected with `version`; the CONNECT itself is not among its calls. */
export function connected(version: 3 | 4 | 5, limits: Partial<ReaderLimits> = {}): Recorder {
  const recorder = new Recorder(limits)
  recorder.reader.push(CONNECT[version])
  const [call] = recorder.calls.splice(0)
  if (call?.call !== 'connect' || recorder.calls.length !== 0) throw new Error(`the CONNECT of version ${version} was not accepted`)
  return recorder
}

/** What a connected client's packet, given in hex, comes to. */
export function received(version: 3 | 4 | 5, hex: string, limits: Partial<ReaderLimits> = {}): Recorded | undefined {
  const recorder = connected(version, limits)
  recorder.reader.push(bytesOf(hex))
  return recorder.calls[0]
}

/** The reason code with which a packet is refused; undefined when it is not. */
export function refusal(call: Recorded | undefined): number | undefined {
  return call?.call === 'malformed' ? call.problem.reasonCode : undefined
}

/** Bytes from hex with spaces between fields. */
export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

/** A packet: first byte, remaining length, body. Parts are hex; `text()` makes those with a length. */
export function packet(first: number, ...parts: readonly string[]): string {
  const body = parts.join('').replaceAll(' ', '')
  return Buffer.from([first, ...variableInteger(body.length / 2)]).toString('hex') + body
}

/** Hex of a string with its length. */
export function text(value: string): string {
  const bytes = Buffer.from(value)
  return bytes.length.toString(16).padStart(4, '0') + bytes.toString('hex')
}

/** Hex of a property section. */
export function section(...properties: readonly string[]): string {
  const body = properties.join('').replaceAll(' ', '')
  return Buffer.from(variableInteger(body.length / 2)).toString('hex') + body
}

function variableInteger(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return [...bytes, rest]
}
