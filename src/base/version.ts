// SPDX-License-Identifier: Apache-2.0
// The version of this program, as clients and operators see it.

/** The same as in package.json: a test compares them. */
export const VERSION = '0.1.0'
