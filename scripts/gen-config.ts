// SPDX-License-Identifier: Apache-2.0
// Writes config.toml from the schema. With --check it only compares, and exits with 1 when the file is not up to date.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { renderReference } from '#base/config/render'

/** This script runs from dist/scripts. */
const file = fileURLToPath(new URL('../../config.toml', import.meta.url))

if (!process.argv.includes('--check')) {
  writeFileSync(file, renderReference())
} else if (readFileSync(file, 'utf8') !== renderReference()) {
  process.stderr.write('config.toml is not what the schema says: run node dist/scripts/gen-config.js\n')
  process.exitCode = 1
}
