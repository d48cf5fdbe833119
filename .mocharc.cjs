const { availableParallelism } = require('node:os');

module.exports = {
  import: 'tsx/esm',
  require: './test/setup.ts',
  // Finds what hangs. It is long, since a busy machine takes many times as long as a quiet one.
  timeout: 20 * 60_000,
  // With --parallel: each has models of its own, so more than four need much memory.
  jobs: Math.min(availableParallelism(), 4),
  exit: true,
};
