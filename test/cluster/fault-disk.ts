// SPDX-License-Identifier: Apache-2.0
// Disks that fail: a file system of a few megabytes, and a layer between the process and the C library in which syncs can fail and which
// knows what has been synced, so that a power cut can be played.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestLife } from './server-process.ts'

/** A file system in memory, of which the size can be changed. */
export class SmallDisk {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  /** Undefined where file systems cannot be mounted, which takes root. */
  static mount(context: TestLife, sizeMiB: number): SmallDisk | undefined {
    const directory = mkdtempSync(join(tmpdir(), 'robustmq-disk-'))
    const outcome = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', directory])
    if (outcome.status !== 0) return undefined
    // Lazily: a process that is being killed may still hold it.
    context.after(() => {
      execFileSync('umount', ['-l', directory])
      rmdirSync(directory)
    })
    return new SmallDisk(directory)
  }

  resize(sizeMiB: number): void {
    execFileSync('mount', ['-o', `remount,size=${sizeMiB}m`, this.directory])
  }
}

/**
 * Loaded into the server. Remembers for each inode the size that was synced last. When the trigger file is there, a sync of a file whose path
 * contains FAULT_MATCH fails as on a dying disk: the bytes since the last sync are gone, the call says EIO.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 65536
static struct { uint64_t inode, size; } synced[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ledger = -1;

static uint64_t *slot(uint64_t inode) {
  uint64_t at = inode % SLOTS;
  while (synced[at].inode != 0 && synced[at].inode != inode) at = (at + 1) % SLOTS;
  synced[at].inode = inode;
  return &synced[at].size;
}

static int is_failing(int fd) {
  const char *trigger = getenv("FAULT_TRIGGER"), *match = getenv("FAULT_MATCH");
  char link[64], path[4096];
  if (trigger == NULL || access(trigger, F_OK) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return match == NULL || strstr(path, match) != NULL;
}

static int sync_through(int fd, int (*real)(int)) {
  struct stat before;
  if (fstat(fd, &before) != 0 || !S_ISREG(before.st_mode)) return real(fd);
  if (is_failing(fd)) {
    pthread_mutex_lock(&lock);
    uint64_t size = *slot(before.st_ino);
    pthread_mutex_unlock(&lock);
    if (ftruncate(fd, (off_t)size) != 0) abort();
    errno = EIO;
    return -1;
  }
  int result = real(fd);
  if (result != 0) return result;
  pthread_mutex_lock(&lock);
  *slot(before.st_ino) = (uint64_t)before.st_size;
  if (getenv("FAULT_LEDGER") != NULL) {
    if (ledger < 0) ledger = open(getenv("FAULT_LEDGER"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    uint64_t entry[2] = { before.st_ino, (uint64_t)before.st_size };
    if (write(ledger, entry, sizeof entry) != sizeof entry) abort();
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

int fsync(int fd) { return sync_through(fd, (int (*)(int))dlsym(RTLD_NEXT, "fsync")); }
int fdatasync(int fd) { return sync_through(fd, (int (*)(int))dlsym(RTLD_NEXT, "fdatasync")); }
`

export class FaultySync {
  readonly #library: string
  readonly #trigger: string
  readonly #ledger: string

  private constructor(library: string, directory: string) {
    this.#library = library
    this.#trigger = join(directory, 'trigger')
    this.#ledger = join(directory, 'ledger')
  }

  /** Compiles the layer into `directory`, which must not be the data directory. Undefined where there is no C compiler for it. */
  static build(directory: string): FaultySync | undefined {
    const source = join(directory, 'faulty-sync.c')
    const library = join(directory, 'faulty-sync.so')
    writeFileSync(source, SOURCE)
    if (process.platform !== 'linux') return undefined
    if (spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl', '-lpthread']).status !== 0) return undefined
    return new FaultySync(library, directory)
  }

  /** For the environment of a server. `match`: only files whose path contains it fail. */
  environment(match = ''): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, FAULT_TRIGGER: this.#trigger, FAULT_LEDGER: this.#ledger, FAULT_MATCH: match }
  }

  /** From here on every sync fails. */
  breakDisk(): void {
    writeFileSync(this.#trigger, '')
  }

  /**
   * Takes from the files below `directory` what was never synced, as a power cut may. The process must be gone. Names of files are left as they
   * are, and of an inode number that was used again the old size may count: so this is the mild form of a power cut.
   */
  cutPower(directory: string): { readonly files: number; readonly bytesLost: number } {
    const sizes = new Map<bigint, number>()
    const ledger = existsSync(this.#ledger) ? readFileSync(this.#ledger) : Buffer.alloc(0)
    for (let at = 0; at < ledger.length; at += 16) sizes.set(ledger.readBigUInt64LE(at), Number(ledger.readBigUInt64LE(at + 8)))
    let files = 0
    let bytesLost = 0
    for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.path, entry.name)
      const { ino, size } = statSync(path, { bigint: true })
      const lost = Number(size) - (sizes.get(ino) ?? 0)
      if (lost <= 0) continue
      truncateSync(path, Number(size) - lost)
      files++
      bytesLost += lost
    }
    return { files, bytesLost }
  }
}
