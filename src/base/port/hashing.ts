// SPDX-License-Identifier: Apache-2.0
// Hashing of secrets. What is slow on purpose runs off the loop, and only so much of it at a time.

export type HashDigest = 'sha256' | 'sha512'

/** Cost of scrypt (RFC 7914): `rounds` is N, a power of two; `blockSize` is r; `parallel` is p. Memory is 128 * N * r bytes. */
export interface ScryptCost {
  readonly rounds: number
  readonly blockSize: number
  readonly parallel: number
}

/** The slow ones reject with quotaExceeded when too many wait: a flood of passwords must not fill the memory. */
export interface Hashing {
  scrypt(password: Buffer, salt: Buffer, cost: ScryptCost, length: number): Promise<Buffer>
  /** PBKDF2-HMAC (RFC 8018), as long as the digest. It is the Hi() of SCRAM. */
  pbkdf2(password: Buffer, salt: Buffer, iterations: number, digest: HashDigest): Promise<Buffer>
  hmac(digest: HashDigest, key: Buffer, content: Buffer | string): Buffer
  hash(digest: HashDigest, content: Buffer): Buffer
  /** Takes the same time wherever the bytes differ. */
  isEqual(a: Buffer, b: Buffer): boolean
}
