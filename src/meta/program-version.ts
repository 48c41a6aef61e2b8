// SPDX-License-Identifier: Apache-2.0
// What this program knows, as one number (R55). A cluster runs at the lowest of its members: a command that came with a later version is
// not proposed before all members know it, since a replica that meets one it does not know has to stop.

/** Raise it by one together with the first command or snapshot format of a release that the release before does not know. */
export const PROGRAM_VERSION = 1

/** Types of commands that came after version 1, with the version that they came with. */
const COMMANDS_SINCE: ReadonlyMap<number, number> = new Map()

export interface ProgramVersion {
  readonly version: number
  readonly commandsSince: ReadonlyMap<number, number>
}

export const THIS_PROGRAM: ProgramVersion = Object.freeze({ version: PROGRAM_VERSION, commandsSince: COMMANDS_SINCE })
