/** Selects the backend that the tests run on: `TEST_BACKEND`, default wasm. */
import { useBackend } from '../src/backends/index.ts';
import type { BackendName } from '../src/backends/types.ts';

export const testBackend = (process.env.TEST_BACKEND ?? 'wasm') as BackendName;

export const mochaHooks = {
  async beforeAll(): Promise<void> {
    // One thread: handing the tiny operations of tests to more costs far more than it saves.
    await useBackend(testBackend, { threads: 1 });
  },
};
