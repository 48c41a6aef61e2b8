// SPDX-License-Identifier: Apache-2.0
// What a simulated node consists of: production's composition, with settings drawn by the seed.
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import { composeNode } from '../../roles/compose.ts'
import { type ComposeConfigured, MQTT_PORT } from './simulation.ts'
import { SimFailure } from './world.ts'

export const composeProduction: ComposeConfigured = ({ settings }) => {
  const config = configOf([...settings, `mqtt.tcp_port=${MQTT_PORT}`, 'mqtt.ws_port=0', 'http_port=0'])
  return (ports, unready) =>
    composeNode(ports, config, { unready, warnings: () => [], metrics: { contentType: 'text/plain', exposition: async () => '' } })
}

function configOf(settings: readonly string[]): Config {
  const outcome = loadConfig({ settings })
  if (outcome.kind === 'loaded') return outcome.config
  throw new SimFailure(`the drawn configuration is refused: ${JSON.stringify(outcome.problems)}`)
}
