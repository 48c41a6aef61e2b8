// SPDX-License-Identifier: Apache-2.0
// Certificates and keys, checked and made ready for handshakes. What is wrong with a file is told with its path.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KeyPair, PemFile, TlsMaterial } from '#base/port/network'

/** A certificate that can be shown. */
interface Identity {
  readonly certificate: X509Certificate
  readonly context: SecureContext
}

/** All of a listener. */
export interface Identities {
  /** What the server itself is given, for clients that name no host. */
  readonly options: SecureContextOptions
  /** The first of them is the same as `options`. */
  readonly all: readonly Identity[]
}

/** Throws configInvalid. */
export function prepareIdentities({ pair, others, ca }: TlsMaterial): Identities {
  if (ca !== undefined) checkIssuers(ca)
  const optionsOf = ({ cert, key }: KeyPair): SecureContextOptions => ({
    cert: cert.bytes,
    key: key.bytes,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: ca.bytes }),
  })
  const prepare = (each: KeyPair): Identity => {
    const certificate = checkPair(each)
    return { certificate, context: attempt(each.cert, 'use the certificate', () => createSecureContext(optionsOf(each))) }
  }
  return { options: optionsOf(pair), all: [pair, ...others].map(prepare) }
}

/** The certificate for a host name (SNI), by its alternative names, wildcards included. Undefined when none of them is for it. */
export const contextFor = ({ all }: Identities, host: string): SecureContext | undefined =>
  all.find(({ certificate }) => certificate.checkHost(host) !== undefined)?.context

function checkPair({ cert, key }: KeyPair): X509Certificate {
  const certificate = attempt(cert, 'use the certificate', (bytes) => new X509Certificate(bytes))
  const privateKey = attempt(key, 'use the private key', (bytes): KeyObject => createPrivateKey(bytes))
  if (certificate.checkPrivateKey(privateKey)) return certificate
  throw new PlatformError(ERROR_CODES.configInvalid, `the private key ${key.path} is not that of the certificate ${cert.path}`, {
    detail: { cert: cert.path, key: key.path },
  })
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g

/** OpenSSL takes a file without a certificate as an empty list, by which no client could ever be verified. */
function checkIssuers(ca: PemFile): void {
  attempt(ca, 'use the issuers', (bytes) => {
    const blocks = bytes.toString('latin1').match(CERTIFICATE) ?? []
    if (blocks.length === 0) throw new Error('it holds no certificate')
    for (const block of blocks) new X509Certificate(block)
  })
}

function attempt<T>(file: PemFile, tried: string, use: (bytes: Buffer) => T): T {
  try {
    return use(file.bytes)
  } catch (cause) {
    throw new PlatformError(ERROR_CODES.configInvalid, `cannot ${tried} ${file.path}: ${messageOf(cause)}`, {
      detail: { path: file.path },
      cause,
    })
  }
}
