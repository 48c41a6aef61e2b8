// SPDX-License-Identifier: Apache-2.0
// Checks user name and password of CONNECT against the users of the configuration.
import { verifyPassword } from '#base/password'
import type { Hashing } from '#base/port/hashing'
import type { Authenticator, Credentials, Verdict } from '../authenticator.ts'
import type { Account, UserTable } from '../user-table.ts'

export class PasswordAuthenticator implements Authenticator {
  readonly name = 'users'
  readonly #hashing: Hashing
  readonly #users: () => UserTable

  /** `users`: the table of the moment. */
  constructor(hashing: Hashing, users: () => UserTable) {
    this.#hashing = hashing
    this.#users = users
  }

  async check({ userName, password }: Credentials): Promise<Verdict> {
    const users = this.#users()
    const account = users.find(userName)
    if (account === undefined) {
      // Whether a user exists must not show in the time that the answer takes.
      await this.#checkDecoy(users, password)
      return { kind: 'unknown' }
    }
    return (await this.#isRight(users, account, password)) ? { kind: 'accepted', account } : { kind: 'refused' }
  }

  async #isRight(users: UserTable, account: Account, password: Buffer): Promise<boolean> {
    if (account.stored !== undefined) return verifyPassword(this.#hashing, password, account.stored)
    await this.#checkDecoy(users, password)
    // Compared as digests, which are of one length whatever the passwords are.
    const digest = (bytes: Buffer): Buffer => this.#hashing.hash('sha256', bytes)
    return this.#hashing.isEqual(digest(password), digest(Buffer.from(account.revision)))
  }

  /** Costs as much as the check of a stored password; nothing when all are plain. */
  async #checkDecoy(users: UserTable, password: Buffer): Promise<void> {
    const decoy = users.firstStored()
    if (decoy !== undefined) await verifyPassword(this.#hashing, password, decoy)
  }
}
