// SPDX-License-Identifier: Apache-2.0
// What must hold between the keys of [security].
import type { Conflict } from './problem.ts'
import { type Config, rowPath } from './schema.ts'

const USERS = 'security.users'
const ACL = 'security.acl'

export const checkSecurity = ({ security }: Config): readonly Conflict[] => [...checkUsers(security), ...checkRules(security)]

function checkUsers({ users }: Config['security']): readonly Conflict[] {
  const names = users.map(({ userName }) => userName)
  return users.flatMap((user, index): readonly Conflict[] => {
    const path = rowPath(USERS, index)
    if ((user.password === undefined) === (user.passwordHash === undefined)) {
      return [{ path, expected: 'either password_hash or password' }]
    }
    const first = names.indexOf(user.userName)
    return first === index ? [] : [{ path: `${path}.user_name`, expected: `a name that ${rowPath(USERS, first)} does not have already` }]
  })
}

/** A condition that is never looked at is a misunderstanding, and with access rules those are dear. */
const checkRules = ({ acl }: Config['security']): readonly Conflict[] =>
  acl.flatMap(({ action, retain }, index) =>
    action === 'subscribe' && retain !== undefined
      ? [{ path: `${rowPath(ACL, index)}.retain`, expected: 'no such key beside action = "subscribe", which retain says nothing about' }]
      : [],
  )
