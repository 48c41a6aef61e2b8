// SPDX-License-Identifier: Apache-2.0
// Who the client is: by user name and password in CONNECT, or by an exchange of AUTH packets before CONNACK and, at the client's wish, again
// while it is connected (MQTT 5 section 4.12).
import { assert } from '#base/assert'
import type { ListenerAdmission } from '#base/config/listener'
import type { Channel, ClientCertificate } from '#base/port/network'
import { type AuthPacket, type ConnectPacket, REASON } from '../../protocol/mqtt/index.ts'
import type { Access } from '../../security/access.ts'
import type { Principal } from '../../security/access-rule.ts'
import type { Exchange } from '../../security/authenticator.ts'
import type { LoginStep, LoginVerdict, Security } from '../../security/security.ts'
import type { Account } from '../../security/user-table.ts'

/** The connection, as far as authentication moves it. */
export interface Dialogue {
  sendAuth(reasonCode: number, method: string, data: Buffer | undefined): void
  /** Reads on while there is no session yet: the client has to answer. */
  listen(): void
  /** Reads no further: the answer is being worked on. */
  hush(): void
  /** Ends the connection of a client that could not prove itself again. */
  disconnect(reasonCode: number): void
  fail(error: unknown): void
}

/** What the channel knows of the client. */
export type Peer = Pick<Channel, 'remote' | 'certificate'>

/** What CONNACK says of the exchange that came before it. */
export interface ServerProof {
  readonly method: string
  readonly data: Buffer
}

export type Admission =
  | { readonly kind: 'admitted'; readonly access: Access; readonly proof: ServerProof | undefined }
  | { readonly kind: 'refused'; readonly reasonCode: number }

/** A round trip or two are all that any mechanism needs. */
const ROUNDS_MAX = 4
const NO_PASSWORD = Buffer.alloc(0)

export class Authentication {
  readonly #security: Security
  readonly #dialogue: Dialogue
  readonly #address: string
  readonly #certificate: ClientCertificate | undefined
  readonly #admission: ListenerAdmission
  /** Agreed on by CONNECT, and the same for the life of the connection [MQTT-4.12.1-1]. */
  #method: string | undefined
  #access: Access | undefined
  #exchange: Exchange | undefined
  /** Gives the client's next AUTH to who waits for it. */
  #expecting: ((packet: AuthPacket | undefined) => void) | undefined
  #ended = false

  constructor(security: Security, dialogue: Dialogue, peer: Peer, admission: ListenerAdmission) {
    this.#security = security
    this.#dialogue = dialogue
    this.#address = addressOf(peer.remote)
    this.#certificate = peer.certificate
    this.#admission = admission
  }

  /** Decides on a CONNECT. Rejects when a bug or a failure keeps it from a decision. */
  async admit(packet: ConnectPacket, clientId: string): Promise<Admission> {
    const { authenticationMethod: method } = packet
    const admission =
      method === undefined ? await this.#admitByPassword(packet, clientId) : await this.#admitByExchange(method, packet, clientId)
    if (admission.kind === 'admitted') this.#access = admission.access
    return admission
  }

  /** AUTH from the client. Returns the reason code to end the connection with, REASON.success to go on. */
  receive(packet: AuthPacket): number {
    // Without a method in CONNECT there is nothing to continue [MQTT-4.12.0-7], and none may be changed on the way.
    if (this.#method === undefined || packet.authenticationMethod !== this.#method) return REASON.protocolError
    if (packet.reasonCode === REASON.reauthenticate) {
      if (this.#access === undefined || this.#exchange !== undefined) return REASON.protocolError
      void this.#reauthenticate(this.#access, this.#method, packet.authenticationData)
      return REASON.success
    }
    const expecting = this.#expecting
    if (expecting === undefined) return REASON.protocolError
    this.#expecting = undefined
    // Before CONNACK nothing else may be read until this is answered.
    if (this.#access === undefined) this.#dialogue.hush()
    expecting(packet)
    return REASON.success
  }

  /** The connection has ended: nobody will answer. */
  end(): void {
    this.#ended = true
    this.#expecting?.(undefined)
    this.#expecting = undefined
  }

  async #admitByPassword({ userName, password }: ConnectPacket, clientId: string): Promise<Admission> {
    const security = this.#security
    // A verified certificate is worth more than a password; what CONNECT says beside it does not matter.
    const certified = security.accountOf(this.#certificate, this.#admission)
    if (certified !== undefined) return this.#admitted(clientId, certified, undefined)
    // A name that nobody vouches for is no identity: rules do not see it.
    if (userName === undefined || !security.hasUsers) {
      return security.allowsAnonymous(this.#admission) ? this.#admitted(clientId, undefined, undefined) : refused(REASON.notAuthorized)
    }
    if (!this.#accepts('password')) return refused(REASON.notAuthorized)
    const verdict = await security.login({ userName, password: password ?? NO_PASSWORD }, this.#address)
    return verdict.kind === 'accepted' ? this.#admitted(clientId, verdict.account, undefined) : refused(reasonOf(verdict))
  }

  async #admitByExchange(method: string, packet: ConnectPacket, clientId: string): Promise<Admission> {
    const exchange = this.#accepts('scram') ? this.#security.begin(method) : undefined
    if (exchange === undefined) return refused(REASON.badAuthenticationMethod)
    this.#method = method
    const step = await this.#converse(exchange, packet.authenticationData)
    if (step.kind !== 'accepted') return refused(reasonOf(step))
    return this.#admitted(clientId, step.account, { method, data: step.data })
  }

  async #reauthenticate(access: Access, method: string, data: Buffer | undefined): Promise<void> {
    const exchange = this.#security.begin(method)
    assert(exchange !== undefined, 'a method that was agreed on is known')
    try {
      const step = await this.#converse(exchange, data)
      if (this.#ended) return
      if (step.kind !== 'accepted' || step.account.userName !== access.principal.userName) {
        // Whatever was wrong, DISCONNECT has one reason code for it.
        this.#dialogue.disconnect(REASON.notAuthorized)
        return
      }
      access.renew(step.account)
      this.#dialogue.sendAuth(REASON.success, method, step.data)
    } catch (error) {
      this.#dialogue.fail(error)
    }
  }

  /** Goes to and fro until the exchange has an end. */
  async #converse(exchange: Exchange, first: Buffer | undefined): Promise<Exclude<LoginStep, { kind: 'challenge' }>> {
    this.#exchange = exchange
    try {
      let data = first
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const step = await this.#security.step(exchange, data, this.#address)
        if (step.kind !== 'challenge') return step
        const answer = this.#ended ? undefined : await this.#ask(exchange.method, step.data)
        if (answer === undefined) return { kind: 'invalid', why: 'the client left' }
        data = answer.authenticationData ?? NO_PASSWORD
      }
      return { kind: 'invalid', why: 'the exchange does not come to an end' }
    } finally {
      this.#exchange = undefined
    }
  }

  #ask(method: string, data: Buffer | undefined): Promise<AuthPacket | undefined> {
    const answered = new Promise<AuthPacket | undefined>((resolve) => {
      this.#expecting = resolve
    })
    this.#dialogue.sendAuth(REASON.continueAuthentication, method, data)
    if (this.#access === undefined) this.#dialogue.listen()
    return answered
  }

  #admitted(clientId: string, account: Account | undefined, proof: ServerProof | undefined): Admission {
    const principal: Principal = { clientId, userName: account?.userName, address: this.#address }
    return { kind: 'admitted', access: this.#security.accessOf(principal, account, this.#admission), proof }
  }

  #accepts(authenticator: string): boolean {
    return this.#admission.authenticators?.includes(authenticator) ?? true
  }
}

const refused = (reasonCode: number): Admission => ({ kind: 'refused', reasonCode })

/** What a client is told that is not let in. Whether the user exists is not among it. */
function reasonOf({ kind }: Exclude<LoginVerdict | LoginStep, { kind: 'accepted' | 'challenge' }>): number {
  switch (kind) {
    case 'refused':
      return REASON.badUserNameOrPassword
    case 'invalid':
      return REASON.notAuthorized
    case 'throttled':
      return REASON.connectionRateExceeded
    case 'busy':
      return REASON.serverBusy
    case 'failed':
      return REASON.serverUnavailable
  }
}

/** '192.0.2.1' of '192.0.2.1:50000', '::1' of '[::1]:50000'. */
const addressOf = (remote: string): string => remote.slice(0, Math.max(remote.lastIndexOf(':'), 0)).replace(/^\[(.*)\]$/, '$1')
