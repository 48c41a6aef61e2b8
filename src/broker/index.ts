// SPDX-License-Identifier: Apache-2.0
export { Broker } from './broker.ts'
