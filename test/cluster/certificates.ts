// SPDX-License-Identifier: Apache-2.0
// Certificates made for one test, by the openssl command.
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A reason to skip, or false. */
export const withoutOpenssl: string | false = spawnSync('openssl', ['version']).status === 0 ? false : 'there is no openssl command here'

export interface IssueOptions {
  /** In openssl's words: 'DNS:a.example,IP:127.0.0.1'. */
  readonly names?: string
  /** In openssl's words: '/O=Example/CN=meter-7'. */
  readonly subject?: string
  /** From now; negative for a certificate that has expired. */
  readonly days?: number
}

/** Names of the files. */
export interface IssuedPair {
  readonly cert: string
  readonly key: string
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-utf8']

export class Authority {
  /** Its own certificate. */
  readonly cert: string
  readonly #key: string
  readonly #directory: string
  readonly #name: string

  constructor(directory: string, name = 'authority') {
    this.#directory = directory
    this.#name = name
    this.cert = this.#file('root', 'crt')
    this.#key = this.#file('root', 'key')
    openssl('req', '-x509', ...EC_KEY, '-keyout', this.#key, '-out', this.cert, '-days', '2', '-subj', `/CN=${name}`)
  }

  issue(name: string, { names = 'DNS:localhost,IP:127.0.0.1', subject = `/CN=${name}`, days = 2 }: IssueOptions = {}): IssuedPair {
    const [cert, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map((ending) => this.#file(name, ending)) as [
      string,
      string,
      string,
      string,
    ]
    writeFileSync(extensions, `subjectAltName=${names}\n`)
    openssl('req', ...EC_KEY, '-keyout', key, '-out', request, '-subj', subject)
    const issuer = ['-CA', this.cert, '-CAkey', this.#key, '-CAcreateserial']
    openssl('x509', '-req', '-in', request, ...issuer, '-days', String(days), '-extfile', extensions, '-out', cert)
    return { cert, key }
  }

  #file(name: string, ending: string): string {
    return join(this.#directory, `${this.#name}-${name}.${ending}`)
  }
}

/** Puts the content of one pair in the place of another. */
export function replacePair(place: IssuedPair, by: IssuedPair): void {
  copyFileSync(by.cert, place.cert)
  copyFileSync(by.key, place.key)
}

export const readPair = ({ cert, key }: IssuedPair): { readonly cert: Buffer; readonly key: Buffer } => ({
  cert: readFileSync(cert),
  key: readFileSync(key),
})

function openssl(...words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: 'pipe' })
}
