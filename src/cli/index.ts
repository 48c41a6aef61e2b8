// SPDX-License-Identifier: Apache-2.0
// The operator's commands, as roles see them.
export { CTL_USAGE, type CtlCommand, type CtlParsing, parseCtl } from './arguments.ts'
export type { ClusterAccess } from './cluster-look.ts'
export { type CtlOutput, runCtl } from './ctl.ts'
