// SPDX-License-Identifier: Apache-2.0
// Makes a failing run of a cluster small: leaves out what is not needed for a failure of the same kind, first whole kinds of faults, then the end of their phase.
import { FAULT_KINDS, type FaultKind, type FaultPeriods } from './cluster-configuration.ts'

const STEP_MS_MIN = 200

/** What can be left out of a run. */
export interface Reduction {
  readonly without: ReadonlySet<FaultKind>
  /** The part of the phase of faults in which there are any. */
  readonly faultsForMs: number
}

export const kindsOf = (periods: FaultPeriods): readonly FaultKind[] => FAULT_KINDS.filter((kind) => kind in periods)

/** `fails` runs it again, and tells whether it fails in the same way. Tells on standard error what is left. */
export async function minimized(
  drawn: readonly FaultKind[],
  durationMs: number,
  fails: (reduction: Reduction) => Promise<boolean>,
): Promise<Reduction> {
  const without = new Set<FaultKind>()
  let faultsForMs = durationMs
  // What could not be left out may turn out to be superfluous once something else is.
  for (let before = -1; before < without.size; ) {
    before = without.size
    for (const candidate of drawn) {
      if (!without.has(candidate) && (await fails({ without: new Set([...without, candidate]), faultsForMs }))) without.add(candidate)
    }
  }
  for (let step = faultsForMs / 2; step > STEP_MS_MIN; step /= 2) {
    if (await fails({ without, faultsForMs: faultsForMs - step })) faultsForMs -= step
  }
  const left = drawn.filter((kind) => !without.has(kind))
  process.stderr.write(`minimized: faults for ${faultsForMs} ms, of the kinds: ${left.join(', ') || 'none'}\n`)
  return { without, faultsForMs }
}
