/** Indexes of several weight files that say anything. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { CheckpointError, openSharded, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { Choices, fuzzCases } from '../../harness/fuzz.ts';
import { mutated } from '../configs/mutatedJson.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

describe('mutated indexes', () => {
  it('are read in full or refused with one sentence, and nothing outside is read', () =>
    inTemporaryFolder(async (folder) => {
      await cp(fixture('sharded'), join(folder, 'unet'), { recursive: true });
      const outside = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) };
      await writeSafetensors(join(folder, 'outside.safetensors'), { outside });
      const path = join(folder, 'unet/diffusion_pytorch_model.safetensors.index.json');
      const index = await readFile(path, 'utf8');
      const second = 'diffusion_pytorch_model-00002-of-00002.safetensors';
      const ways = ['../outside.safetensors', join(folder, 'outside.safetensors'), '..', 'a\0'];
      let [readable, refused] = [0, 0];
      for (let seed = 0; seed < fuzzCases(600); seed++) {
        const choices = new Choices(seed);
        const out = choices.below(3) === 0 ? choices.of(ways) : second;
        const text = mutated(index.replace(second, JSON.stringify(out).slice(1, -1)), choices);
        await writeFile(path, text);
        try {
          const opened = await openSharded(path);
          expect(opened.names()).to.not.include('outside');
          for (const name of opened.names()) await opened.read(name);
          await opened.close();
          readable++;
        } catch (error) {
          expect(error, text.slice(0, 2000)).to.be.instanceOf(CheckpointError);
          await expectError(() => {
            throw error;
          });
          refused++;
        }
      }
      expect(readable).to.be.above(fuzzCases(50));
      expect(refused).to.be.above(fuzzCases(200));
    }));
});
