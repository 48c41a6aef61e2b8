// SPDX-License-Identifier: Apache-2.0
// Packets of an attacker: whole sessions of valid ones, in which now and then a field holds what it should not.
import {
  type AckType,
  encodeAck,
  encodeAuth,
  encodeConnect,
  encodeDisconnect,
  encodePublish,
  encodeSubscribe,
  encodeUnsubscribe,
  PINGREQ,
  PROPERTIES,
  type Properties,
  type PropertyName,
  type PropertyValue,
  type Version,
} from '../conformance/harness/wire.ts'
import type { Seeded } from './seeded.ts'

/** Few names, so that sessions, takeovers, retained messages and packet ids meet. None of them is one of the bystanders. */
const CLIENT_IDS = ['f0', 'f1', 'f2', 'f3', 'f4', '']
const TOPICS = ['fuzz/a', 'fuzz/b', 'fuzz/a/b', 'fuzz//', '/fuzz', '$fuzz/a', 'fuzz/\u{1f680}', '$delayed/1/fuzz/a']
const FILTERS = ['fuzz/#', 'fuzz/+', '+/+', '#', 'fuzz/a', '$share/g/fuzz/#', '$share/g/fuzz/a', '$exclusive/fuzz/a', '$fuzz/#', '$SYS/#']
const BAD_TEXTS = [Buffer.of(), Buffer.of(0), Buffer.of(0xff), Buffer.of(0xed, 0xa0, 0x80), Buffer.from('a/#/b'), Buffer.from('$share//')]
/** One field in so many is wrong. */
const WRONG = 40

const OF: Readonly<Record<'connect' | 'will' | 'publish' | 'subscribe' | 'ack' | 'disconnect' | 'auth', readonly PropertyName[]>> = {
  connect: [
    ...(['sessionExpiry', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum'] as const),
    ...(['requestResponseInformation', 'requestProblemInformation', 'userProperty'] as const),
  ],
  will: ['willDelay', 'payloadFormat', 'messageExpiry', 'contentType', 'responseTopic', 'correlationData', 'userProperty'],
  publish: ['payloadFormat', 'messageExpiry', 'topicAlias', 'responseTopic', 'correlationData', 'userProperty', 'contentType'],
  subscribe: ['subscriptionIdentifier', 'userProperty'],
  ack: ['reasonString', 'userProperty'],
  disconnect: ['sessionExpiry', 'reasonString', 'userProperty'],
  auth: ['authenticationMethod', 'authenticationData', 'reasonString', 'userProperty'],
}
const ALL = Object.keys(PROPERTIES) as readonly PropertyName[]
const ACKS: readonly AckType[] = ['puback', 'pubrec', 'pubrel', 'pubcomp']

/** The packets of one connection, in the order in which a client would send them. */
export function attackSession(chance: Seeded): Buffer[] {
  const version = chance.pick<Version>([3, 4, 4, 5, 5, 5, 5])
  const packets = chance.once(30) ? [] : [connectPacket(chance, version)]
  packets.push(...chance.list(16, () => laterPacket(chance, version)))
  if (chance.once(3))
    packets.push(encodeDisconnect(version === 5 ? chance.pick([0, 4]) : undefined, properties(chance, version, 'disconnect', 2)))
  return packets
}

function connectPacket(chance: Seeded, version: Version): Buffer {
  return encodeConnect({
    version: chance.once(WRONG) ? chance.pick<Version>([3, 4, 5]) : version,
    clientId: text(chance, CLIENT_IDS),
    cleanStart: chance.once(2),
    keepAliveSeconds: chance.pick([0, 0, 1, 60, 65_535]),
    ...(version === 5 ? { properties: [...(properties(chance, version, 'connect', 3) ?? []), ...method(chance)] } : {}),
    ...(chance.once(3) ? { will: will(chance, version) } : {}),
    ...(chance.once(4) ? { userName: text(chance, ['u', '']), ...(chance.once(2) ? { password: chance.bytes(8) } : {}) } : {}),
    ...(chance.once(WRONG) ? { flags: chance.below(256) } : {}),
    ...(chance.once(WRONG) ? { level: chance.below(256) } : {}),
    ...(chance.once(WRONG) ? { protocolName: chance.pick(['', 'MQIsdp', 'MQTT', 'HTTP']) } : {}),
  })
}

/** Enhanced authentication, which no session of an attacker completes. */
const method = (chance: Seeded): Properties =>
  chance.once(15)
    ? [
        ['authenticationMethod', chance.pick(['SCRAM-SHA-256', 'none'])],
        ['authenticationData', chance.bytes(40)],
      ]
    : []

const will = (chance: Seeded, version: Version) => ({
  topic: text(chance, TOPICS),
  payload: chance.bytes(20),
  qos: qos(chance),
  retain: chance.once(3),
  properties: properties(chance, version, 'will', 3) ?? [],
})

function laterPacket(chance: Seeded, version: Version): Buffer {
  const kind = chance.below(20)
  if (kind < 7) return publishPacket(chance, version)
  if (kind < 10) {
    const filters = chance.list(3, () => ({ filter: text(chance, FILTERS), options: options(chance, version) }))
    return encodeSubscribe(version, packetId(chance), filters, properties(chance, version, 'subscribe', 2))
  }
  if (kind < 11)
    return encodeUnsubscribe(
      version,
      packetId(chance),
      chance.list(3, () => text(chance, FILTERS)),
    )
  if (kind < 16) return ackPacket(chance, version)
  if (kind < 18) return PINGREQ
  if (kind < 19) return encodeAuth(chance.pick([0, 0x18, 0x19]), properties(chance, 5, 'auth', 3) ?? [])
  return chance.once(4) ? connectPacket(chance, version) : PINGREQ
}

function publishPacket(chance: Seeded, version: Version): Buffer {
  return encodePublish(version, {
    topic: text(chance, TOPICS),
    payload: chance.once(50) ? Buffer.alloc(chance.below(100_000), 0x78) : chance.bytes(40),
    qos: qos(chance),
    packetId: packetId(chance),
    retain: chance.once(5),
    dup: chance.once(8),
    properties: properties(chance, version, 'publish', 4) ?? [],
  })
}

function ackPacket(chance: Seeded, version: Version): Buffer {
  const type = chance.pick(ACKS)
  if (version !== 5 || chance.once(2)) return encodeAck(type, packetId(chance))
  const reasonCode = chance.once(WRONG)
    ? chance.below(256)
    : chance.pick(type === 'puback' || type === 'pubrec' ? [0, 0x10, 0x80, 0x97] : [0, 0x92])
  return encodeAck(type, packetId(chance), reasonCode, properties(chance, version, 'ack', 2))
}

const text = (chance: Seeded, pool: readonly string[]): string | Buffer => (chance.once(WRONG) ? chance.pick(BAD_TEXTS) : chance.pick(pool))
const qos = (chance: Seeded): number => (chance.once(WRONG) ? 3 : chance.below(3))
const packetId = (chance: Seeded): number => (chance.once(WRONG) ? chance.below(65_536) : 1 + chance.below(6))
const options = (chance: Seeded, version: Version): number =>
  chance.once(WRONG) ? chance.below(256) : chance.below(3) + (version === 5 ? chance.pick([0, 0x08, 0x10, 0x20]) : 0)

function properties(chance: Seeded, version: Version, owner: keyof typeof OF, countMax: number): Properties | undefined {
  if (version !== 5) return undefined
  const found: (readonly [PropertyName, PropertyValue])[] = []
  for (let left = chance.below(countMax + 1); left > 0; left--) {
    const name = chance.pick(chance.once(WRONG) ? ALL : OF[owner])
    if (name === 'userProperty' || chance.once(WRONG) || !found.some(([other]) => other === name))
      found.push([name, propertyValue(chance, name)])
  }
  return found
}

function propertyValue(chance: Seeded, name: PropertyName): PropertyValue {
  switch (PROPERTIES[name][1]) {
    case 'uint8':
      return chance.once(WRONG) ? chance.below(256) : chance.below(2)
    case 'uint16':
      return chance.once(WRONG) ? chance.below(65_536) : 1 + chance.below(8)
    case 'uint32':
      return chance.pick([0, 1, 2, 60, 200, 0xffffffff])
    case 'varint':
      return chance.pick([0, 1, 127, 128, 268_435_455])
    case 'text':
      return chance.once(WRONG) ? chance.pick(BAD_TEXTS) : chance.pick(['fuzz/reply', 'SCRAM-SHA-256', 'x'])
    case 'binary':
      return chance.bytes(20)
    case 'pair':
      return chance.pick([
        ['a', 'b'],
        ['replay-from', 'earliest'],
        ['replay-from', '0'],
      ] as const)
  }
}
