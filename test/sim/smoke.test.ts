// SPDX-License-Identifier: Apache-2.0
// Some fixed seeds of the whole node under faults. A seed that has once found a bug is added to FOUND with what it found.
import { it } from 'node:test'
import { composeProduction } from './composition.ts'
import { Simulation } from './simulation.ts'

const FIRST_SEED = 6
const SEEDS = 20

const FOUND: readonly (readonly [seed: number, what: string])[] = [
  [1, 'a retained message in flight keeps RETAIN when it is sent again to the watcher'],
  [5, 'a retained message in flight keeps RETAIN when it is sent again to a client that was away'],
]

/** With a shared group. Each of these seeds has found a mistake: of the node, of the simulator, or one that was made on purpose. */
const SHARED: readonly (readonly [seed: number, what: string])[] = [
  [24, 'a session is not saved before the groups that it has finished messages of'],
  [47, 'what was with a worker that has left goes to another'],
  [59, 'what was with a worker when the node died goes to another, but for QoS 2'],
  [132, 'a disk failure that has not struck when everything is healed never does'],
  [134, 'what waited for a client goes to another when its session ends'],
  [273, 'a clean start while the will comes due publishes it once'],
  [10_120, 'an answer that was read late does not make a session live longer'],
  [10_267, 'a message at QoS 1 comes again at QoS 2 when its subscription was raised over a crash'],
  [20_124, 'what passed at QoS 0 while its subscription was raised does not come again'],
  [20_145, 'a repetition that is refused says nothing of the first sending'],
  [41_002, 'a client of MQTT 3.1.1 that is closed for its PUBLISH has its will published, whatever it sent behind'],
  [50_024, 'a clean start that was not answered has ended the session all the same'],
  [50_033, 'the repetition of a publish whose first sending has expired is in no order with what came between'],
  [80_639, 'what passed at QoS 0 while a subscription was raised does not come when the client is back'],
  [80_936, 'a session that expired before a CONNECT that was not answered is not the one that is found later'],
  [90_075, 'a group whose lasting member began anew, because its first CONNECT was not answered, has lost what nobody had taken'],
  [90_650, 'a message with RETAIN does not overtake one without that was published before it at QoS 0'],
]

const run = async (seed: number, shares = false): Promise<void> => {
  await new Simulation({ seed, compose: composeProduction, shares }).run()
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) it(`seed ${seed}: every promise is kept`, () => run(seed))
for (const [seed, what] of FOUND) it(`seed ${seed}: ${what}`, () => run(seed))
for (const [seed, what] of SHARED) it(`seed ${seed} with a shared group: ${what}`, () => run(seed, true))
