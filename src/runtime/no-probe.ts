// SPDX-License-Identifier: Apache-2.0
// The probe of production: nothing is counted and no fault happens.
import type { Probe } from '#base/port/probe'

export class NoProbe implements Probe {
  reached(_name: string): void {}

  fault(_name: string): boolean {
    return false
  }
}
