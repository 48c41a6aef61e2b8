// SPDX-License-Identifier: Apache-2.0
// Planted bugs above the consensus layer, hunted by the simulation of one node and its MQTT clients.
import type { Mutant } from './mutant.ts'

const ORACLE = ['client', 'deliver', 'owed', 'watcher', 'worker', 'assertion', 'node']

export const MQTT_MUTANTS: readonly Mutant[] = [
  {
    name: 'applied-index-is-written-ahead-of-the-state',
    rule: 'R8',
    file: 'src/meta/machine/mux.js',
    from: 'writes.push({ key: this.#keys.applied, value: encodeApplied(this.#identity, applied, this.#chain.hash) });',
    to: 'await this.#kv.write([{ key: this.#keys.applied, value: encodeApplied(this.#identity, applied, this.#chain.hash) }], { sync: true });',
    hunt: 'mqtt',
    expected: ORACLE,
    seedsMax: 300,
  },
  {
    name: 'repeated-qos-2-publish-is-stored-again',
    rule: 'Q4 D14',
    file: 'src/engine/log/sequence-table.js',
    from: 'return this.#publishers.get(publisher)?.get(sequence);',
    to: 'return undefined;',
    hunt: 'mqtt',
    expected: ORACLE,
    seedsMax: 300,
  },
  {
    name: 'released-packet-id-is-not-forgotten',
    rule: 'Q5',
    file: 'src/engine/log/sequence-table.js',
    from: '        this.#remove(publisher, sequence);\n        return true;',
    to: '        return true;',
    hunt: 'mqtt',
    expected: ORACLE,
    seedsMax: 300,
  },
  {
    name: 'old-owner-of-a-session-may-write',
    rule: 'Q9',
    file: 'src/meta/machine/session.js',
    from: 'session.epoch !== epoch || hasEnded(session)',
    to: 'hasEnded(session)',
    hunt: 'mqtt',
    expected: ORACLE,
    seedsMax: 300,
  },
  {
    name: 'catch-up-begins-behind-the-cursor',
    rule: 'D6',
    file: 'src/broker/message/consumer.js',
    from: '        follower.next = next;',
    to: '        follower.next = next + 1;',
    hunt: 'mqtt',
    expected: ORACLE,
    seedsMax: 300,
  },
]
