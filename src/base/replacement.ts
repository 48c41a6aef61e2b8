// SPDX-License-Identifier: Apache-2.0
// What is to be done about a node that lost its data, in the words of the commands that do it (R35).

export const replacementOf = (lost: number): string =>
  `Replace it. 1. On a machine of the cluster: robustmq ctl cluster remove ${lost} --config FILE. ` +
  '2. Start this machine with an empty data_path, join = true, and a node_id NEW that was never used. ' +
  '3. On a machine of the cluster: robustmq ctl cluster add NEW HOST:PORT --config FILE, then: robustmq ctl cluster promote NEW --config FILE'
