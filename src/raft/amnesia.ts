// SPDX-License-Identifier: Apache-2.0
// What becomes of a node that has lost log which it had acknowledged (R25, R46): it ends, and a file beside its data keeps it from coming back under
// its name after a restart, when those who could tell it may be out of reach.
import { messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk } from '#base/port/disk'
import type { Logger } from '#base/port/logger'
import { replacementOf } from '#base/replacement'
import { LogLost } from './core/log-lost.ts'
import type { GroupId, Message, NodeId } from './core/message.ts'
import type { RaftCore } from './core/raft-core.ts'

/** Its being there is what counts; what is in it is for the reader. */
const FILE = 'lost-log'

interface Replica {
  readonly id: GroupId
  readonly node: NodeId
  /** Ends the process. */
  readonly crash: (reason: Error) => void
}

/** Steps the core, and ends the process when that shows that log is lost. Whether the replica goes on. */
export function stepOrEnd(core: RaftCore, message: Message, { id, node, crash }: Replica): boolean {
  try {
    core.step(message)
    return true
  } catch (error) {
    if (!(error instanceof LogLost)) throw error
    const { acknowledged, found } = error
    const text =
      `raft group ${id}: node ${node} had acknowledged the log up to entry ${acknowledged}, and does not hold that any more (its log ends at entry ` +
      `${found}): its disk has lost it, or an earlier copy has taken its place. ${remedyFor(node)}`
    crash(new PlatformError(ERROR_CODES.dataDamaged, text, { detail: { group: id, acknowledged, found }, cause: error }))
    return false
  }
}

export const isLoss = (reason: Error): boolean => reason.cause instanceof LogLost

/** Rejects with dataDamaged when a process before this one has found that its log is lost. */
export async function refuseLostLog(disk: Disk, node: NodeId): Promise<void> {
  if (!(await disk.exists(FILE))) return
  const text = `${disk.fullPath(FILE)} tells that this node has lost log which it had acknowledged. ${remedyFor(node)}`
  throw new PlatformError(ERROR_CODES.dataDamaged, text)
}

/** Never rejects: a node that cannot write it down ends all the same. */
export async function recordLoss(disk: Disk, logger: Logger, reason: Error): Promise<void> {
  try {
    if (await disk.exists(FILE)) return
    const file = await disk.open(FILE, 'create')
    await file.write(0, [Buffer.from(`${reason.message}\n`)])
    await file.sync()
    await file.close()
    await disk.syncDirectory('')
  } catch (error) {
    logger.log('error', 'cannot write down that log was lost', { reason: messageOf(error) })
  }
}

const remedyFor = (node: NodeId): string => `It must not vote any more. ${replacementOf(node)}`
