// SPDX-License-Identifier: Apache-2.0
// The client's side of SCRAM (RFC 5802), written from the specification and not from the server.
import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

export type ScramMethod = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export class ScramClient {
  readonly #digest: 'sha256' | 'sha512'
  readonly #password: string
  readonly #header: string
  readonly #bare: string
  readonly #nonce: string
  #serverSignature = ''

  constructor(method: ScramMethod, userName: string, password: string, nonce = 'fyko+d2lbbFgONRv9qkxdawL', header = 'n,,') {
    this.#digest = method === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
    this.#password = password
    this.#header = header
    this.#nonce = nonce
    this.#bare = `n=${userName.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`
  }

  first(): Buffer {
    return Buffer.from(this.#header + this.#bare)
  }

  /** Answers the server's first message. */
  final(serverFirst: Buffer): Buffer {
    const challenge = serverFirst.toString()
    const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge) ?? []
    assert.ok(nonce.startsWith(this.#nonce) && nonce.length > this.#nonce.length, 'the server adds to the nonce of the client')
    const length = this.#digest === 'sha256' ? 32 : 64
    const salted = pbkdf2Sync(this.#password.normalize('NFKC'), Buffer.from(salt, 'base64'), Number(iterations), length, this.#digest)
    const clientKey = this.#hmac(salted, 'Client Key')
    const storedKey = createHash(this.#digest).update(clientKey).digest()
    const withoutProof = `c=${Buffer.from(this.#header).toString('base64')},r=${nonce}`
    const signed = `${this.#bare},${challenge},${withoutProof}`
    const signature = this.#hmac(storedKey, signed)
    this.#serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), signed).toString('base64')
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] as number)))
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** Whether the server has proven that it knows the password, too. */
  trusts(serverFinal: Buffer | undefined): boolean {
    return serverFinal?.toString() === `v=${this.#serverSignature}`
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#digest, key).update(text).digest()
  }
}
