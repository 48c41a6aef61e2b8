// SPDX-License-Identifier: Apache-2.0
// The certificates of a node, which can be replaced while it runs: connections made from then on use the new ones, both ways, and those that are there stay.
import type { experimental } from '@grpc/grpc-js'
import type { PemFile } from '#base/port/network'

/** Shown by this node, and asked of the others: each certificate is for the host name `node-<node_id>`. */
export interface ClusterTls {
  readonly cert: PemFile
  readonly key: PemFile
  /** Issuers of the peers' certificates. */
  readonly ca: PemFile
}

export class Certificates implements experimental.CertificateProvider {
  #tls: ClusterTls
  readonly #authorityListeners = new Set<experimental.CaCertificateUpdateListener>()
  readonly #identityListeners = new Set<experimental.IdentityCertificateUpdateListener>()

  constructor(tls: ClusterTls) {
    this.#tls = tls
  }

  get current(): ClusterTls {
    return this.#tls
  }

  /** They must be usable. */
  replace(tls: ClusterTls): void {
    this.#tls = tls
    for (const listener of this.#authorityListeners) this.#tellAuthority(listener)
    for (const listener of this.#identityListeners) this.#tellIdentity(listener)
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorityListeners.add(listener)
    // gRPC listens to its own credentials only after this has returned, and takes no connection before it was told.
    queueMicrotask(() => this.#tellAuthority(listener))
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#authorityListeners.delete(listener)
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identityListeners.add(listener)
    queueMicrotask(() => this.#tellIdentity(listener))
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identityListeners.delete(listener)
  }

  #tellAuthority(listener: experimental.CaCertificateUpdateListener): void {
    listener({ caCertificate: this.#tls.ca.bytes })
  }

  #tellIdentity(listener: experimental.IdentityCertificateUpdateListener): void {
    listener({ certificate: this.#tls.cert.bytes, privateKey: this.#tls.key.bytes })
  }
}
