// SPDX-License-Identifier: Apache-2.0
// Enhanced authentication by AUTH packets (MQTT 5 sections 3.15, 4.12), with SCRAM.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ScramClient, type ScramMethod } from '../../suite/scram-client.ts'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { type Packet, propertyOf } from '../harness/decode.ts'
import { encodeAuth, encodeConnect, encodeDisconnect, encodePublish, encodeSubscribe, PINGREQ, type Properties } from '../harness/wire.ts'

const METHOD = 'SCRAM-SHA-256'
const [CONTINUE, REAUTHENTICATE] = [0x18, 0x19]

const broker = new Broker(
  5,
  [],
  `
[security]
login_attempts_max = 3
[[security.users]]
user_name = "ann"
password = "wonderland"
[[security.users]]
user_name = "bob"
password = "builder"
`,
)

const properties = (data: Buffer | undefined, method: string = METHOD): Properties => [
  ['authenticationMethod', method],
  ...(data === undefined ? [] : [['authenticationData', data] as const]),
]

const dataOf = (packet: Packet): Buffer => {
  assert.ok('properties' in packet, JSON.stringify(packet))
  return propertyOf(packet, 'authenticationData') as Buffer
}

/** Sends CONNECT with the first message. */
async function begin(scram: ScramClient, method: string = METHOD): Promise<Client> {
  const client = await broker.open()
  client.send(encodeConnect({ clientId: broker.name('client'), properties: properties(scram.first(), method) }))
  return client
}

/** Sends what the server's challenge asks for. */
async function answer(client: Client, scram: ScramClient, method: string = METHOD): Promise<void> {
  const challenge = await client.next('auth')
  assert.equal(challenge.reasonCode, CONTINUE)
  assert.equal(propertyOf(challenge, 'authenticationMethod'), method)
  client.send(encodeAuth(CONTINUE, properties(scram.final(dataOf(challenge)), method)))
}

async function authenticated(userName = 'ann', password = 'wonderland'): Promise<Client> {
  const scram = new ScramClient(METHOD, userName, password)
  const client = await begin(scram)
  await answer(client, scram)
  assert.equal((await client.next('connack')).reasonCode, 0)
  return client
}

for (const method of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] satisfies readonly ScramMethod[]) {
  test(`MQTT-4.12.0-2 MQTT-4.12.0-5 ${method}: AUTH with reason 0x18 goes to and fro, CONNACK names the method and proves the server`, async () => {
    const scram = new ScramClient(method, 'ann', 'wonderland')
    const client = await begin(scram, method)
    await answer(client, scram, method)
    const connack = await client.next('connack')
    assert.equal(connack.reasonCode, 0)
    assert.equal(propertyOf(connack, 'authenticationMethod'), method)
    assert.equal(scram.trusts(dataOf(connack)), true)
    assert.deepEqual(await client.subscribe('a/b'), [0])
  })
}

test('MQTT-4.12.0-1 a method that is not supported is answered with 0x8C', async () => {
  for (const method of ['PLAIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS', 'scram-sha-256', '']) {
    assert.equal(await broker.refusal({ properties: properties(undefined, method) }), 0x8c, method)
  }
})

test('MQTT-4.12.0-4 a wrong password and an unknown user are answered alike, at the end of the exchange', async () => {
  for (const [userName, password] of [
    ['bob', 'wrong'],
    ['eve', 'wrong'],
  ] as const) {
    const scram = new ScramClient(METHOD, userName, password)
    const client = await begin(scram)
    await answer(client, scram)
    assert.equal(await client.closeReason(), 0x86)
  }
})

test('MQTT-4.12.0-4 data that are no message of the mechanism are answered with 0x87', async () => {
  assert.equal(await broker.refusal({ properties: properties(Buffer.from('n,,n=ann')) }), 0x87)
  assert.equal(await broker.refusal({ properties: properties(Buffer.from('p=tls-exporter,,n=ann,r=abcdefgh')) }), 0x87)
})

test('a client that sends no data in CONNECT is asked for its first message', async () => {
  const scram = new ScramClient(METHOD, 'ann', 'wonderland')
  const client = await broker.open()
  client.send(encodeConnect({ clientId: broker.name('client'), properties: properties(undefined) }))
  const request = await client.next('auth')
  assert.equal(request.reasonCode, CONTINUE)
  assert.equal(propertyOf(request, 'authenticationData'), undefined)
  client.send(encodeAuth(CONTINUE, properties(scram.first())))
  await answer(client, scram)
  assert.equal((await client.next('connack')).reasonCode, 0)
})

test('MQTT-3.1.2-30 between CONNECT and CONNACK a client sends only AUTH and DISCONNECT', async () => {
  const early = [
    PINGREQ,
    encodePublish(5, { topic: 'too/early' }),
    encodeSubscribe(5, 1, [{ filter: 'too/early', options: 0 }]),
    encodeConnect({ clientId: 'again' }),
  ]
  for (const packet of early) {
    const client = await begin(new ScramClient(METHOD, 'ann', 'wonderland'))
    await client.next('auth')
    client.send(packet)
    assert.equal(await client.closeReason(), 0x82)
  }
})

test('MQTT-3.1.2-30 DISCONNECT ends an exchange, and nothing is left of it', async () => {
  const client = await begin(new ScramClient(METHOD, 'ann', 'wonderland'))
  await client.next('auth')
  client.send(encodeDisconnect(0))
  assert.deepEqual(await client.untilClosed(), [])
})

test('what comes along with the last AUTH waits for CONNACK', async () => {
  const scram = new ScramClient(METHOD, 'ann', 'wonderland')
  const client = await begin(scram)
  const challenge = await client.next('auth')
  const last = encodeAuth(CONTINUE, properties(scram.final(dataOf(challenge))))
  client.send(last, encodeSubscribe(5, 7, [{ filter: 'a/b', options: 1 }]), PINGREQ)
  assert.equal((await client.next('connack')).reasonCode, 0)
  assert.deepEqual((await client.take('suback')).reasonCodes, [1])
})

test('MQTT-4.12.0-7 AUTH with another method during the exchange, or with the reason to begin again, is a protocol error', async () => {
  const wrong = [
    (final: Buffer) => encodeAuth(CONTINUE, properties(final, 'SCRAM-SHA-512')),
    (final: Buffer) => encodeAuth(REAUTHENTICATE, properties(final)),
  ]
  for (const encode of wrong) {
    const scram = new ScramClient(METHOD, 'ann', 'wonderland')
    const client = await begin(scram)
    client.send(encode(scram.final(dataOf(await client.next('auth')))))
    assert.equal(await client.closeReason(), 0x82)
  }
})

suite('re-authentication (section 4.12.1)', () => {
  test('MQTT-4.12.1-1 a client proves itself again while its messages go on', async () => {
    const client = await authenticated()
    await client.subscribe('again/#', 1)
    const scram = new ScramClient(METHOD, 'ann', 'wonderland', 'another-nonce')
    client.send(encodeAuth(REAUTHENTICATE, properties(scram.first())))
    const challenge = await client.take('auth')
    assert.equal(challenge.reasonCode, CONTINUE)
    assert.equal(await client.publish('again/1', 'between', { qos: 1 }), 0)
    client.send(encodeAuth(CONTINUE, properties(scram.final(dataOf(challenge)))))
    const done = await client.take('auth')
    assert.equal(done.reasonCode, 0)
    assert.equal(propertyOf(done, 'authenticationMethod'), METHOD)
    assert.equal(scram.trusts(dataOf(done)), true)
    assert.equal((await client.receive()).payload, 'between')
    assert.equal(client.closed, false)
  })

  test('MQTT-4.12.1-2 one that fails, or that would make it another user, ends the connection with 0x87', async () => {
    for (const [userName, password] of [
      ['ann', 'wrong'],
      ['bob', 'builder'],
    ] as const) {
      const client = await authenticated()
      const scram = new ScramClient(METHOD, userName, password)
      client.send(encodeAuth(REAUTHENTICATE, properties(scram.first())))
      await answer(client, scram)
      assert.equal(await client.closeReason(), 0x87)
    }
  })

  const OUT_OF_PLACE: readonly (readonly [name: string, packets: (first: Buffer) => readonly Buffer[]])[] = [
    ['with another method', (first) => [encodeAuth(REAUTHENTICATE, properties(first, 'SCRAM-SHA-512'))]],
    ['that continues nothing', (first) => [encodeAuth(CONTINUE, properties(first))]],
    ['twice at a time', (first) => [encodeAuth(REAUTHENTICATE, properties(first)), encodeAuth(REAUTHENTICATE, properties(first))]],
  ]
  for (const [name, packets] of OUT_OF_PLACE) {
    test(`MQTT-4.12.1-1 AUTH ${name} is a protocol error`, async () => {
      const client = await authenticated()
      client.send(...packets(new ScramClient(METHOD, 'ann', 'wonderland').first()))
      const packets5 = await client.untilClosed()
      assert.equal((packets5.at(-1) as { reasonCode?: number }).reasonCode, 0x82)
    })
  }

  test('MQTT-4.12.0-6 a client that logged in without a method sends no AUTH', async () => {
    const client = await broker.client({ userName: 'ann', password: 'wonderland' })
    client.send(encodeAuth(REAUTHENTICATE, properties(new ScramClient(METHOD, 'ann', 'wonderland').first())))
    assert.equal(await client.closeReason(), 0x82)
  })
})

suite('user name and password (section 3.1.3.5)', () => {
  test('the right password is accepted in every version', async () => {
    for (const version of [3, 4, 5] as const) await broker.client({ version, userName: 'ann', password: 'wonderland' })
  })

  test('MQTT-3.1.4-2 a wrong password, an unknown user and none at all are refused', async () => {
    assert.equal(await broker.refusal({ userName: 'cid', password: 'wonderland' }), 0x86)
    assert.equal(await broker.refusal({ userName: 'cid' }), 0x86)
    assert.equal(await broker.refusal({}), 0x87)
    assert.equal(await broker.refusal({ version: 4, userName: 'dee', password: 'wrong' }), 4)
    assert.equal(await broker.refusal({ version: 4 }), 5)
    assert.equal(await broker.refusal({ version: 3, userName: 'dee', password: 'wrong' }), 4)
  })

  test('guessing is slowed down: after some wrong passwords the next attempt is not looked at', async () => {
    const reasons: (number | undefined)[] = []
    // On a slow machine the first waits are over before the next attempt; each is twice as long as the one before.
    while (reasons.at(-1) !== 0x9f && reasons.length < 12)
      reasons.push(await broker.refusal({ userName: 'guessed', password: `guess ${reasons.length}` }))
    assert.deepEqual([reasons.slice(0, 3), reasons.at(-1)], [[0x86, 0x86, 0x86], 0x9f])
  })
})
