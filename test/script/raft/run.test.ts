// SPDX-License-Identifier: Apache-2.0
// Plays the scripts beside it: commands, "----", what they answer, an empty line. UPDATE=1 rewrites the answers.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Player } from './play.ts'

const directory = fileURLToPath(new URL('../../../../test/script/raft/', import.meta.url))

/** The script with the answers that the commands give now. */
function replay(script: string): string {
  const player = new Player()
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

for (const name of readdirSync(directory).filter((file) => file.endsWith('.txt'))) {
  test(`raft script ${name}`, () => {
    const script = readFileSync(directory + name, 'utf8')
    const played = replay(script)
    if (process.env['UPDATE'] === '1') writeFileSync(directory + name, played)
    else assert.equal(played, script)
  })
}
