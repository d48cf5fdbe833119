/** LoRA behind a URL: as browsers load it, here in Node. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { loadLora, unloadLora } from '../../src/adapters/browser.ts';
import { addLora, saveLora } from '../../src/adapters/index.ts';
import { lorasOf } from '../../src/adapters/lora.ts';
import { Attention, weightedLayersIn } from '../../src/layers/index.ts';
import { serve } from '../browser/serve.ts';
import { expectError, inTemporaryFolder } from '../checkpoints/files.ts';

describe('loadLora over HTTP', () => {
  it('reads a file, and the config of peft beside it', () =>
    inTemporaryFolder(async (folder) => {
      const attention = new Attention({ queryDim: 8, heads: 2, dimHead: 4 });
      addLora(attention, { rank: 2, alpha: 3, seed: 1 });
      const inside = () => weightedLayersIn(attention).flatMap(lorasOf);
      const values = () => inside().map(({ down }) => [...down.read().dataSync()]);
      const expected = values();
      await saveLora(attention, join(folder, 'mine.safetensors'));
      await saveLora(attention, join(folder, 'adapter_model.safetensors'));
      await writeFile(join(folder, 'adapter_config.json'), '{"lora_alpha": 5}');
      unloadLora(attention);
      const tensors = tf.memory().numTensors;
      const server = await serve(folder);
      try {
        for (const [name, alpha] of [
          ['mine', 3],
          ['adapter_model', 5],
        ] as const) {
          const url = `${server.address}${name}.safetensors`;
          expect(await loadLora(attention, url, { cache: null, scale: 2 })).to.equal('default_0');
          expect(values(), name).to.deep.equal(expected);
          for (const lora of inside()) expect(lora).to.include({ alpha, rank: 2, scale: 2 });
          unloadLora(attention);
        }
        await expectError(
          () => loadLora(attention, `${server.address}none.safetensors`, { cache: null }),
          'none',
        );
      } finally {
        await server.close();
      }
      expect(tf.memory().numTensors).to.equal(tensors);
      attention.dispose();
    }));
});
