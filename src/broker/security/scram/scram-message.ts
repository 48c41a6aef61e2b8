// SPDX-License-Identifier: Apache-2.0
// The messages of SCRAM (RFC 5802 section 7), as far as a server reads and writes them.
//
//   client-first := gs2-header client-first-bare          gs2-header := ('n' | 'y' | 'p=' name) ',' ['a=' name] ','
//   client-first-bare := 'n=' name ',r=' nonce *(',' extension)
//   server-first := 'r=' nonce ',s=' salt ',i=' iterations
//   client-final := 'c=' channel-binding ',r=' nonce *(',' extension) ',p=' proof
//   server-final := 'v=' signature

export interface ClientFirst {
  /** Comes back in the last message of the client, so that nobody can change it on the way. */
  readonly gs2Header: string
  /** Everything after the header: a part of what is signed. */
  readonly bare: string
  readonly userName: string
  readonly nonce: string
}

export interface ClientFinal {
  readonly channelBinding: Buffer
  readonly nonce: string
  /** Everything before the proof: a part of what is signed. */
  readonly withoutProof: string
  readonly proof: Buffer
}

/** What is wrong with a message. */
export interface Flaw {
  readonly flaw: string
}

const MESSAGE_BYTES_MAX = 8_192
/** Printable ASCII without the comma. */
const NONCE = '[\\x21-\\x2b\\x2d-\\x7e]{8,1024}'
const NAME = '(?:[^\\0,=]|=2C|=3D){1,1024}'
const EXTENSIONS = '(?:,[A-Za-z]=[^\\0,]+)*'
const BASE64 = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'

const CLIENT_FIRST = new RegExp(`^((n|y|p=[A-Za-z0-9.-]+),(?:a=(${NAME}))?,)(n=(${NAME}),r=(${NONCE})${EXTENSIONS})$`, 'su')
const CLIENT_FINAL = new RegExp(`^(c=(${BASE64}),r=(${NONCE})${EXTENSIONS}),p=(${BASE64})$`, 'su')
/** An extension that the server must understand, and it understands none. */
const MANDATORY = /(^|,)m=/

export function parseClientFirst(data: Buffer): ClientFirst | Flaw {
  const text = textOf(data)
  if (text === undefined) return { flaw: 'the first message is not well-formed UTF-8, or too long' }
  if (MANDATORY.test(text)) return { flaw: 'it asks for an extension that is not supported' }
  const match = CLIENT_FIRST.exec(text)
  if (match === null) return { flaw: 'the first message does not follow the grammar' }
  const [, gs2Header = '', binding = '', onBehalfOf, bare = '', name = '', nonce = ''] = match
  if (binding.startsWith('p')) return { flaw: 'it asks for channel binding, which is not supported' }
  const userName = nameOf(name)
  if (onBehalfOf !== undefined && nameOf(onBehalfOf) !== userName) return { flaw: 'it wants to act for another user' }
  return { gs2Header, bare, userName, nonce }
}

export function parseClientFinal(data: Buffer): ClientFinal | Flaw {
  const text = textOf(data)
  if (text === undefined) return { flaw: 'the last message is not well-formed UTF-8, or too long' }
  const match = CLIENT_FINAL.exec(text)
  if (match === null) return { flaw: 'the last message does not follow the grammar' }
  const [, withoutProof = '', binding = '', nonce = '', proof = ''] = match
  return { channelBinding: Buffer.from(binding, 'base64'), nonce, withoutProof, proof: Buffer.from(proof, 'base64') }
}

export const serverFirst = (nonce: string, salt: Buffer, iterations: number): string =>
  `r=${nonce},s=${salt.toString('base64')},i=${iterations}`

export const serverFinal = (signature: Buffer): string => `v=${signature.toString('base64')}`

const nameOf = (written: string): string => written.replaceAll('=2C', ',').replaceAll('=3D', '=')

function textOf(data: Buffer): string | undefined {
  if (data.length > MESSAGE_BYTES_MAX) return undefined
  const text = data.toString('utf8')
  return Buffer.from(text, 'utf8').equals(data) ? text : undefined
}
