// SPDX-License-Identifier: Apache-2.0
// Passwords as they are stored, and the check of one against its stored form.
//
//   scrypt := 'scrypt$' N '$' r '$' p '$' salt '$' key                                       salt, key, stored key, server key: base64
//   scram  := 'SCRAM-SHA-' ('256' | '512') '$' iterations ':' salt '$' stored key ':' server key           (RFC 5803, as PostgreSQL writes it)
import type { HashDigest, Hashing, ScryptCost } from './port/hashing.ts'
import { saslprep } from './saslprep.ts'

export interface ScryptPassword {
  readonly kind: 'scrypt'
  readonly cost: ScryptCost
  readonly salt: Buffer
  readonly key: Buffer
}

/** A verifier of RFC 5802: who has it can check a client, but not be one. */
export interface ScramPassword {
  readonly kind: 'scram'
  readonly digest: HashDigest
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export type StoredPassword = ScryptPassword | ScramPassword

/** 32 MiB and some 60 ms of one core. */
export const SCRYPT_COST: ScryptCost = Object.freeze({ rounds: 32_768, blockSize: 8, parallel: 1 })
export const SALT_BYTES = 16
const SCRYPT_KEY_BYTES = 32

/** Bounds on what a stored form may cost to check. */
const ROUNDS_MAX = 1_048_576
const BLOCK_SIZE_MAX = 32
const PARALLEL_MAX = 16
const MEMORY_BYTES_MAX = 256 * 1024 * 1024
/** RFC 7677 section 4. */
export const ITERATIONS_MIN = 4_096
/** What a guess costs who has stolen the hashes; a client pays it at each login. */
export const ITERATIONS_DEFAULT = 16_384
export const ITERATIONS_MAX = 10_000_000

export const DIGEST_BYTES: Readonly<Record<HashDigest, number>> = Object.freeze({ sha256: 32, sha512: 64 })
const SCRAM_NAMES: Readonly<Record<HashDigest, string>> = Object.freeze({ sha256: 'SCRAM-SHA-256', sha512: 'SCRAM-SHA-512' })

const BASE64 = '((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)'
const SCRYPT = new RegExp(String.raw`^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$${BASE64}\$${BASE64}$`)
const SCRAM = new RegExp(String.raw`^SCRAM-SHA-(256|512)\$(\d{1,8}):${BASE64}\$${BASE64}:${BASE64}$`)

/** Undefined when the text is no stored password, or one that would cost too much, or too little, to check. */
export function parseStoredPassword(text: string): StoredPassword | undefined {
  const scrypt = SCRYPT.exec(text)
  if (scrypt !== null) return parseScrypt(scrypt)
  const scram = SCRAM.exec(text)
  return scram === null ? undefined : parseScram(scram)
}

function parseScrypt(match: RegExpExecArray): ScryptPassword | undefined {
  const [rounds, blockSize, parallel] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const [salt, key] = [fromBase64(match[4]), fromBase64(match[5])]
  const isPower = rounds >= 2 && rounds <= ROUNDS_MAX && Number.isInteger(Math.log2(rounds))
  if (!isPower || blockSize < 1 || blockSize > BLOCK_SIZE_MAX || parallel < 1 || parallel > PARALLEL_MAX) return undefined
  if (128 * rounds * blockSize > MEMORY_BYTES_MAX || salt.length === 0 || key.length < 16 || key.length > 64) return undefined
  return { kind: 'scrypt', cost: { rounds, blockSize, parallel }, salt, key }
}

function parseScram(match: RegExpExecArray): ScramPassword | undefined {
  const digest = match[1] === '256' ? 'sha256' : 'sha512'
  const iterations = Number(match[2])
  const [salt, storedKey, serverKey] = [fromBase64(match[3]), fromBase64(match[4]), fromBase64(match[5])]
  if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX || salt.length === 0) return undefined
  if (storedKey.length !== DIGEST_BYTES[digest] || serverKey.length !== DIGEST_BYTES[digest]) return undefined
  return { kind: 'scram', digest, iterations, salt, storedKey, serverKey }
}

export function formatStoredPassword(stored: StoredPassword): string {
  if (stored.kind === 'scrypt') {
    const { rounds, blockSize, parallel } = stored.cost
    return `scrypt$${rounds}$${blockSize}$${parallel}$${toBase64(stored.salt)}$${toBase64(stored.key)}`
  }
  const { digest, iterations, salt, storedKey, serverKey } = stored
  return `${SCRAM_NAMES[digest]}$${iterations}:${toBase64(salt)}$${toBase64(storedKey)}:${toBase64(serverKey)}`
}

/** Rejects with quotaExceeded. */
export async function hashWithScrypt(hashing: Hashing, password: Buffer, salt: Buffer): Promise<ScryptPassword> {
  const key = await hashing.scrypt(password, salt, SCRYPT_COST, SCRYPT_KEY_BYTES)
  return { kind: 'scrypt', cost: SCRYPT_COST, salt, key }
}

/** Rejects with quotaExceeded. */
export async function hashForScram(
  hashing: Hashing,
  digest: HashDigest,
  password: Buffer,
  salt: Buffer,
  iterations: number,
): Promise<ScramPassword> {
  const salted = await hashing.pbkdf2(prepared(password), salt, iterations, digest)
  const storedKey = hashing.hash(digest, hashing.hmac(digest, salted, 'Client Key'))
  return { kind: 'scram', digest, iterations, salt, storedKey, serverKey: hashing.hmac(digest, salted, 'Server Key') }
}

/** Whether `password` is the one that was stored. Rejects with quotaExceeded. */
export async function verifyPassword(hashing: Hashing, password: Buffer, stored: StoredPassword): Promise<boolean> {
  if (stored.kind === 'scrypt') {
    return hashing.isEqual(await hashing.scrypt(password, stored.salt, stored.cost, stored.key.length), stored.key)
  }
  const { digest, salt, iterations, storedKey } = stored
  return hashing.isEqual((await hashForScram(hashing, digest, password, salt, iterations)).storedKey, storedKey)
}

/** SCRAM prepares passwords; one that cannot be prepared stands for itself. */
function prepared(password: Buffer): Buffer {
  const text = password.toString('utf8')
  const form = saslprep(text)
  return form === undefined || !Buffer.from(text, 'utf8').equals(password) ? password : Buffer.from(form, 'utf8')
}

const toBase64 = (bytes: Buffer): string => bytes.toString('base64')
const fromBase64 = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64')
