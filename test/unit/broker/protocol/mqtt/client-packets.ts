// SPDX-License-Identifier: Apache-2.0
// Arbitrary packets that a client may send, in the form of mqtt-packet.
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'
import type { ProtocolVersion } from '../../../../../src/broker/protocol/mqtt/index.ts'

export const version = fc.constantFrom<ProtocolVersion>(3, 4, 5)
export const uint16 = fc.integer({ min: 0, max: 0xffff })
export const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })
export const packetId = fc.integer({ min: 1, max: 0xffff })
const text = fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.replaceAll('\0', '0'))
export const topic = text.map((value) => value.replaceAll(/[+#]/g, '/') || 't')
const filter = fc.oneof(topic, fc.constantFrom('#', '+', 'a/+/b', 'a/#', '/+', '$share/g/+/#'))
export const binary = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

const userProperties = optional(
  fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString')), fc.array(text, { minLength: 1, maxLength: 3 }), {
    minKeys: 1,
    maxKeys: 3,
    noNullPrototype: false,
  }),
)

/** Without members that are undefined: the generator trips over some of them. */
export function record(members: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(members).map((values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)))
}

export const forwarded = {
  payloadFormatIndicator: optional(fc.boolean()),
  contentType: optional(text),
  responseTopic: optional(topic),
  correlationData: optional(binary),
  userProperties,
}
const notes = { reasonString: optional(text), userProperties }

const connect = (level: ProtocolVersion): fc.Arbitrary<object> =>
  fc
    .record({
      clientId: text.map((value) => value || 'c'),
      clean: fc.boolean(),
      keepalive: uint16,
      properties: record({
        sessionExpiryInterval: optional(uint32),
        receiveMaximum: optional(packetId),
        maximumPacketSize: optional(fc.integer({ min: 1, max: 0xffff_ffff })),
        topicAliasMaximum: optional(uint16),
        requestResponseInformation: optional(fc.boolean()),
        requestProblemInformation: optional(fc.boolean()),
        userProperties,
        authenticationMethod: optional(text),
      }),
      will: optional(
        fc.record({
          topic,
          payload: binary,
          qos: fc.constantFrom(0, 1, 2),
          retain: fc.boolean(),
          properties: record({ willDelayInterval: optional(uint32), messageExpiryInterval: optional(uint32), ...forwarded }),
        }),
      ),
      username: optional(text),
      password: optional(binary),
    })
    .map(({ password, ...rest }) => ({
      cmd: 'connect',
      protocolVersion: level,
      protocolId: level === 3 ? 'MQIsdp' : 'MQTT',
      ...rest,
      password: rest.username === undefined ? undefined : password,
    }))

export const publish = fc
  .record({
    topic,
    qos: fc.constantFrom(0, 1, 2),
    dup: fc.boolean(),
    retain: fc.boolean(),
    payload: fc.oneof(binary, fc.constant(Buffer.alloc(200, 'p'))),
    messageId: packetId,
    properties: record({ messageExpiryInterval: optional(uint32), topicAlias: optional(packetId), ...forwarded }),
  })
  .map((packet) => ({ cmd: 'publish', ...packet, dup: packet.dup && packet.qos > 0 }))

export const ack = fc
  .record({ cmd: fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp'), messageId: packetId, properties: optional(record(notes)) })
  .chain((packet) =>
    fc
      .constantFrom(...(packet.cmd === 'puback' || packet.cmd === 'pubrec' ? [0, 0x10, 0x87, 0x97] : [0, 0x92]))
      .map((reasonCode) => ({ ...packet, reasonCode })),
  )

const subscription = fc
  .record({ topic: filter, qos: fc.constantFrom(0, 1, 2), nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) })
  .map((one) => ({ ...one, nl: one.nl && !one.topic.startsWith('$share/') }))

export const subscribe = fc.record({
  cmd: fc.constant('subscribe'),
  messageId: packetId,
  subscriptions: fc.array(subscription, { minLength: 1, maxLength: 4 }),
  properties: record({ subscriptionIdentifier: optional(fc.integer({ min: 1, max: 268_435_455 })), userProperties }),
})

const unsubscribe = fc.record({
  cmd: fc.constant('unsubscribe'),
  messageId: packetId,
  unsubscriptions: fc.array(filter, { minLength: 1, maxLength: 4 }),
  properties: record({ userProperties }),
})

const disconnect = fc.record({
  cmd: fc.constant('disconnect'),
  reasonCode: fc.constantFrom(0, 4, 0x80, 0x99),
  properties: record({ sessionExpiryInterval: optional(uint32), ...notes }),
})

const auth = fc.record({
  cmd: fc.constant('auth'),
  reasonCode: fc.constantFrom(0x18, 0x19),
  properties: record({ ...notes, authenticationData: optional(binary) }).map((values) => ({ ...values, authenticationMethod: 'm' })),
})

/** A packet of a connected client, or its CONNECT, encoded by mqtt-packet. */
export const encoded = version.chain((level) => {
  const packets: fc.Arbitrary<object>[] = [
    connect(level),
    publish,
    publish,
    ack,
    subscribe,
    unsubscribe,
    disconnect,
    fc.constant({ cmd: 'pingreq' }),
  ]
  if (level === 5) packets.push(auth)
  return fc.oneof(...packets).map((packet) => ({ level, bytes: generate(packet as Packet, { protocolVersion: level }) }))
})
