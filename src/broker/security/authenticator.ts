// SPDX-License-Identifier: Apache-2.0
// Those who can tell who a client is. A chain of them is asked in order: the first that knows the user decides.
import type { Account } from './user-table.ts'

/** What a client says of itself in CONNECT. */
export interface Credentials {
  readonly userName: string
  /** Empty when it gave none. */
  readonly password: Buffer
}

/** 'unknown': the next one may know the user. */
export type Verdict = { readonly kind: 'accepted'; readonly account: Account } | { readonly kind: 'refused' | 'unknown' }

export interface Authenticator {
  readonly name: string
  /** Rejects when it cannot tell: the client is refused then, not passed on. */
  check(credentials: Credentials): Promise<Verdict>
}

/** A step of an exchange by AUTH packets (MQTT 5 section 4.12). */
export type ExchangeStep =
  /** The client has to answer this. */
  | { readonly kind: 'challenge'; readonly data: Buffer | undefined }
  /** `data` proves to the client that the server knows it. */
  | { readonly kind: 'accepted'; readonly account: Account; readonly data: Buffer }
  /** The client does not know the password, or there is no such user. */
  | { readonly kind: 'refused' }
  /** What the client sent is no message of the mechanism, or asks for something that is not offered. */
  | { readonly kind: 'invalid'; readonly why: string }

/** One authentication of one client. */
export interface Exchange {
  readonly method: string
  /** Whom the client says to be; undefined before it has said so. */
  readonly userName: string | undefined
  /** Takes what the client sent; undefined when it sent no data. Not to be called after a step that ends the exchange. */
  respond(data: Buffer | undefined): Promise<ExchangeStep>
}
