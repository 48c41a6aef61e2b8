// SPDX-License-Identifier: Apache-2.0
// Holds back commands that not all members of the cluster know (R55). The cluster version is committed state of the metadata group; this node may
// see it late, and then it holds back a command for longer than it has to.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { CLUSTER_VERSION_FIRST } from '../codec/cluster-version-codec.ts'
import type { Command } from '../command/command.ts'
import type { ProgramVersion } from '../program-version.ts'

export class VersionGate {
  readonly #program: ProgramVersion
  #clusterVersion = CLUSTER_VERSION_FIRST

  constructor(program: ProgramVersion) {
    this.#program = program
  }

  get programVersion(): number {
    return this.#program.version
  }

  get clusterVersion(): number {
    return this.#clusterVersion
  }

  /** Throws dataVersion when the cluster has left this program behind: its next entry may be one that stops the process. */
  raise(clusterVersion: number): void {
    if (clusterVersion > this.#program.version) {
      const text = `the cluster runs at version ${clusterVersion}, this program knows ${this.#program.version}; run a newer one`
      throw new PlatformError(ERROR_CODES.dataVersion, text, { detail: { clusterVersion, programVersion: this.#program.version } })
    }
    this.#clusterVersion = Math.max(this.#clusterVersion, clusterVersion)
  }

  /** Undefined when the command may be proposed. */
  refusal({ type, innerType }: Command<unknown>): PlatformError | undefined {
    const since = Math.max(this.#since(type), innerType === undefined ? 0 : this.#since(innerType))
    if (since <= this.#clusterVersion) return undefined
    const text = `command ${type} needs cluster version ${since}, and the cluster runs at ${this.#clusterVersion}; upgrade the nodes that are behind`
    return new PlatformError(ERROR_CODES.notReady, text, { detail: { type, since, clusterVersion: this.#clusterVersion } })
  }

  #since(type: number): number {
    return this.#program.commandsSince.get(type) ?? CLUSTER_VERSION_FIRST
  }
}
