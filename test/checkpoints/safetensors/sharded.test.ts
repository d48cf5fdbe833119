/** Indexes of several weight files that say anything. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { CheckpointError, openSharded, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { mutateByte, mutateJson, randoms, rounds } from '../../harness/mutations.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

describe('mutated indexes', () => {
  it('are read in full or refused with one sentence, and nothing outside is read', () =>
    inTemporaryFolder(async (folder) => {
      await cp(fixture('sharded'), join(folder, 'unet'), { recursive: true });
      const outside = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) };
      await writeSafetensors(join(folder, 'outside.safetensors'), { outside });
      const path = join(folder, 'unet/diffusion_pytorch_model.safetensors.index.json');
      const index = await readFile(path, 'utf8');
      let [readable, refused] = [0, 0];
      for (let seed = 0; seed < rounds(600); seed++) {
        const random = randoms(seed);
        let bytes: Uint8Array = new TextEncoder().encode(
          JSON.stringify(mutateJson(JSON.parse(index), random)),
        );
        if (random(4) === 0) bytes = mutateByte(bytes, random(bytes.length), random);
        await writeFile(path, bytes);
        try {
          const opened = await openSharded(path);
          expect(opened.names()).to.not.include('outside');
          for (const name of opened.names()) await opened.read(name);
          await opened.close();
          readable++;
        } catch (error) {
          expect(error, new TextDecoder().decode(bytes)).to.be.instanceOf(CheckpointError);
          await expectError(() => {
            throw error;
          });
          refused++;
        }
      }
      expect(readable).to.be.above(rounds(50));
      expect(refused).to.be.above(rounds(200));
    }));
});
