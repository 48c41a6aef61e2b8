// SPDX-License-Identifier: Apache-2.0
// PUBLISH: what a message carries from one client to another (MQTT 5 section 3.3).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { type Publish, propertyOf } from '../harness/decode.ts'
import { encodePublish, type Properties, type Qos } from '../harness/wire.ts'

const broker = new Broker(5)
const QOS: readonly Qos[] = [0, 1, 2]

/** A message on its way through the server, at QoS 1. */
async function relayed(payload: string | Buffer, properties: Properties = [], topic = broker.name()): Promise<Publish> {
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, payload, { qos: 1, properties })
  return subscriber.receive()
}

for (const published of QOS) {
  for (const granted of QOS) {
    test(`MQTT-3.8.4-8 published at QoS ${published}, granted QoS ${granted}, a message comes at QoS ${Math.min(published, granted)}`, async () => {
      const topic = broker.name()
      const subscriber = await broker.client()
      assert.deepEqual(await subscriber.subscribe(topic, granted), [granted], 'MQTT-3.8.4-7: SUBACK tells what is granted')
      const publisher = await broker.client()
      await publisher.publish(topic, 'hello', { qos: published })
      const { packetId, ...message } = await subscriber.receive()
      const qos = Math.min(published, granted)
      assert.deepEqual(message, { type: 'publish', topic, payload: 'hello', qos, dup: false, retain: false, properties: [] })
      assert.equal(packetId > 0, qos > 0, 'MQTT-2.2.1-2: only QoS 0 has no packet id')
    })
  }
}

const UNALTERED: readonly (readonly [clause: string, what: string, properties: Properties])[] = [
  ['MQTT-3.3.2-4', 'the Payload Format Indicator 0', [['payloadFormat', 0]]],
  ['MQTT-3.3.2-4', 'the Payload Format Indicator 1', [['payloadFormat', 1]]],
  ['MQTT-3.3.2-15', 'the Response Topic', [['responseTopic', 'answers/to/me']]],
  ['MQTT-3.3.2-16', 'Correlation Data', [['correlationData', Buffer.from([0, 1, 0xff, 0xfe, 0])]]],
  ['MQTT-3.3.2-16', 'empty Correlation Data', [['correlationData', Buffer.alloc(0)]]],
  ['MQTT-3.3.2-20', 'the Content Type', [['contentType', 'text/plain; charset=utf-8']]],
  ['MQTT-3.3.2-17', 'a user property', [['userProperty', ['name', 'value']]]],
  ['MQTT-3.3.2-17', 'an empty user property', [['userProperty', ['', '']]]],
  ['MQTT-1.5.4-3', 'a zero width no-break space', [['userProperty', ['\ufeffname', '\ufeff']]]],
  [
    'MQTT-3.3.2-18',
    'the order of user properties, equal ones included',
    [
      ['userProperty', ['b', '1']],
      ['userProperty', ['a', '2']],
      ['userProperty', ['b', '3']],
      ['userProperty', ['b', '1']],
      ['userProperty', ['10', '4']],
      ['userProperty', ['9', '5']],
    ],
  ],
  [
    'MQTT-3.3.2-17',
    'all of them at once',
    [
      ['userProperty', ['first', '1']],
      ['contentType', 'c'],
      ['payloadFormat', 1],
      ['userProperty', ['second', '2']],
      ['correlationData', Buffer.from('id')],
      ['responseTopic', 'r'],
      ['userProperty', ['third', '3']],
    ],
  ],
]
for (const [clause, what, properties] of UNALTERED) {
  test(`${clause} ${what} comes unaltered`, async () => {
    assert.deepEqual((await relayed('hello', properties)).properties, properties)
  })
}

test('MQTT-3.3.2-17 properties of the hop are not passed on with those of the message', async () => {
  const properties: Properties = [
    ['userProperty', ['a', '1']],
    ['topicAlias', 5],
    ['contentType', 'c'],
    ['messageExpiry', 100],
    ['userProperty', ['b', '2']],
  ]
  const message = await relayed('hello', properties)
  const expected = properties.filter(([name]) => name !== 'topicAlias' && name !== 'messageExpiry')
  assert.deepEqual(
    message.properties.filter(([name]) => name !== 'messageExpiry'),
    expected,
  )
  assert.equal(propertyOf(message, 'topicAlias'), undefined, 'MQTT-3.1.2-27: this subscriber takes no aliases')
})

for (const [what, payload] of [
  ['empty', Buffer.alloc(0)],
  ['binary', Buffer.from([0, 0xff, 0x80, 0xc0, 0x0a, 0x0d])],
  ['large', Buffer.alloc(500_000, 'large ')],
] as const) {
  test(`3.3.3 a payload that is ${what} comes as it was sent`, async () => {
    assert.equal((await relayed(payload)).payload, payload.toString('latin1'))
  })
}

for (const suffix of ['/', '//', '/ ', ' a b ', '/Caf\u00e9', '/\ufeff', '/\u{1f680}', '/$SYS', '/e\u0301']) {
  test(`MQTT-4.7.3-4 the topic name with '${suffix}' is not normalized`, async () => {
    const topic = `${broker.name()}${suffix}`
    assert.equal((await relayed('hello', [], topic)).topic, topic)
  })
}

test('MQTT-4.7.3-4 topic names differ by case, by slashes and by composition', async () => {
  const topic = broker.name('Topic')
  const subscriber = await broker.client()
  await subscriber.subscribe(`${topic}/\u00e9`, 1)
  const publisher = await broker.client()
  for (const other of [`${topic}/e\u0301`, `/${topic}/\u00e9`, `${topic}/\u00e9/`, `${topic.toLowerCase()}/\u00e9`, `${topic}//\u00e9`])
    await publisher.publish(other, other, { qos: 1 })
  await publisher.publish(`${topic}/\u00e9`, 'end', { qos: 1 })
  assert.equal((await subscriber.receiveUntil('end')).length, 1)
})

test('MQTT-3.3.1-3 DUP is not passed on', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, 'one', { qos: 1, dup: true })
  await publisher.publish(topic, 'two', { qos: 2, dup: true })
  assert.deepEqual(
    [await subscriber.receive(), await subscriber.receive()].map(({ dup, payload }) => [payload, dup]),
    [
      ['one', false],
      ['two', false],
    ],
  )
})

for (const qos of QOS) {
  test(`MQTT-4.6.0-5 MQTT-4.6.0-6 messages of QoS ${qos} come in the order in which they were sent`, async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    const payloads = Array.from({ length: 200 }, (_, at) => `message ${at}`)
    publisher.send(...payloads.map((payload) => encodePublish(5, { topic, payload, qos, packetId: publisher.packetId() })))
    const received: string[] = []
    while (received.length < payloads.length) received.push((await subscriber.receive()).payload)
    assert.deepEqual(received, payloads)
    if (qos > 0) {
      const answers = (await publisher.drain()).map((packet) => 'packetId' in packet && packet.packetId)
      assert.deepEqual(
        answers,
        payloads.map((_, at) => at + 1),
        'MQTT-4.6.0-2 MQTT-4.6.0-3: answers come in that order too',
      )
    }
  })
}

test('MQTT-4.6.0-2 answers to messages of many topics come in the order of the messages', async () => {
  const publisher = await broker.client()
  const count = 100
  publisher.send(
    ...Array.from({ length: count }, (_, at) => encodePublish(5, { topic: broker.name(), qos: at % 3 === 0 ? 2 : 1, packetId: at + 1 })),
  )
  for (let at = 0; at < count; at++) {
    const packet = await publisher.next(at % 3 === 0 ? 'pubrec' : 'puback')
    assert.equal(packet.packetId, at + 1)
  }
})

suite('topic aliases', () => {
  test('MQTT-3.3.2-12 a topic alias stands for the topic it was set to', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const publisher = await broker.client()
    const properties: Properties = [['topicAlias', 1]]
    await publisher.publish(topic, 'sets it', { properties })
    await publisher.publish('', 'uses it', { properties })
    await publisher.publish('', 'uses it at QoS 1', { properties, qos: 1 })
    const messages = await subscriber.receiveUntil('uses it at QoS 1')
    assert.deepEqual(
      messages.map((message) => [message.topic, message.payload]),
      [
        [topic, 'sets it'],
        [topic, 'uses it'],
        [topic, 'uses it at QoS 1'],
      ],
    )
  })

  test('MQTT-3.3.2-12 every alias up to the maximum can be set', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(`${topic}/+`, 1)
    const { client, connack } = await broker.connect()
    const maximum = propertyOf(connack, 'topicAliasMaximum') as number
    for (let alias = 1; alias <= maximum; alias++)
      client.send(encodePublish(5, { topic: `${topic}/${alias}`, properties: [['topicAlias', alias]] }))
    for (let alias = maximum; alias >= 1; alias--)
      client.send(encodePublish(5, { topic: '', payload: `alias ${alias}`, properties: [['topicAlias', alias]] }))
    for (let count = 0; count < 2 * maximum; count++) {
      const { topic: name, payload } = await subscriber.receive()
      assert.ok(payload === '' || payload === `alias ${name.split('/')[1]}`, `${payload} came on ${name}`)
    }
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('3.3.2.3.4 an alias can be set to another topic', async () => {
    const [first, second] = [broker.name(), broker.name()]
    const subscriber = await broker.client()
    await subscriber.subscribe([
      { filter: first, options: 1 },
      { filter: second, options: 1 },
    ])
    const publisher = await broker.client()
    const properties: Properties = [['topicAlias', 7]]
    await publisher.publish(first, '1', { qos: 1, properties })
    await publisher.publish(second, '2', { qos: 1, properties })
    await publisher.publish('', '3', { qos: 1, properties })
    assert.deepEqual(
      (await subscriber.receiveUntil('3')).map(({ topic }) => topic),
      [first, second, second],
    )
  })

  test('MQTT-3.3.2-7 aliases end with their connection', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.publish(topic, 'set', { properties: [['topicAlias', 1]] })
    await client.disconnect()
    const again = await broker.client({ clientId, cleanStart: false })
    again.send(encodePublish(5, { topic: '', payload: 'forgotten', properties: [['topicAlias', 1]] }))
    assert.equal(await again.closeReason(), 0x82)
  })

  test('3.3.2.3.4 aliases of one client mean nothing to another', async () => {
    const setter = await broker.client()
    await setter.publish(broker.name(), 'set', { properties: [['topicAlias', 1]] })
    const other = await broker.client()
    other.send(encodePublish(5, { topic: '', properties: [['topicAlias', 1]] }))
    assert.equal(await other.closeReason(), 0x82)
  })

  test('MQTT-3.1.2-26 MQTT-3.3.2-11 aliases to a client stay within its maximum, and are set before they are used', async () => {
    const [first, second] = [broker.name(), broker.name()]
    const subscriber = await broker.client({ properties: [['topicAliasMaximum', 1]] })
    await subscriber.subscribe([
      { filter: first, options: 1 },
      { filter: second, options: 1 },
    ])
    const publisher = await broker.client()
    for (const topic of [first, second, first, second]) await publisher.publish(topic, topic, { qos: 1 })
    let aliased = ''
    for (const topic of [first, second, first, second]) {
      const message = await subscriber.receive()
      const alias = propertyOf(message, 'topicAlias') ?? 0
      assert.ok(alias === 0 || alias === 1, `alias ${alias}`)
      if (alias === 1 && message.topic !== '') aliased = message.topic
      assert.equal(message.topic === '' ? aliased : message.topic, topic)
    }
  })
})

suite('message expiry', { concurrency: true }, () => {
  test('MQTT-3.3.2-6 a message that is passed on at once keeps its whole life', async () => {
    const life = propertyOf(await relayed('hello', [['messageExpiry', 1000]]), 'messageExpiry') as number
    assert.ok(life >= 999 && life <= 1000, `${life}`)
  })

  test('MQTT-3.3.2-6 the longest life is not mistaken for none', async () => {
    const life = propertyOf(await relayed('hello', [['messageExpiry', 0xffffffff]]), 'messageExpiry') as number
    assert.ok(life >= 0xfffffffe, `${life}`)
  })

  for (const qos of [1, 2] as const) {
    test(`MQTT-3.3.2-5 MQTT-3.3.2-6 of messages at QoS ${qos} that wait for a client, those come that still live, with the life that is left`, async () => {
      const topic = broker.name()
      const away = await broker.persistent()
      await away.client.subscribe(topic, qos)
      await away.client.disconnect()
      const publisher = await broker.client()
      await publisher.publish(topic, 'short-lived', { qos, properties: [['messageExpiry', 1]] })
      await publisher.publish(topic, 'long-lived', { qos, properties: [['messageExpiry', 100]] })
      await publisher.publish(topic, 'short-lived too', { qos, properties: [['messageExpiry', 1]] })
      await publisher.publish(topic, 'for ever', { qos })
      await broker.secondsPass(2)
      const { client } = await broker.persistent({ clientId: away.clientId })
      const messages = await client.receiveUntil('for ever')
      assert.deepEqual(
        messages.map(({ payload }) => payload),
        ['long-lived', 'for ever'],
      )
      const [longLived, forEver] = messages as [Publish, Publish]
      const life = propertyOf(longLived, 'messageExpiry') as number
      assert.ok(life <= 98 && life >= 70, `2 seconds or a little more have passed of 100: ${life}`)
      assert.equal(propertyOf(forEver, 'messageExpiry'), undefined)
    })
  }

  test('MQTT-3.3.2-5 a message that waits for a full window does not outlive its expiry', async () => {
    const topic = broker.name()
    const subscriber = await broker.client({ properties: [['receiveMaximum', 1]] })
    await subscriber.subscribe(topic, 1)
    const publisher = await broker.client()
    await publisher.publish(topic, 'fills the window', { qos: 1 })
    await publisher.publish(topic, 'waits too long', { qos: 1, properties: [['messageExpiry', 1]] })
    await publisher.publish(topic, 'waits', { qos: 1 })
    const first = await subscriber.take('publish')
    await broker.secondsPass(2)
    await subscriber.acknowledge(first)
    assert.deepEqual(
      (await subscriber.receiveUntil('waits')).map(({ payload }) => payload),
      ['waits'],
    )
  })
})
