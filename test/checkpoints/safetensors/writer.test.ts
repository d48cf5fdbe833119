import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import {
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoints/safetensors/writer.ts';
import { bits, expectError, fixture, inTemporaryFolder } from '../files.ts';

describe('writeSafetensors', () => {
  it('writes the very bytes that the Python library writes, rounding to half types as torch does', () =>
    inTemporaryFolder(async (folder) => {
      const reference = await openSafetensors(fixture('dtypes.safetensors'));
      const tensors: Record<string, TensorToWrite> = {};
      for (const name of reference.names().reverse()) {
        const { dtype, shape } = reference.info(name);
        // Half types are made from the float32 values of the same name.
        const half = /^(edges|matrix)\.b?f16$/.exec(name);
        const data =
          half === null ? await reference.readRaw(name) : await reference.read(`${half[1]}.f32`);
        tensors[name] = { dtype, shape, data };
      }
      await reference.close();
      const path = join(folder, 'a.safetensors');
      await writeSafetensors(path, tensors, { format: 'pt' });
      expect((await readFile(path)).equals(await readFile(fixture('dtypes.safetensors')))).to.equal(
        true,
      );
      expect(await readdir(folder)).to.deep.equal(['a.safetensors']);
    }));

  it('asks for the tensors one after the other', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'a.safetensors');
      const log: string[] = [];
      const lazy = (name: string, value: number): TensorToWrite => ({
        dtype: 'F32',
        shape: [2],
        data: async () => {
          log.push(`${name} begins`);
          await new Promise((resolve) => setTimeout(resolve, 1));
          log.push(`${name} ends`);
          return Float32Array.of(value, -value);
        },
      });
      await writeSafetensors(path, { b: lazy('b', 2), a: lazy('a', 1) });
      expect(log).to.deep.equal(['a begins', 'a ends', 'b begins', 'b ends']);
      const file = await openSafetensors(path);
      expect([...(await file.read('b'))]).to.deep.equal([2, -2]);
      expect(file.metadata).to.deep.equal({});
      await file.close();
    }));

  it('stores float64 and views', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'a.safetensors');
      const view = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
      await writeSafetensors(path, {
        d: { dtype: 'F64', shape: [2], data: view },
        f: { dtype: 'F32', shape: [2], data: view },
      });
      const file = await openSafetensors(path);
      expect(file.info('d').bytes).to.equal(16);
      for (const name of ['d', 'f'])
        expect(bits(await file.read(name))).to.deep.equal(bits(Float32Array.of(2, 3)));
      await file.close();
    }));

  it('takes a path and a table of tensors, and text beside them', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'a.safetensors');
      const write = writeSafetensors as (...args: unknown[]) => Promise<void>;
      const a = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
      for (const [args, sentence] of [
        [[undefined, {}], '`path` has to be a string but is undefined.'],
        [[{ a }, path], '`path` has to be a string but is an Object.'],
        [[path, null], '`tensors` has to be an object but is null.'],
        [[path, [a]], '`tensors` has to be an object but is [an Object].'],
        [[path, { a: 5 }], '`a` has to be an object but is 5.'],
        [[path, { a: { ...a, dtype: 'float32' } }], '`a.dtype` has to be one of'],
        [[path, { a: { ...a, shape: 1 } }], '`a.shape` has to be a list but is 1.'],
        [[path, { a: { ...a, data: [1] } }], '`a.data` has to be a Float32Array, a Uint8Array or'],
        [[path, { a }, 5], '`metadata` has to be an object but is 5.'],
        [[path, { a }, { seed: 5 }], '`metadata.seed` has to be a string but is 5.'],
      ] as const)
        expect((await write(...args).catch((error) => error)).message).to.contain(sentence);
      expect(await readdir(folder)).to.deep.equal([]);
    }));

  it('leaves the former file and nothing else when it fails', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'a.safetensors');
      await writeFile(path, 'former');
      const wrong: TensorToWrite = { dtype: 'F32', shape: [3], data: new Float32Array(2) };
      await expectError(() => writeSafetensors(path, { wrong }), '"wrong" has 8 bytes', 'need 12');
      const integer: TensorToWrite = { dtype: 'I32', shape: [2], data: new Float32Array(2) };
      await expectError(
        () => writeSafetensors(path, { integer }),
        '"integer"',
        'I32',
        'not one of F32',
      );
      const impossible: TensorToWrite = { dtype: 'F32', shape: [1.5], data: new Float32Array(2) };
      await expectError(() => writeSafetensors(path, { impossible }), '"impossible"', '[1.5]');
      const reason = new Error('stopped');
      const stopped: TensorToWrite = {
        dtype: 'F32',
        shape: [2],
        data: () => Promise.reject(reason),
      };
      expect(await writeSafetensors(path, { stopped }).catch((error) => error)).to.equal(reason);
      expect(await readdir(folder)).to.deep.equal(['a.safetensors']);
      expect(await readFile(path, 'utf8')).to.equal('former');
      await expectError(
        () => writeSafetensors(join(folder, 'none', 'a.safetensors'), {}),
        'Cannot write',
        'does not exist',
      );
    }));
});
