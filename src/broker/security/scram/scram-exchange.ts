// SPDX-License-Identifier: Apache-2.0
// The server's side of SCRAM (RFC 5802, RFC 7677): the client proves that it knows the password without sending it, and the server that it knew it.
import { hashForScram, SALT_BYTES, type ScramPassword } from '#base/password'
import type { HashDigest, Hashing } from '#base/port/hashing'
import type { Random } from '#base/port/random'
import { saslprep } from '#base/saslprep'
import type { Exchange, ExchangeStep } from '../authenticator.ts'
import type { Account, UserTable } from '../user-table.ts'
import { type ClientFirst, parseClientFinal, parseClientFirst, serverFinal, serverFirst } from './scram-message.ts'

/** By the name of the authentication method. */
const DIGESTS: ReadonlyMap<string, HashDigest> = new Map([
  ['SCRAM-SHA-256', 'sha256'],
  ['SCRAM-SHA-512', 'sha512'],
])

const NONCE_BYTES = 18

/** What exchanges have in common. */
export interface ScramGround {
  readonly hashing: Hashing
  readonly random: Random
  readonly users: UserTable
  /** Of users with plain passwords, and of those that do not exist. */
  readonly iterations: number
  /** Makes the same salt of the same name, which nobody else can. */
  readonly secret: Buffer
}

/** Undefined when the method is none of SCRAM. */
export function beginScram(method: string, ground: ScramGround): ScramExchange | undefined {
  const digest = DIGESTS.get(method)
  return digest === undefined ? undefined : new ScramExchange(method, digest, ground)
}

/** What the proof is checked against. */
interface Challenge {
  readonly first: ClientFirst
  readonly serverFirst: string
  readonly nonce: string
  readonly verifier: ScramPassword
  /** Undefined for a user who does not exist, or cannot use the mechanism: the exchange goes on and fails at its end. */
  readonly account: Account | undefined
}

export class ScramExchange implements Exchange {
  readonly method: string
  readonly #digest: HashDigest
  readonly #ground: ScramGround
  #userName: string | undefined
  #challenge: Challenge | undefined

  constructor(method: string, digest: HashDigest, ground: ScramGround) {
    this.method = method
    this.#digest = digest
    this.#ground = ground
  }

  get userName(): string | undefined {
    return this.#userName
  }

  async respond(data: Buffer | undefined): Promise<ExchangeStep> {
    if (this.#challenge !== undefined) return this.#finish(this.#challenge, data ?? Buffer.alloc(0))
    // A client that says nothing in CONNECT is asked to begin (RFC 4422 section 3).
    return data === undefined ? { kind: 'challenge', data: undefined } : this.#begin(data)
  }

  async #begin(data: Buffer): Promise<ExchangeStep> {
    const first = parseClientFirst(data)
    if ('flaw' in first) return { kind: 'invalid', why: first.flaw }
    const userName = saslprep(first.userName)
    if (userName === undefined) return { kind: 'invalid', why: 'the user name has characters that may not be in it' }
    this.#userName = userName
    const account = this.#ground.users.find(userName)
    const verifier = await this.#verifierOf(account)
    const nonce = first.nonce + this.#ground.random.bytes(NONCE_BYTES).toString('base64')
    const known = verifier ?? this.#decoy(userName)
    const reply = serverFirst(nonce, known.salt, known.iterations)
    this.#challenge = { first, serverFirst: reply, nonce, verifier: known, account: verifier === undefined ? undefined : account }
    return { kind: 'challenge', data: Buffer.from(reply) }
  }

  #finish({ first, serverFirst, nonce, verifier, account }: Challenge, data: Buffer): ExchangeStep {
    const last = parseClientFinal(data)
    if ('flaw' in last) return { kind: 'invalid', why: last.flaw }
    if (last.nonce !== nonce) return { kind: 'invalid', why: 'the nonce is not the one that was given' }
    if (last.channelBinding.toString('utf8') !== first.gs2Header) return { kind: 'invalid', why: 'the channel binding has changed' }
    const { hashing } = this.#ground
    const signed = `${first.bare},${serverFirst},${last.withoutProof}`
    const signature = hashing.hmac(this.#digest, verifier.storedKey, signed)
    if (last.proof.length !== signature.length) return { kind: 'invalid', why: 'the proof has not the length of the digest' }
    const clientKey = Buffer.from(last.proof.map((byte, at) => byte ^ (signature[at] as number)))
    const isProven = hashing.isEqual(hashing.hash(this.#digest, clientKey), verifier.storedKey)
    if (!isProven || account === undefined) return { kind: 'refused' }
    return { kind: 'accepted', account, data: Buffer.from(serverFinal(hashing.hmac(this.#digest, verifier.serverKey, signed))) }
  }

  async #verifierOf(account: Account | undefined): Promise<ScramPassword | undefined> {
    if (account === undefined) return undefined
    const { stored, userName, revision } = account
    if (stored !== undefined) return stored.kind === 'scram' && stored.digest === this.#digest ? stored : undefined
    const { hashing, iterations } = this.#ground
    return hashForScram(hashing, this.#digest, Buffer.from(revision), this.#saltOf(userName), iterations)
  }

  /** What a user who does not exist is told: the same at each attempt, and like what others are told. */
  #decoy(userName: string): ScramPassword {
    const { hashing, secret, users } = this.#ground
    const like = users.firstScram(this.#digest)
    const storedKey = hashing.hmac(this.#digest, secret, `key ${userName}`)
    return {
      kind: 'scram',
      digest: this.#digest,
      iterations: like?.iterations ?? this.#ground.iterations,
      salt: this.#saltOf(userName, like?.salt.length),
      storedKey,
      serverKey: storedKey,
    }
  }

  /** At most as long as a digest. */
  #saltOf(userName: string, length = SALT_BYTES): Buffer {
    const { hashing, secret } = this.#ground
    return hashing.hmac(this.#digest, secret, `salt ${userName}`).subarray(0, length)
  }
}
