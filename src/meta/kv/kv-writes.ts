// SPDX-License-Identifier: Apache-2.0
// The writes of a KvClient, each as the transaction that it is: whoever can do a transaction, in process or remotely, can do them all.
import { assert } from '#base/assert'
import type {
  KvCompareAndSetReply,
  KvRevision,
  KvSpan,
  KvTransaction,
  KvTransactionReply,
  KvWriteOptions,
} from '#contract/client/kv-client'

export abstract class KvWrites {
  abstract transaction(transaction: KvTransaction, options?: KvWriteOptions): Promise<KvTransactionReply>

  async put(key: Buffer, value: Buffer, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision }> {
    const { revision } = await this.transaction({ compares: [], success: [{ kind: 'put', key, value }], failure: [] }, options)
    return { revision }
  }

  async delete(key: Buffer, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision; readonly deleted: number }> {
    return deletedBy(await this.transaction({ compares: [], success: [{ kind: 'delete', key }], failure: [] }, options))
  }

  async deleteSpan(span: KvSpan, options?: KvWriteOptions): Promise<{ readonly revision: KvRevision; readonly deleted: number }> {
    return deletedBy(await this.transaction({ compares: [], success: [{ kind: 'deleteSpan', span }], failure: [] }, options))
  }

  async compareAndSet(
    key: Buffer,
    expected: KvRevision,
    value: Buffer | undefined,
    options?: KvWriteOptions,
  ): Promise<KvCompareAndSetReply> {
    const reply = await this.transaction(
      {
        compares: [{ kind: 'revision', key, revision: expected }],
        success: [value === undefined ? { kind: 'delete', key } : { kind: 'put', key, value }],
        failure: [{ kind: 'get', key }],
      },
      options,
    )
    if (reply.succeeded) return { kind: 'done', revision: reply.revision }
    const [found] = reply.results
    assert(found?.kind === 'get', 'a transaction has one result for each of its actions')
    return { kind: 'conflict', revision: reply.revision, item: found.item }
  }
}

function deletedBy({ revision, results }: KvTransactionReply): { readonly revision: KvRevision; readonly deleted: number } {
  const [result] = results
  assert(result?.kind === 'delete', 'a transaction has one result for each of its actions')
  return { revision, deleted: result.deleted }
}
