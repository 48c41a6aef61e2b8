// SPDX-License-Identifier: Apache-2.0
// A cluster as text for people.
import type { ClusterPicture, GroupPicture, NodePicture } from './cluster-look.ts'

export function clusterText({ clusterVersion, nodes, groups }: ClusterPicture): string {
  const heading = `${nodes.length} nodes, ${groups.length} groups, cluster version ${clusterVersion}`
  const nodeRows = nodes.map((node) => nodeRow(node, groups))
  const groupRows = groups.map(({ group, leader, term, commit, voters, learners }) =>
    [group, leader === 0 ? 'none' : leader, term, commit, listed(voters), listed(learners)].map(String),
  )
  const parts = [
    heading,
    table([['NODE', 'ADDRESS', 'STATE', 'VERSION', 'VOTES', 'LEARNS', 'LEADS', 'BEHIND'], ...nodeRows]),
    table([['GROUP', 'LEADER', 'TERM', 'COMMIT', 'VOTERS', 'LEARNERS'], ...groupRows]),
    ...problemsOf(nodes, groups),
  ]
  return `${parts.join('\n\n')}\n`
}

/** What somebody should do something about, a line for each. */
export function problemsOf(nodes: readonly NodePicture[], groups: readonly GroupPicture[]): readonly string[] {
  const silent = nodes
    .filter(({ problem }) => problem !== undefined)
    .map(({ node, problem }) => `! node ${node} does not answer: ${problem}`)
  const headless = groups.filter(({ leader }) => leader === 0).map(({ group }) => group)
  return headless.length === 0
    ? silent
    : [...silent, `! no leader is known of group ${headless.join(', ')}: start nodes until a majority of its voters runs`]
}

function nodeRow({ node, address, programVersion, groups: own, problem }: NodePicture, groups: readonly GroupPicture[]): readonly string[] {
  const votes = groups.filter(({ voters }) => voters.includes(node)).length
  const learns = groups.filter(({ learners }) => learners.includes(node)).length
  const leads = groups.filter(({ leader }) => leader === node).length
  const behind = groups.map(({ group, commit }) => commit - (own.find((some) => some.group === group)?.applied ?? 0))
  const state = problem !== undefined ? 'down' : own.some(({ term }) => term === 0) ? 'waiting' : 'up'
  const version = programVersion === 0 ? '-' : programVersion
  return [node, address, state, version, votes, learns, leads, problem === undefined ? Math.max(0, ...behind) : '-'].map(String)
}

const listed = (nodes: readonly number[]): string => (nodes.length === 0 ? '-' : nodes.join(','))

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
