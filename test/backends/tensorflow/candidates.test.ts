/** Which of several TensorFlows is taken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { tensorflowFolder, tfjsNodeFolder } from '../../../src/backends/tensorflow/folder.ts';
import { inFreshProcess } from '../freshProcess.ts';

describe('candidates', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'svd-'));
    const places = [
      tfjsNodeFolder(join(folder, 'own', tensorflowFolder('cpu'))),
      tfjsNodeFolder(join(folder, 'own', tensorflowFolder('gpu'))),
      join(folder, 'npm/@tensorflow/tfjs-node'),
      join(folder, 'npm/@tensorflow/tfjs-node-gpu'),
    ];
    for (const place of places) {
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'package.json'), '{ "version": "4.22.0" }');
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  const labels = (card: boolean, own = 'own') =>
    inFreshProcess<string[]>(
      `const { candidates } = await import('./src/backends/tensorflow/backend.ts');
      give(candidates(${card}).map(({ label }) => label.replace('@tensorflow/', '')));`,
      { SVD_TENSORFLOW_DIR: join(folder, own), NODE_PATH: join(folder, 'npm') },
    );

  it('are ours for cards, ours, and those of npm', async () => {
    expect(await labels(true)).to.deep.equal([
      'tfjs-node (svd setup tensorflow --gpu)',
      'tfjs-node (svd setup tensorflow)',
      'tfjs-node-gpu',
      'tfjs-node',
    ]);
  });

  it('never begin with a build for cards where there is none', async () => {
    expect(await labels(false)).to.deep.equal([
      'tfjs-node (svd setup tensorflow)',
      'tfjs-node',
      'tfjs-node (svd setup tensorflow --gpu)',
      'tfjs-node-gpu',
    ]);
    expect(await labels(false, 'nothing')).to.deep.equal(['tfjs-node', 'tfjs-node-gpu']);
  });
});
