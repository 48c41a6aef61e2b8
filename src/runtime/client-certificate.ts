// SPDX-License-Identifier: Apache-2.0
// What a client certificate that has been verified says about its owner, as plain values.
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '#base/port/network'

/** Undefined when the peer has shown none. */
export function clientCertificateOf(socket: TLSSocket): ClientCertificate | undefined {
  const certificate = socket.getPeerX509Certificate()
  return certificate === undefined ? undefined : describeCertificate(certificate)
}

export function describeCertificate(certificate: X509Certificate): ClientCertificate {
  // One line to an attribute, most general first, escaped by RFC 2253. There is no subject at all when the alternative names say everything.
  const attributes = (certificate.subject ?? '').split('\n').filter((line) => line !== '')
  const commonName: unknown = certificate.toLegacyObject().subject?.CN
  const names = parseAlternativeNames(certificate.subjectAltName ?? '')
  const namesOf = (kind: string): readonly string[] => names.flatMap((name) => (name.kind === kind ? [name.value] : []))
  return {
    // A list when there are several: which of them is meant is not for us to guess.
    commonName: typeof commonName === 'string' ? commonName : undefined,
    subject: attributes.reverse().join(','),
    dnsNames: namesOf('DNS'),
    uris: namesOf('URI'),
    emails: namesOf('email'),
  }
}

interface AlternativeName {
  readonly kind: string
  readonly value: string
}

/** A kind, a colon and a value, which is a JSON string wherever it holds anything that could be taken for the list's own signs (CVE-2021-44532). */
const NAME = /([^:,]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y

/** No names at all when the list is not what it is known to be: half of it could say something else. */
function parseAlternativeNames(list: string): readonly AlternativeName[] {
  const names: AlternativeName[] = []
  const pattern = new RegExp(NAME)
  while (pattern.lastIndex < list.length) {
    const match = pattern.exec(list)
    if (match === null) return []
    const [, kind = '', value = ''] = match
    names.push({ kind, value: value.startsWith('"') ? (JSON.parse(value) as string) : value })
  }
  return names
}
