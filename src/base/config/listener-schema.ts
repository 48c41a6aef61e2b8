// SPDX-License-Identifier: Apache-2.0
// The keys of listeners and of their certificates.
import { boolean, choice, integer, optional, section, size, tables, text, texts } from './key.ts'

export const HOST = { pattern: /^[\w.:-]{1,253}$/, expected: 'an IP address or a host name' } as const

const FILE = { pattern: /^[^\0]+$/, expected: 'a file, absolute or relative to where the server is started' } as const
const FILE_OR_NONE = { pattern: /^[^\0]*$/, expected: `${FILE.expected}; "" for none` } as const
const PATH = { pattern: /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/, expected: 'a path that begins with "/", without "?" and "#"' } as const
const ORIGIN = {
  pattern: /^([a-z][a-z0-9+.-]*:\/\/[^\s/?#A-Z]+|null)$/,
  expected: 'an origin as browsers write it, such as "https://app.example", in lower case and without a path',
} as const
const VERIFY_CLIENT = ['none', 'optional', 'required'] as const
const IDENTITY = ['none', 'cn', 'dn'] as const
const AUTHENTICATOR = { pattern: /^(password|scram|certificate)$/, expected: '"password", "scram" or "certificate"' } as const

const port = (fallback: number, name: string) =>
  integer({ default: fallback, min: 0, max: 65535, text: `Port for MQTT over ${name}; 0 turns it off.` })

/** In [mqtt], beside `bind`. */
export const SIMPLE_LISTENERS = {
  tcpPort: port(1883, 'TCP'),
  tlsPort: port(8883, 'TLS, open when tls.cert and tls.key are set'),
  wsPort: port(8083, 'WebSocket'),
  wssPort: port(8084, 'WebSocket with TLS, open when tls.cert and tls.key are set'),
  wsPath: text({ default: '/mqtt', ...PATH, text: 'Path of WebSocket requests; any other is answered with 404.' }),
}

export const TLS = section(
  'Certificates of the listeners with TLS 1.2 and 1.3. The files are in PEM; they are read again on SIGHUP, and within 30s when they change.',
  {
    cert: text({ default: '', ...FILE_OR_NONE, text: 'The certificate of the server, followed by those between it and the root.' }),
    key: text({ default: '', ...FILE_OR_NONE, text: 'Its private key, not encrypted.' }),
    ca: text({ default: '', ...FILE_OR_NONE, text: 'Issuers whose certificates clients may show.' }),
    verifyClient: choice({
      default: 'none',
      values: VERIFY_CLIENT,
      text: 'Whether clients are asked for a certificate. "optional" lets in those that have none, and nobody whose certificate is not valid.',
    }),
    identity: choice({
      default: 'none',
      values: IDENTITY,
      reload: true,
      text: 'Which name of a valid client certificate is the user name of its client, who then needs no password: none, the common name, or the whole distinguished name ("CN=meter-7,O=Example").',
    }),
    certificates: tables(
      'A further certificate, for all listeners with TLS: shown to clients that name a host which it is for, unless the main one is for that host too.',
      {
        cert: text({ example: 'tls/other.crt', ...FILE, text: 'As tls.cert.' }),
        key: text({ example: 'tls/other.key', ...FILE, text: 'As tls.key.' }),
      },
    ),
  },
)

export const LISTENERS = tables('A further listener, beside those of [mqtt].', {
  name: text({
    example: 'gateway',
    pattern: /^[a-z0-9][a-z0-9_-]{0,62}$/,
    expected: 'up to 63 lower-case letters, digits, "-" or "_", the first a letter or digit',
    text: 'Its name in log lines. Those of [mqtt] are named tcp, tls, ws and wss.',
  }),
  transport: choice({ example: 'wss', values: ['tcp', 'tls', 'ws', 'wss'], text: 'What MQTT is carried by.' }),
  bind: optional(text({ example: '127.0.0.1', ...HOST, text: 'Its address; mqtt.bind when it is left out.' })),
  port: integer({ example: 8443, min: 1, max: 65535, text: 'Its port.' }),
  path: optional(text({ example: '/mqtt', ...PATH, text: 'For ws and wss, as mqtt.ws_path.' })),
  origins: optional(
    texts({
      example: ['https://app.example'],
      ...ORIGIN,
      text: 'For ws and wss: the origins of web pages that may connect. Left out, all may. Clients that are no browsers send none and are let in.',
    }),
  ),
  cert: optional(
    text({ example: 'tls/gateway.crt', ...FILE, text: 'For tls and wss, with key: as tls.cert, which holds when it is left out.' }),
  ),
  key: optional(text({ example: 'tls/gateway.key', ...FILE, text: 'As tls.key.' })),
  ca: optional(text({ example: 'tls/clients.crt', ...FILE, text: 'As tls.ca.' })),
  verifyClient: optional(choice({ example: 'required', values: VERIFY_CLIENT, text: 'As tls.verify_client.' })),
  connectionsMax: optional(
    integer({ example: 1000, min: 1, max: 10_000_000, text: 'Its connections. Those of the node are mqtt.connections_max.' }),
  ),
  identity: optional(choice({ example: 'cn', values: IDENTITY, text: 'As tls.identity.' })),
  allowAnonymous: optional(
    boolean({ example: false, text: 'Whether clients without a user name are let in; else as security.allow_anonymous.' }),
  ),
  authenticators: optional(
    texts({ example: ['certificate'], ...AUTHENTICATOR, text: 'Ways in which its clients may say who they are. Left out, all.' }),
  ),
  maxMessageRate: optional(
    integer({
      example: 5000,
      min: 1,
      max: 10_000_000,
      text: 'Messages a second that all its clients together may publish; left out, no limit.',
    }),
  ),
  maxByteRate: optional(
    size({
      example: '10MiB',
      min: '1',
      max: '100GiB',
      text: 'Bytes a second that are read from all its clients together; left out, no limit.',
    }),
  ),
})
