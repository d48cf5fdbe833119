/**
 * Selects what the tests run on: the backend `TEST_BACKEND`, default wasm, and the formulations
 * `TEST_FORMULATION`, default fastest.
 */
import { useBackend } from '../src/backends/index.ts';
import type { BackendName } from '../src/backends/types.ts';
import { type FormulationSet, useFormulations } from '../src/ops/index.ts';

export const testFormulation = (process.env.TEST_FORMULATION ?? 'fastest') as FormulationSet;
export const testBackend = (process.env.TEST_BACKEND ?? 'wasm') as BackendName;

export const mochaHooks = {
  async beforeAll(): Promise<void> {
    // One thread: handing the tiny operations of tests to more costs far more than it saves.
    await useBackend(testBackend, { threads: 1 });
    useFormulations(testFormulation);
  },
};
