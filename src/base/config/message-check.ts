// SPDX-License-Identifier: Apache-2.0
// What must hold between the keys of [[mqtt.rewrite]].
import { LinearRegex } from '../linear-regex.ts'
import { hasWildcard } from '../topic-filter.ts'
import type { Conflict } from './problem.ts'
import { type Config, rowPath } from './schema.ts'

const REWRITE = 'mqtt.rewrite'

export const checkMessages = ({ mqtt }: Config): readonly Conflict[] =>
  mqtt.rewrite.flatMap(({ action, regex, to }, index): readonly Conflict[] => {
    const path = `${rowPath(REWRITE, index)}.to`
    const groups = LinearRegex.compile(regex)?.groupCount ?? 0
    const named = [...to.matchAll(/\$(\d)/g)].map(([, digit]) => Number(digit))
    if (named.some((group) => group === 0 || group > groups)) {
      return [{ path, expected: `groups from $1 on, of which the regex has ${groups}` }]
    }
    if (action !== 'subscribe' && hasWildcard(to)) return [{ path, expected: 'no wildcard, unless action = "subscribe"' }]
    return []
  })
