// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatStoredPassword, hashForScram, hashWithScrypt, ITERATIONS_MIN } from '#base/password'
import { CryptoRandom, NodeHashing } from '#runtime'
import type { ExchangeStep } from '../../../../src/broker/security/authenticator.ts'
import { beginScram, type ScramExchange } from '../../../../src/broker/security/scram/scram-exchange.ts'
import { type UserSettings, UserTable } from '../../../../src/broker/security/user-table.ts'
import { ScramClient, type ScramMethod } from '../../../suite/scram-client.ts'

const METHODS: readonly ScramMethod[] = ['SCRAM-SHA-256', 'SCRAM-SHA-512']
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const SECRET = Buffer.from('the secret of the server')
const hashing = new NodeHashing(16)

const begin = (method: string, users: UserSettings): ScramExchange => {
  const ground = { hashing, random: new CryptoRandom(), users: new UserTable(users), iterations: ITERATIONS_MIN, secret: SECRET }
  const exchange = beginScram(method, ground)
  assert.ok(exchange !== undefined, `${method} is known`)
  return exchange
}

async function challenged(exchange: ScramExchange, first: Buffer): Promise<Buffer> {
  const step = await exchange.respond(first)
  assert.ok(step.kind === 'challenge' && step.data !== undefined, JSON.stringify(step))
  return step.data
}

async function run(exchange: ScramExchange, client: ScramClient): Promise<ExchangeStep> {
  return exchange.respond(client.final(await challenged(exchange, client.first())))
}

test('RFC 7677 section 3: the client of these tests writes what the specification writes', () => {
  const client = new ScramClient('SCRAM-SHA-256', 'user', 'pencil', 'rOprNGfwEbeRWgbNEkqO')
  assert.equal(client.first().toString(), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
  const serverFirst = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'
  const final = client.final(Buffer.from(serverFirst)).toString()
  assert.equal(final, 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=')
  assert.equal(client.trusts(Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')), true)
})

for (const method of METHODS) {
  const digest = method === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'

  test(`RFC 5802 ${method} lets a client in that knows the password, and proves itself to it`, async () => {
    const stored = await hashForScram(hashing, digest, Buffer.from('pencil'), SALT, ITERATIONS_MIN)
    for (const user of [{ password: 'pencil' }, { passwordHash: formatStoredPassword(stored) }]) {
      const client = new ScramClient(method, 'user', 'pencil')
      const step = await run(begin(method, [{ userName: 'user', ...user }]), client)
      assert.ok(step.kind === 'accepted', JSON.stringify(step))
      assert.equal(step.account.userName, 'user')
      assert.equal(client.trusts(step.data), true)
    }
  })

  test(`RFC 5802 ${method} refuses a wrong password, an unknown user, and one whose hash is of another mechanism, all alike`, async () => {
    const other = await hashForScram(hashing, digest === 'sha256' ? 'sha512' : 'sha256', Buffer.from('pencil'), SALT, ITERATIONS_MIN)
    const scrypt = await hashWithScrypt(hashing, Buffer.from('pencil'), SALT)
    const users: UserSettings = [
      { userName: 'user', password: 'pencil' },
      { userName: 'other', passwordHash: formatStoredPassword(other) },
      { userName: 'scrypt', passwordHash: formatStoredPassword(scrypt) },
    ]
    for (const [userName, password] of [
      ['user', 'pencils'],
      ['nobody', 'pencil'],
      ['other', 'pencil'],
      ['scrypt', 'pencil'],
    ] as const) {
      assert.deepEqual(await run(begin(method, users), new ScramClient(method, userName, password)), { kind: 'refused' }, userName)
    }
  })
}

test('an unknown user is challenged like a known one, and each time with the same salt', async () => {
  const stored = await hashForScram(hashing, 'sha256', Buffer.from('pencil'), SALT, 5_000)
  const users: UserSettings = [{ userName: 'user', passwordHash: formatStoredPassword(stored) }]
  const challenge = async (userName: string): Promise<string> => {
    const text = await challenged(begin('SCRAM-SHA-256', users), new ScramClient('SCRAM-SHA-256', userName, '').first())
    return text.toString().replace(/^r=[^,]*,/, '')
  }
  const unknown = await challenge('nobody')
  assert.equal(await challenge('nobody'), unknown)
  assert.notEqual(await challenge('somebody'), unknown)
  assert.equal(unknown.length, (await challenge('user')).length)
  assert.match(unknown, /,i=5000$/)
})

test('RFC 5802 section 5.1: a user name with a comma and an equals sign is written with escapes', async () => {
  const client = new ScramClient('SCRAM-SHA-256', 'a=b,c', 'pencil')
  assert.equal((await run(begin('SCRAM-SHA-256', [{ userName: 'a=b,c', password: 'pencil' }]), client)).kind, 'accepted')
})

test('RFC 5802 section 6: a client that could bind to a channel, and knows that the server cannot, is let in', async () => {
  const client = new ScramClient('SCRAM-SHA-256', 'user', 'pencil', undefined, 'y,,')
  assert.equal((await run(begin('SCRAM-SHA-256', [{ userName: 'user', password: 'pencil' }]), client)).kind, 'accepted')
})

const MALFORMED_FIRST = [
  '',
  'n',
  'n,,',
  'n=user,r=abcdefgh',
  'n,,n=user',
  'n,,n=,r=abcdefgh',
  'n,,n=us=er,r=abcdefgh',
  'n,,n=user,r=',
  'n,,n=user,r=abc',
  'n,,n=user,r=abc defgh',
  'n,,r=abcdefgh,n=user',
  'n,,m=x,n=user,r=abcdefgh',
  'n,,n=user,r=abcdefgh,m=x',
  'n,a=other,n=user,r=abcdefgh',
  'p=tls-unique,,n=user,r=abcdefgh',
  'p=tls-exporter,,n=user,r=abcdefgh',
  'x,,n=user,r=abcdefgh',
  'n,,n=us\u0007er,r=abcdefgh',
  `n,,n=user,r=${'a'.repeat(9_000)}`,
]
for (const text of MALFORMED_FIRST) {
  test(`RFC 5802 section 7: the first message '${text.slice(0, 40)}' is not accepted`, async () => {
    const step = await begin('SCRAM-SHA-256', [{ userName: 'user', password: 'pencil' }]).respond(Buffer.from(text))
    assert.equal(step.kind, 'invalid')
  })
}

test('RFC 5802 section 7: a first message that is not UTF-8 is not accepted', async () => {
  const step = await begin('SCRAM-SHA-256', []).respond(Buffer.from('n,,n=\xff\xfe,r=abcdefgh', 'latin1'))
  assert.equal(step.kind, 'invalid')
})

test('RFC 5802 section 5.1: a last message with another nonce, another header, or a cut proof is not accepted', async () => {
  const changes: readonly ((final: string) => string)[] = [
    (final) => final.replace(/r=([^,]*)/, 'r=$1x'),
    (final) => final.replace('c=biws', 'c=eSws'),
    (final) => final.replace(/p=.*/, 'p=AAAA'),
    (final) => final.replace(/,p=.*/, ''),
    () => '',
  ]
  for (const change of changes) {
    const exchange = begin('SCRAM-SHA-256', [{ userName: 'user', password: 'pencil' }])
    const client = new ScramClient('SCRAM-SHA-256', 'user', 'pencil')
    const final = client.final(await challenged(exchange, client.first())).toString()
    assert.equal((await exchange.respond(Buffer.from(change(final)))).kind, 'invalid', change(final))
  }
})

test('a last message that was overheard is worth nothing: the nonce is another one', async () => {
  const users: UserSettings = [{ userName: 'user', password: 'pencil' }]
  const client = new ScramClient('SCRAM-SHA-256', 'user', 'pencil')
  const overheard = client.final(await challenged(begin('SCRAM-SHA-256', users), client.first()))
  const exchange = begin('SCRAM-SHA-256', users)
  await challenged(exchange, client.first())
  assert.equal((await exchange.respond(overheard)).kind, 'invalid')
})

test('RFC 4422 section 3: a client that says nothing at first is asked to begin', async () => {
  const exchange = begin('SCRAM-SHA-256', [{ userName: 'user', password: 'pencil' }])
  assert.deepEqual(await exchange.respond(undefined), { kind: 'challenge', data: undefined })
  assert.equal((await run(exchange, new ScramClient('SCRAM-SHA-256', 'user', 'pencil'))).kind, 'accepted')
})
