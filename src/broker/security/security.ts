// SPDX-License-Identifier: Apache-2.0
// Users and rules in force: who is let in, and what becomes of those inside when users or rules change.
import { admissionOf, type ListenerAdmission } from '#base/config/listener'
import type { Config } from '#base/config/schema'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { ClientCertificate } from '#base/port/network'
import type { Ports } from '#base/port/ports'
import type { WillAuthor } from '#contract/record/session'
import type { SecurityMetrics } from '../metric/security-metrics.ts'
import { Access } from './access.ts'
import { AccessList } from './access-list.ts'
import type { Principal } from './access-rule.ts'
import type { Credentials, Exchange, ExchangeStep } from './authenticator.ts'
import { AuthenticatorChain, type ChainVerdict } from './authenticator-chain.ts'
import { LoginThrottle } from './login-throttle.ts'
import { PasswordAuthenticator } from './password/password-authenticator.ts'
import { beginScram } from './scram/scram-exchange.ts'
import { type Account, UserTable } from './user-table.ts'

export type SecuritySettings = Config['security'] & {
  /** Which name of a verified client certificate is the user name of its client. */
  readonly certificateIdentity: Config['tls']['identity']
  /** Of the listeners that may have settings of their own. */
  readonly admissions: readonly ListenerAdmission[]
}

export const securitySettings = ({ security, tls, listener }: Config): SecuritySettings => ({
  ...security,
  certificateIdentity: tls.identity,
  admissions: listener.map(admissionOf),
})

/** 'throttled': refused without a look, because of wrong passwords before. */
export type LoginVerdict = ChainVerdict | { readonly kind: 'throttled' }
export type LoginStep = ExchangeStep | { readonly kind: 'throttled' | 'busy' }

/** A message that was accepted, and is published later. */
export interface LaterPublish {
  readonly clientId: string
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly author?: WillAuthor | undefined
}

/** What has become of a client's account since it logged in. */
export type Standing = 'good' | 'removed' | 'changed'

const SECRET_BYTES = 32
const NOBODY: WillAuthor = Object.freeze({ userName: undefined, source: 'users', address: '' })

export class Security {
  readonly metrics: SecurityMetrics
  readonly #ports: Pick<Ports, 'random' | 'hashing'>
  readonly #logger: Logger
  readonly #secret: Buffer
  readonly #throttle: LoginThrottle
  readonly #chain: AuthenticatorChain
  readonly #list: AccessList
  #settings: SecuritySettings
  #users: UserTable

  constructor(ports: Pick<Ports, 'clock' | 'random' | 'hashing' | 'logger'>, metrics: SecurityMetrics, settings: SecuritySettings) {
    this.metrics = metrics
    this.#ports = ports
    this.#logger = ports.logger.scope('security')
    this.#secret = ports.random.bytes(SECRET_BYTES)
    this.#settings = settings
    this.#users = new UserTable(settings.users)
    this.#list = new AccessList(settings)
    this.#throttle = new LoginThrottle(ports.clock, throttleOf(settings))
    this.#chain = new AuthenticatorChain([new PasswordAuthenticator(ports.hashing, () => this.#users)], this.#logger)
    this.#warn()
  }

  /** Takes other users and rules. True when any of them differ: then those who are connected have to be reviewed. */
  reload(settings: SecuritySettings): boolean {
    if (isEqual(settings, this.#settings)) return false
    this.#users = new UserTable(settings.users)
    this.#list.replace(settings)
    this.#settings = settings
    this.#throttle.settings = throttleOf(settings)
    this.#warn()
    return true
  }

  /** Raised by each reload. */
  get version(): number {
    return this.#list.version
  }

  allowsAnonymous({ allowAnonymous }: ListenerAdmission): boolean {
    return allowAnonymous ?? this.#settings.allowAnonymous
  }

  /** Whether user names mean anything: without users, nobody vouches for one. */
  get hasUsers(): boolean {
    return this.#users.size > 0
  }

  /** Whether a 3.x client that publishes where it may not is disconnected. */
  get disconnectsDenied(): boolean {
    return this.#settings.deniedPublish === 'disconnect'
  }

  /** Of a client whose certificate was verified and is to say who it is. */
  accountOf(certificate: ClientCertificate | undefined, admission: ListenerAdmission): Account | undefined {
    const identity = this.#identityOf(admission)
    if (certificate === undefined || identity === 'none') return undefined
    const userName = identity === 'cn' ? certificate.commonName : certificate.subject
    return userName === undefined || userName === '' ? undefined : this.#certified(userName)
  }

  /** Checks user name and password. */
  async login(credentials: Credentials, address: string): Promise<LoginVerdict> {
    const { userName } = credentials
    if (this.#throttle.isBlocked(address, userName)) return this.#count({ kind: 'throttled' })
    const verdict = await this.#chain.check(credentials)
    if (verdict.kind === 'refused') this.#failed(userName, address)
    if (verdict.kind === 'accepted') this.#throttle.succeeded(address, userName)
    return this.#count(verdict)
  }

  /** Begins an exchange of AUTH packets; undefined when the method is not known. */
  begin(method: string): Exchange | undefined {
    const { random, hashing } = this.#ports
    const ground = { random, hashing, users: this.#users, iterations: this.#settings.scramIterations, secret: this.#secret }
    return beginScram(method, ground)
  }

  /** One step of an exchange, under the same limits as passwords. */
  async step(exchange: Exchange, data: Buffer | undefined, address: string): Promise<LoginStep> {
    try {
      const step = await exchange.respond(data)
      const { userName } = exchange
      if (userName === undefined || step.kind === 'invalid') return step
      if (step.kind === 'challenge') return this.#throttle.isBlocked(address, userName) ? this.#count({ kind: 'throttled' }) : step
      if (step.kind === 'refused') this.#failed(userName, address)
      else this.#throttle.succeeded(address, userName)
      return this.#count(step)
    } catch (error) {
      if (isPlatformError(error, ERROR_CODES.quotaExceeded)) return this.#count({ kind: 'busy' })
      throw error
    }
  }

  /** `account`: undefined for an anonymous client. */
  accessOf(principal: Principal, account: Access['account'], admission?: ListenerAdmission): Access {
    return new Access(this.#list, principal, account, admission)
  }

  /** Looks at the account of a client again; its access follows a change that leaves it in good standing. */
  review(access: Access): Standing {
    const { account, admission } = access
    if (account === undefined) return this.allowsAnonymous(admission) ? 'good' : 'removed'
    const now = this.#accountNow(account.userName, account.source, this.#identityOf(admission) !== 'none')
    if (now === undefined) return 'removed'
    if (now.revision !== account.revision) return 'changed'
    if (now !== account) access.renew(now)
    return 'good'
  }

  /** Whether a will or a delayed message may be published now, when its author may be gone: the author must still be known, and the topic allowed (Q22). */
  mayPublishLater(kind: 'will' | 'delayed', { clientId, author, topic, qos, retain }: LaterPublish): boolean {
    const { userName, source, address } = author ?? NOBODY
    const account = userName === undefined ? undefined : this.#accountNow(userName, source, this.#certifiesAnywhere)
    const isKnown = userName === undefined ? this.#anonymousAnywhere : account !== undefined
    if (isKnown && this.accessOf({ clientId, userName, address }, account).mayPublish(topic, qos, retain)) return true
    this.metrics.denied[kind].add(1)
    this.#logger.log('info', `a ${kind === 'will' ? 'will' : 'delayed message'} is dropped: its author may not publish it any more`, {
      client: clientId,
      user: userName,
    })
    return false
  }

  #identityOf({ identity, authenticators }: ListenerAdmission): SecuritySettings['certificateIdentity'] {
    return authenticators?.includes('certificate') === false ? 'none' : (identity ?? this.#settings.certificateIdentity)
  }

  // By which listener the author of a message came in is not known when it is published later: what any of them allows holds.
  get #anonymousAnywhere(): boolean {
    return this.#settings.allowAnonymous || this.#settings.admissions.some((admission) => this.allowsAnonymous(admission))
  }

  get #certifiesAnywhere(): boolean {
    const { certificateIdentity, admissions } = this.#settings
    return certificateIdentity !== 'none' || admissions.some((admission) => this.#identityOf(admission) !== 'none')
  }

  #accountNow(userName: string, source: Account['source'], isCertified: boolean): Account | undefined {
    if (source === 'users') return this.#users.find(userName)
    return isCertified ? this.#certified(userName) : undefined
  }

  #certified(userName: string): Account {
    const superuser = this.#users.find(userName)?.superuser ?? false
    return { userName, source: 'certificate', superuser, revision: '', stored: undefined }
  }

  #failed(userName: string, address: string): void {
    const waitMs = this.#throttle.failed(address, userName)
    const level = waitMs > 0 ? 'warn' : 'debug'
    this.#logger.log(level, 'a client gave a wrong user name or password', { user: userName, address, wait_ms: waitMs })
  }

  #count<V extends LoginVerdict | LoginStep>(verdict: V): V {
    const { kind } = verdict
    if (kind !== 'challenge' && kind !== 'invalid') this.metrics.logins[kind].add(1)
    return verdict
  }

  #warn(): void {
    const plain = this.#users.plainNames()
    if (plain.length === 0) return
    this.#logger.log('warn', 'users have their passwords in plain text in the configuration; robustmq --hash-password makes hashes', {
      count: plain.length,
      first: plain[0],
    })
  }
}

/** Settings are plain values in the order of the schema. */
const isEqual = (a: SecuritySettings, b: SecuritySettings): boolean => JSON.stringify(a) === JSON.stringify(b)

const throttleOf = (settings: SecuritySettings): { readonly attemptsMax: number; readonly backoffMaxMs: number } => ({
  attemptsMax: settings.loginAttemptsMax,
  backoffMaxMs: settings.loginBackoffMax,
})
