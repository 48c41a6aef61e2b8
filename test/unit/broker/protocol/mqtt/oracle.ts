// SPDX-License-Identifier: Apache-2.0
// What the reader and mqtt-packet make of a packet, in one form.
import assert from 'node:assert/strict'
import { type IConnectPacket, type IPublishPacket, type Packet, parser, type UserProperties } from 'mqtt-packet'
import { encodePublish, OutgoingPublish, type ProtocolVersion, type UserProperty } from '../../../../../src/broker/protocol/mqtt/index.ts'
import type { Recorded } from './recorder.ts'

/** As mqtt-packet gathers them: by name, where an empty first value is forgotten when another one follows. */
function gathered(list: readonly UserProperty[]): Map<string, string[]> {
  const byName = new Map<string, string[]>()
  for (const [name, value] of list) {
    const values = byName.get(name)
    if (values === undefined || (values.length === 1 && values[0] === '')) byName.set(name, [value])
    else values.push(value)
  }
  return byName
}

function gatheredByOracle(properties: { userProperties?: UserProperties } | undefined): Map<string, string[]> {
  return new Map(Object.entries(properties?.userProperties ?? {}).map(([name, value]) => [name, [value].flat()]))
}

/** The forwarded properties of a PUBLISH or will, as mqtt-packet reads them. */
export function forwardedByOracle(properties: IPublishPacket['properties']): object {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData } = properties ?? {}
  return { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties: gatheredByOracle(properties) }
}

/** The same from headers, which are put into a PUBLISH of their own to be read. */
function forwardedHeaders(headers: Buffer): object {
  const carrier = Object.assign(new OutgoingPublish(), { topic: Buffer.from('t'), headers, headersEnd: headers.length })
  const found = oracleReads(5, encodePublish(5, carrier)?.bytes as Buffer)
  assert.ok(!(found instanceof Error), 'mqtt-packet reads the headers')
  return forwardedByOracle((found as IPublishPacket).properties)
}

/** One packet, read by mqtt-packet. It must be alone: mqtt-packet looks past the end of a short DISCONNECT. */
export function oracleReads(level: ProtocolVersion, bytes: Buffer): Packet | Error | undefined {
  let found: Packet | Error | undefined
  const oracle = parser({ protocolVersion: level })
  oracle.on('packet', (packet) => {
    found ??= packet
  })
  oracle.on('error', (error: Error) => {
    found ??= error
  })
  oracle.parse(bytes)
  return found
}

type Fields = Readonly<Record<string, unknown>>

export function comparable(call: Recorded, level: ProtocolVersion): Fields {
  switch (call.call) {
    case 'connect': {
      const { version: protocolVersion, userProperties: list, will, ...rest } = call.packet
      const { headers, ...message } = will ?? { headers: Buffer.alloc(0) }
      return { ...rest, protocolVersion, list: gathered(list), will: will && message, headers: forwardedHeaders(headers) }
    }
    case 'publish': {
      const { headers, ...rest } = call
      return { ...rest, headers: forwardedHeaders(Buffer.from(headers, 'hex')) }
    }
    case 'subscribe':
    case 'unsubscribe':
    case 'disconnect':
    case 'auth':
      return { call: call.call, ...call.packet, userProperties: gathered(call.packet.userProperties) }
    default:
      return { ...call, level }
  }
}

export function comparableOracle(found: Packet, level: ProtocolVersion): Fields {
  const list = gatheredByOracle((found as { properties?: { userProperties?: UserProperties } }).properties)
  switch (found.cmd) {
    case 'connect':
      return comparableConnect(found, list)
    case 'publish':
      return {
        call: 'publish',
        dup: found.dup,
        qos: found.qos,
        retain: found.retain,
        topic: found.topic,
        packetId: found.messageId ?? 0,
        topicAlias: found.properties?.topicAlias ?? 0,
        messageExpirySeconds: found.properties?.messageExpiryInterval ?? -1,
        payload: (found.payload as Buffer).toString('hex'),
        headers: forwardedByOracle(found.properties),
      }
    case 'subscribe': {
      const filters = found.subscriptions.map(({ topic: name, qos, nl, rap, rh }) => ({
        filter: name,
        qos,
        noLocal: nl ?? false,
        retainAsPublished: rap ?? false,
        retainHandling: rh ?? 0,
      }))
      return {
        call: 'subscribe',
        packetId: found.messageId,
        identifier: found.properties?.subscriptionIdentifier ?? 0,
        filters,
        userProperties: list,
      }
    }
    case 'unsubscribe':
      return { call: 'unsubscribe', packetId: found.messageId, filters: found.unsubscriptions, userProperties: list }
    case 'disconnect': {
      const { sessionExpiryInterval: sessionExpirySeconds, reasonString } = found.properties ?? {}
      return { call: 'disconnect', reasonCode: found.reasonCode ?? 0, sessionExpirySeconds, reasonString, userProperties: list }
    }
    case 'auth': {
      const { authenticationMethod, authenticationData, reasonString } = found.properties ?? {}
      return { call: 'auth', reasonCode: found.reasonCode, authenticationMethod, authenticationData, reasonString, userProperties: list }
    }
    case 'pingreq':
      return { call: 'pingreq', level }
    default: {
      const type = ['puback', 'pubrec', 'pubrel', 'pubcomp'].indexOf(found.cmd) + 4
      return { call: 'ack', type, packetId: found.messageId, reasonCode: (found as { reasonCode?: number }).reasonCode ?? 0, level }
    }
  }
}

function comparableConnect(found: IConnectPacket, list: Map<string, string[]>): Fields {
  const properties = found.properties ?? {}
  const will = found.will
  const is5 = found.protocolVersion === 5
  return {
    protocolVersion: found.protocolVersion,
    clientId: found.clientId,
    cleanStart: found.clean,
    keepAliveSeconds: found.keepalive,
    userName: found.username,
    password: found.password,
    sessionExpirySeconds: properties.sessionExpiryInterval ?? (is5 || found.clean ? 0 : 0xffff_ffff),
    receiveMaximum: properties.receiveMaximum ?? 0xffff,
    maximumPacketSize: properties.maximumPacketSize ?? 0xffff_ffff,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    requestResponseInformation: properties.requestResponseInformation ?? false,
    requestProblemInformation: properties.requestProblemInformation ?? true,
    authenticationMethod: properties.authenticationMethod,
    authenticationData: properties.authenticationData,
    list,
    will: will && {
      topic: will.topic,
      qos: will.qos,
      retain: will.retain,
      payload: will.payload,
      delaySeconds: will.properties?.willDelayInterval ?? 0,
      messageExpirySeconds: will.properties?.messageExpiryInterval,
    },
    headers: forwardedByOracle(will?.properties as IPublishPacket['properties']),
  }
}
