// SPDX-License-Identifier: Apache-2.0
// Plays the scripts beside it: commands, "----", what they answer, an empty line. UPDATE=1 rewrites the answers.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ClusterPlayer } from './cluster-play.ts'
import { Player } from './play.ts'

const directory = fileURLToPath(new URL('../../../../test/script/raft/', import.meta.url))

/** The script with the answers that the commands give now. */
function replay(script: string, player: { play(command: string): string }): string {
  return script
    .trimEnd()
    .split('\n\n')
    .map((block) => {
      const [commands = ''] = block.split('\n----')
      if (!block.includes('\n----')) return commands
      const lines = commands.split('\n').filter((line) => !line.startsWith('#'))
      return `${commands}\n----\n${lines.map((line) => player.play(line)).join('\n')}`
    })
    .join('\n\n')
    .concat('\n')
}

const STORIES = [
  { folder: directory, newPlayer: () => new Player() },
  { folder: `${directory}cluster/`, newPlayer: () => new ClusterPlayer() },
]

for (const { folder, newPlayer } of STORIES) {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.txt'))) {
    test(`raft script ${folder === directory ? '' : 'cluster/'}${name}`, () => {
      const script = readFileSync(folder + name, 'utf8')
      const played = replay(script, newPlayer())
      if (process.env['UPDATE'] === '1') writeFileSync(folder + name, played)
      else assert.equal(played, script)
    })
  }
}
