// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ADMISSION_OF_NODE } from '#base/config/listener'
import { loadConfig } from '#base/config/load'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { formatStoredPassword, hashWithScrypt } from '#base/password'
import type { Hashing } from '#base/port/hashing'
import type { LogFields } from '#base/port/logger'
import { CryptoRandom, NodeHashing } from '#runtime'
import type { Authenticator } from '../../../../src/broker/security/authenticator.ts'
import { AuthenticatorChain } from '../../../../src/broker/security/authenticator-chain.ts'
import { Security, type SecuritySettings, securitySettings } from '../../../../src/broker/security/security.ts'

const ADDRESS = '192.0.2.1'

function settingsOf(security: Readonly<Record<string, unknown>>): SecuritySettings {
  const outcome = loadConfig({ file: { name: 'test.toml', text: '', table: { security } } })
  assert.ok(outcome.kind === 'loaded', JSON.stringify(outcome))
  return securitySettings(outcome.config)
}

function newSecurity(given: Readonly<Record<string, unknown>>, hashing: Hashing = new NodeHashing(16)) {
  const lines: { message: string; fields: LogFields | undefined }[] = []
  const counts = new Map<string, number>()
  let nowMs = 0
  const logger = {
    log: (_level: string, message: string, fields?: LogFields) => void lines.push({ message, fields }),
    scope: () => logger,
  }
  const counter = (name: string) => ({ add: (count: number) => void counts.set(name, (counts.get(name) ?? 0) + count) })
  const metrics = {
    logins: {
      accepted: counter('accepted'),
      refused: counter('refused'),
      throttled: counter('throttled'),
      busy: counter('busy'),
      failed: counter('failed'),
    },
    denied: {
      publish: counter('publish'),
      subscribe: counter('subscribe'),
      will: counter('will'),
      delayed: counter('delayed'),
      session: counter('session'),
    },
  }
  const clock = { monotonic: () => nowMs, realtime: () => nowMs, after: () => ({ cancel: () => undefined }), endOfTurn: () => undefined }
  const security = new Security({ clock, random: new CryptoRandom(), hashing, logger }, metrics, settingsOf(given))
  const login = async (userName: string, password: string): Promise<string> =>
    (await security.login({ userName, password: Buffer.from(password) }, ADDRESS)).kind
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { security, login, pass, lines, counts }
}

/** Counts what is derived, and derives nothing. */
class CountingHashing extends NodeHashing {
  derivations = 0

  override async scrypt(): Promise<Buffer> {
    this.derivations++
    return Buffer.alloc(32)
  }
}

const ANN = { user_name: 'ann', password: 'wonderland' }

test('a user is let in with the password and no other, and what happened is counted', async () => {
  const stored = await hashWithScrypt(new NodeHashing(1), Buffer.from('builder'), Buffer.from('salt'))
  const { login, counts } = newSecurity({ users: [ANN, { user_name: 'bob', password_hash: formatStoredPassword(stored) }] })
  assert.deepEqual(
    [
      await login('ann', 'wonderland'),
      await login('ann', 'builder'),
      await login('bob', 'builder'),
      await login('bob', ''),
      await login('eve', 'x'),
    ],
    ['accepted', 'refused', 'accepted', 'refused', 'refused'],
  )
  assert.deepEqual([counts.get('accepted'), counts.get('refused')], [2, 3])
})

test('whoever tries, one derivation is made: how long it takes does not tell who exists', async () => {
  const hashing = new CountingHashing(1)
  const hash = `scrypt$16384$8$1$c2FsdA==$${Buffer.alloc(32, 1).toString('base64')}`
  const { login } = newSecurity({ users: [ANN, { user_name: 'bob', password_hash: hash }] }, hashing)
  for (const userName of ['ann', 'bob', 'eve']) {
    const before = hashing.derivations
    assert.equal(await login(userName, 'x'), 'refused')
    assert.equal(hashing.derivations, before + 1, userName)
  }
})

test('after wrong passwords even the right one has to wait, and none is looked at', async () => {
  const { login, pass, lines, counts } = newSecurity({ users: [ANN], login_attempts_max: 2 })
  assert.deepEqual(
    [await login('ann', 'x'), await login('ann', 'y'), await login('ann', 'wonderland')],
    ['refused', 'refused', 'throttled'],
  )
  pass(1000)
  assert.equal(await login('ann', 'wonderland'), 'accepted')
  assert.equal(counts.get('throttled'), 1)
  assert.equal(lines.filter(({ fields }) => fields?.['wait_ms'] === 1000).length, 1)
})

test('the longest wait is a setting, and so is the number of attempts; both can change while it runs', async () => {
  const { login, pass, security, lines } = newSecurity({ users: [ANN], login_attempts_max: 1, login_backoff_max: '1500ms' })
  const waits = (): readonly unknown[] => lines.flatMap(({ fields }) => fields?.['wait_ms'] ?? [])
  for (const waitMs of [1000, 1500, 1500]) {
    await login('ann', 'x')
    pass(waitMs)
  }
  assert.deepEqual(waits(), [1000, 1500, 1500])
  security.reload(settingsOf({ users: [ANN], login_attempts_max: 0 }))
  for (let at = 0; at < 20; at++) assert.equal(await login('ann', 'x'), 'refused')
})

test('no password, right or wrong, is in any line of the log', async () => {
  const { login, lines, security } = newSecurity({ users: [ANN], login_attempts_max: 1 })
  for (const password of ['wonderland', 'guess-1', 'guess-2']) await login('ann', password)
  security.reload(settingsOf({ users: [{ user_name: 'ann', password: 'another' }] }))
  assert.ok(lines.length > 2)
  for (const word of ['wonderland', 'guess', 'another']) assert.ok(!JSON.stringify(lines).includes(word), word)
})

test('too many who wait are told that the server is busy, and it counts as no attempt', async () => {
  const hashing = new CountingHashing(1)
  hashing.scrypt = () => Promise.reject(new PlatformError(ERROR_CODES.quotaExceeded, 'too many'))
  const hash = `scrypt$16384$8$1$c2FsdA==$${Buffer.alloc(32, 1).toString('base64')}`
  const { login } = newSecurity({ users: [{ user_name: 'bob', password_hash: hash }], login_attempts_max: 1 }, hashing)
  for (let at = 0; at < 5; at++) assert.equal(await login('bob', 'x'), 'busy')
})

test('the first authenticator that knows the user decides, and one that fails refuses', async () => {
  const { security } = newSecurity({})
  assert.equal(security.hasUsers, false)
  const account = { userName: 'ann', source: 'users' as const, superuser: false, revision: '', stored: undefined }
  const says = (verdict: Awaited<ReturnType<Authenticator['check']>>): Authenticator => ({ name: verdict.kind, check: async () => verdict })
  const fails: Authenticator = { name: 'broken', check: () => Promise.reject(new Error('unreachable')) }
  const logger = { log: () => undefined, scope: () => logger }
  const decide = async (...authenticators: readonly Authenticator[]): Promise<string> =>
    (await new AuthenticatorChain(authenticators, logger).check({ userName: 'ann', password: Buffer.alloc(0) })).kind
  const [accepted, refused, unknown] = [says({ kind: 'accepted', account }), says({ kind: 'refused' }), says({ kind: 'unknown' })]
  assert.equal(await decide(unknown, accepted, refused), 'accepted')
  assert.equal(await decide(unknown, refused, accepted), 'refused')
  assert.equal(await decide(unknown, unknown), 'refused')
  assert.equal(await decide(fails, accepted), 'failed')
  assert.equal(await decide(accepted, fails), 'accepted')
})

test('where there are users, clients without a name are let in only by a deliberate setting', () => {
  assert.equal(newSecurity({}).security.allowsAnonymous(ADMISSION_OF_NODE), true)
  assert.equal(newSecurity({ users: [ANN] }).security.allowsAnonymous(ADMISSION_OF_NODE), false)
  assert.equal(newSecurity({ users: [ANN], allow_anonymous: true }).security.allowsAnonymous(ADMISSION_OF_NODE), true)
})

test('Q22 a review tells who was removed, whose password was changed, and gives others their new account', async () => {
  const { security } = newSecurity({ users: [ANN, { user_name: 'bob', password: 'b' }, { user_name: 'cid', password: 'c' }] })
  const accesses = await Promise.all(
    [
      ['ann', 'wonderland'],
      ['bob', 'b'],
      ['cid', 'c'],
    ].map(async ([userName = '', password = '']) => {
      const verdict = await security.login({ userName, password: Buffer.from(password) }, ADDRESS)
      assert.ok(verdict.kind === 'accepted')
      return security.accessOf({ clientId: userName, userName, address: ADDRESS }, verdict.account)
    }),
  )
  const anonymous = security.accessOf({ clientId: 'x', userName: undefined, address: ADDRESS }, undefined)
  const acl = [{ permission: 'deny', action: 'all' }]
  const changed = security.reload(
    settingsOf({
      users: [
        { user_name: 'bob', password: 'new' },
        { user_name: 'cid', password: 'c', superuser: true },
      ],
      acl,
    }),
  )
  assert.equal(changed, true)
  assert.deepEqual(
    accesses.map((access) => security.review(access)),
    ['removed', 'changed', 'good'],
  )
  assert.equal(accesses[2]?.mayPublish('a', 0, false), true)
  assert.equal(security.review(anonymous), 'removed')
})

test('a reload that changes nothing asks for no review', () => {
  const { security } = newSecurity({ users: [ANN], acl: [{ permission: 'deny', action: 'all', qos: [2] }] })
  const { version } = security
  assert.equal(security.reload(settingsOf({ users: [{ ...ANN }], acl: [{ permission: 'deny', action: 'all', qos: [2] }] })), false)
  assert.equal(security.version, version)
})

test('Q22 a will is fired only if its author is still known and may still publish it', () => {
  const will = {
    topic: 'wills/ann',
    qos: 1,
    retain: false,
    payload: Buffer.alloc(0),
    headers: Buffer.alloc(0),
    delaySeconds: 0,
    messageExpirySeconds: undefined,
  }
  const { security, counts } = newSecurity({
    users: [ANN],
    acl: [{ permission: 'allow', action: 'publish', topics: ['wills/%u'] }],
    acl_default: 'deny',
  })
  const author = { userName: 'ann', source: 'users' as const, address: ADDRESS }
  assert.equal(security.mayPublishLater('will', { clientId: 'c', ...will, author }), true)
  assert.equal(security.mayPublishLater('will', { clientId: 'c', ...will, topic: 'wills/bob', author }), false)
  assert.equal(security.mayPublishLater('will', { clientId: 'c', ...will, author: { ...author, userName: 'bob' } }), false)
  assert.equal(security.mayPublishLater('will', { clientId: 'c', ...will }), false)
  security.reload(settingsOf({ users: [ANN], acl_default: 'deny' }))
  assert.equal(security.mayPublishLater('will', { clientId: 'c', ...will, author }), false)
  assert.equal(counts.get('will'), 4)
})

test('a listener says for its clients whether they may be anonymous, and which name of a certificate is theirs', () => {
  const { security } = newSecurity({ users: [ANN] })
  const certificate = { commonName: 'meter', subject: 'CN=meter,O=Example', dnsNames: [], uris: [], emails: [] }
  const open = { ...ADMISSION_OF_NODE, allowAnonymous: true, identity: 'dn' } as const
  assert.equal(security.allowsAnonymous(open), true)
  assert.equal(security.accountOf(certificate, ADMISSION_OF_NODE), undefined)
  assert.equal(security.accountOf(certificate, open)?.userName, 'CN=meter,O=Example')
  assert.equal(security.accountOf(certificate, { ...open, authenticators: ['password'] }), undefined)
  const review = (admission: typeof open | typeof ADMISSION_OF_NODE, account = security.accountOf(certificate, open)) =>
    security.review(security.accessOf({ clientId: 'c', userName: account?.userName, address: ADDRESS }, account, admission))
  assert.deepEqual([review(open), review(ADMISSION_OF_NODE)], ['good', 'removed'])
  const anonymous = (admission: typeof open | typeof ADMISSION_OF_NODE) =>
    security.review(security.accessOf({ clientId: 'c', userName: undefined, address: ADDRESS }, undefined, admission))
  assert.deepEqual([anonymous(open), anonymous(ADMISSION_OF_NODE)], ['good', 'removed'])
})
