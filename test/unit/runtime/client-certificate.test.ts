// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import type { X509Certificate } from 'node:crypto'
import { it } from 'node:test'
import { describeCertificate } from '../../../src/runtime/client-certificate.ts'

const certificate = (subjectAltName: string | undefined, subject: string | undefined, commonName?: unknown): X509Certificate =>
  ({ subject, subjectAltName, toLegacyObject: () => ({ subject: { CN: commonName } }) }) as unknown as X509Certificate

it('alternative names by kind; a name that imitates the list stays one name (CVE-2021-44532)', () => {
  const list = 'DNS:a.example, URI:"urn:x, DNS:evil.example", email:"\\"q\\"@example.org", IP Address:192.0.2.1, DNS:b.example'
  const { dnsNames, uris, emails } = describeCertificate(certificate(list, 'CN=x', 'x'))
  assert.deepEqual(dnsNames, ['a.example', 'b.example'])
  assert.deepEqual(uris, ['urn:x, DNS:evil.example'])
  assert.deepEqual(emails, ['"q"@example.org'])
})

it('a list that cannot be read names nobody', () => {
  for (const list of ['DNS:a.example, nonsense', 'DNS:a.example,DNS:b.example', 'URI:"open', 'DNS:a"b"']) {
    assert.deepEqual(describeCertificate(certificate(list, 'CN=x', 'x')).dnsNames, [], list)
  }
})

it('the subject is written most specific part first', () => {
  assert.equal(describeCertificate(certificate(undefined, 'C=DE\nO=Example\\, Inc\nCN=x', 'x')).subject, 'CN=x,O=Example\\, Inc,C=DE')
})

it('a subject with no common name, or with two, has none', () => {
  const without = describeCertificate(certificate('DNS:a.example', undefined))
  assert.deepEqual([without.commonName, without.subject, without.dnsNames], [undefined, '', ['a.example']])
  assert.equal(describeCertificate(certificate(undefined, 'CN=a\nCN=b', ['a', 'b'])).commonName, undefined)
})
