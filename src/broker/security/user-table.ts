// SPDX-License-Identifier: Apache-2.0
// The users of [[security.users]]. Immutable: a change of the configuration makes another table.
import { must } from '#base/assert'
import type { Config } from '#base/config/schema'
import { parseStoredPassword, type ScramPassword, type StoredPassword } from '#base/password'
import type { HashDigest } from '#base/port/hashing'

/** A user who can log in. */
export interface Account {
  readonly userName: string
  /** Who vouches for it. */
  readonly source: 'users' | 'certificate'
  readonly superuser: boolean
  /** Equal as long as the password is the same. Not to be shown: it is the password, or its hash. */
  readonly revision: string
  /** Undefined for a plain password. */
  readonly stored: StoredPassword | undefined
}

export type UserSettings = Config['security']['users']

export class UserTable {
  readonly #accounts: ReadonlyMap<string, Account>

  constructor(users: UserSettings) {
    this.#accounts = new Map(users.map((user) => [user.userName, accountOf(user)]))
  }

  get size(): number {
    return this.#accounts.size
  }

  find(userName: string): Account | undefined {
    return this.#accounts.get(userName)
  }

  /** The first stored password in the file. What is done for a user who does not exist must look like what is done for others. */
  firstStored(): StoredPassword | undefined {
    for (const { stored } of this.#accounts.values()) if (stored !== undefined) return stored
    return undefined
  }

  firstScram(digest: HashDigest): ScramPassword | undefined {
    for (const { stored } of this.#accounts.values()) if (stored?.kind === 'scram' && stored.digest === digest) return stored
    return undefined
  }

  /** Users whose password anyone can read who can read the file. */
  plainNames(): readonly string[] {
    return [...this.#accounts.values()].filter(({ stored }) => stored === undefined).map(({ userName }) => userName)
  }
}

function accountOf({ userName, password, passwordHash, superuser = false }: UserSettings[number]): Account {
  const source = 'users'
  if (passwordHash === undefined)
    return { userName, source, superuser, revision: must(password, 'a user has a password'), stored: undefined }
  const stored = must(parseStoredPassword(passwordHash), 'the schema accepts stored passwords only')
  return { userName, source, superuser, revision: passwordHash, stored }
}
