#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The executable. The thread pool takes its size when it is first used, so it is set before any other module is loaded: synced writes
// of RocksDB and of the log run there, and four threads would make them wait for each other. Each thread has a heap of its own in the C library,
// which keeps what was once needed: threads beyond those that work at the same time cost memory.
process.env['UV_THREADPOOL_SIZE'] ??= '8'
void import('./main.js')
