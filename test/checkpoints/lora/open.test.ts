/** LoRA files: by their paths, in folders, and of the hub. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { identifyCheckpoint, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { findLora, locateLora } from '../../../src/checkpoints/lora/open.ts';
import { writeSmallCheckpoint } from '../../cli/runs.ts';
import { expectError } from '../files.ts';
import { commit, hubForEach, id, sha256 } from '../hub/server.ts';

describe('locateLora', () => {
  let folder: string;
  let lora: Buffer;
  const path = (name: string) => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lora-'));
    const one = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) };
    await writeSafetensors(path('a.safetensors'), { 'x.lora_A.weight': one });
    lora = await readFile(path('a.safetensors'));
  });
  const hub = hubForEach(
    () => ({ 'README.md': Buffer.from('# LoRA'), 'orbit.safetensors': lora }),
    () => path('home'),
  );
  afterEach(() => rm(path('cache'), { recursive: true, force: true }));
  after(() => rm(folder, { recursive: true }));

  const options = () => ({ cacheDir: path('cache'), pause: 10 });
  const snapshot = (file: string) =>
    path(`cache/models--some-org--some-model/snapshots/${commit}/${file}`);

  it('fetches the only one, the one that is named, and the config of peft beside it', async () => {
    for (const name of [id, `${id}/orbit.safetensors`])
      expect(await locateLora(name, options()), name).to.equal(snapshot('orbit.safetensors'));
    hub().files['peft/adapter_model.safetensors'] = lora;
    hub().files['peft/adapter_config.json'] = Buffer.from('{"lora_alpha": 7}');
    const { source, config } = await findLora(`${id}/peft`, options());
    await source.close();
    expect(source.names()).to.deep.equal(['x.lora_A.weight']);
    expect(config).to.deep.equal(JSON.parse('{"lora_alpha": 7}'));
    const offline = { ...options(), localFilesOnly: true };
    const requests = hub().seen.length;
    expect(await locateLora(`${id}/orbit.safetensors`, offline)).to.equal(
      snapshot('orbit.safetensors'),
    );
    expect(hub().seen.length).to.equal(requests);
  });

  it('says what there is, where it is not clear which one is meant', async () => {
    hub().files['zoom.safetensors'] = lora;
    const several = 'has several files of weights: orbit.safetensors, zoom.safetensors. Name one';
    await expectError(() => locateLora(id, options()), several);
    await expectError(
      () => locateLora(id, { ...options(), localFilesOnly: true }),
      `svd download MODEL --lora ${id}`,
    );
    await expectError(() => locateLora('nowhere.safetensors', options()), 'Cannot open the LoRA');
    await expectError(() => locateLora('lora.ckpt', options()), 'lora.ckpt');
    await mkdir(path('empty'), { recursive: true });
    await expectError(() => locateLora(path('empty'), options()), 'has no LoRA');
  });

  it('takes the file of the usual name in a folder, which is part of the identity', async () => {
    await mkdir(path('saved'));
    await writeFile(path('saved/other.safetensors'), lora);
    await writeFile(path('saved/pytorch_lora_weights.safetensors'), lora);
    const file = await locateLora(path('saved'));
    expect(file).to.equal(path('saved/pytorch_lora_weights.safetensors'));
    await writeSmallCheckpoint(path('model'));
    const plain = await identifyCheckpoint(path('model'));
    const { files, hash } = await identifyCheckpoint(path('model'), { loras: [file, file] });
    expect(files).to.deep.equal({
      ...plain.files,
      'lora/1/pytorch_lora_weights.safetensors': sha256(lora),
      'lora/2/pytorch_lora_weights.safetensors': sha256(lora),
    });
    expect(hash).to.not.equal(plain.hash);
  });
});
