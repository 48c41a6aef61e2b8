// SPDX-License-Identifier: Apache-2.0
// What the engine's scrubber verifies of the other layers: the log files, by the numbers of the engine's logs, and the values of the metadata.
import type { ScrubbedPlaces } from '#engine'
import { META_RANGE } from '#meta'
import type { RaftHost } from '#raft'

/** `firstGroup`: of the engine's logs, which are numbered as their groups are. */
export const scrubbedPlaces = (host: RaftHost, firstGroup: number): ScrubbedPlaces => ({
  files: async (pace) => {
    const { damaged, verified } = await host.scrub(pace)
    return {
      damaged: damaged.map(({ path, offset, text, entries }) => {
        const logs = entries
          .filter(({ group }) => group >= firstGroup)
          .map(({ group, from, to }) => ({ log: group - firstGroup, from, to }))
        return { path, offset, text, entries: logs }
      }),
      verified: new Map(verified.map(({ group, before }) => [group - firstGroup, before])),
    }
  },
  ranges: [{ name: 'metadata', range: META_RANGE }],
})
