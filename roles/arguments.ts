// SPDX-License-Identifier: Apache-2.0
// The command line of the server.

import { type CtlParsing, parseCtl } from '#cli'

export interface ConfigOptions {
  /** Path of the configuration file; undefined for none. */
  readonly file: string | undefined
  /** 'section.key=value', in order. */
  readonly settings: readonly string[]
}

/** For which way of logging in a password is hashed. */
export type PasswordForm = (typeof PASSWORD_FORMS)[number]
const PASSWORD_FORMS = ['scrypt', 'scram-sha-256', 'scram-sha-512'] as const

export type Command =
  | ({ readonly kind: 'run' | 'check' | 'print-config' } & ConfigOptions)
  | { readonly kind: 'version' | 'help' }
  | { readonly kind: 'hash-password'; readonly form: PasswordForm }
  | { readonly kind: 'misused'; readonly problem: string }
  | CtlParsing

export const HELP = `Usage: robustmq [--config FILE] [--set section.key=value]...
       robustmq ctl cluster COMMAND     administers a cluster that runs; robustmq ctl --help says how

  --config FILE            read the configuration from FILE; without it every key has its default
  --set section.key=value  set a key; wins over the environment (ROBUSTMQ_<SECTION>__<KEY>) and the file; may be repeated
  --check                  check the configuration and exit
  --print-config           print the configuration in effect, with the source of each value, and exit
  --hash-password[=FORM]   read a password from standard input, print the key for [[security.users]] that holds its hash, and exit;
                           FORM is scrypt (default), scram-sha-256 or scram-sha-512
  --version                print the version and exit
  --help                   print this help and exit

Exit codes: 0 clean stop, 1 failure, 2 wrong usage or configuration.
`

export function parseArguments(words: readonly string[]): Command {
  if (words[0] === 'ctl') return parseCtl(words.slice(1))
  let kind: 'run' | 'check' | 'print-config' = 'run'
  let file: string | undefined
  const settings: string[] = []
  for (let at = 0; at < words.length; at++) {
    const { option, attached } = split(words[at] ?? '')
    switch (option) {
      case '--help':
      case '-h':
        return { kind: 'help' }
      case '--version':
      case '-V':
        return { kind: 'version' }
      case '--hash-password': {
        const form = PASSWORD_FORMS.find((known) => known === (attached ?? 'scrypt'))
        return form === undefined ? misused(`${option} takes ${PASSWORD_FORMS.join(', ')}`) : { kind: 'hash-password', form }
      }
      case '--check':
      case '--print-config':
        if (attached !== undefined) return misused(`${option} takes no value`)
        if (kind !== 'run' && `--${kind}` !== option) return misused('--check and --print-config exclude each other')
        kind = option === '--check' ? 'check' : 'print-config'
        break
      case '--config':
      case '--set': {
        const value = attached ?? words[++at]
        if (value === undefined || value === '') return misused(`${option} needs a value`)
        if (option === '--set') settings.push(value)
        else if (file === undefined) file = value
        else return misused('--config is given twice')
        break
      }
      default:
        return misused(`${option} is not an option`)
    }
  }
  return { kind, file, settings }
}

/** '--config=FILE' is '--config FILE'. */
function split(word: string): { readonly option: string; readonly attached: string | undefined } {
  const equals = word.startsWith('--') ? word.indexOf('=') : -1
  return equals === -1 ? { option: word, attached: undefined } : { option: word.slice(0, equals), attached: word.slice(equals + 1) }
}

const misused = (problem: string): Command => ({ kind: 'misused', problem })
