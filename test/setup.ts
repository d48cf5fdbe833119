/**
 * Selects what the tests run on: the backend `TEST_BACKEND`, default wasm, and the formulations
 * `TEST_FORMULATION`, default fastest.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { useBackend } from '../src/backends/index.ts';
import type { BackendName } from '../src/backends/types.ts';
import { type FormulationSet, useFormulations } from '../src/ops/index.ts';

export const testFormulation = (process.env.TEST_FORMULATION ?? 'fastest') as FormulationSet;
export const testBackend = (process.env.TEST_BACKEND ?? 'wasm') as BackendName;

/**
 * Keeps one of mocha's parallel processes, with every command that it runs, to a processor of its
 * own: the threads of these commands would take it from the other tests. Where there is no `taskset`,
 * they do. A WebGPU adapter in software computes on threads that have to run beside the process.
 */
function keepToOneProcessor(): void {
  const { MOCHA_WORKER_ID } = process.env;
  const processors = availableParallelism();
  if (MOCHA_WORKER_ID === undefined || testBackend === 'webgpu') return;
  if (processors === 1) return; // it does already
  const processor = Number(MOCHA_WORKER_ID) % processors;
  spawnSync('taskset', ['-acp', `${processor}`, `${process.pid}`]);
}

export const mochaHooks = {
  async beforeAll(): Promise<void> {
    keepToOneProcessor();
    // One thread: handing the tiny operations of tests to more costs far more than it saves.
    await useBackend(testBackend, { threads: 1 });
    useFormulations(testFormulation);
  },
};
