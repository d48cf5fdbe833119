/** UNets of the hub, beside a model here or of the hub. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { hubPlace } from '../../../src/checkpoints/hub/address.ts';
import {
  downloadModel,
  identifyCheckpoint,
  locateUnet,
  locateWithUnet,
} from '../../../src/checkpoints/index.ts';
import { expectError } from '../files.ts';
import { commit, type Files, filesOf, hubForEach, id } from '../hub/server.ts';
import { UNET, writeUnets } from './unets.ts';

describe('locateUnet', () => {
  let folder: string;
  let model: Files;
  let half: Files;
  let lcm: Buffer;
  const path = (name: string) => join(folder, name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unet-'));
    await writeUnets(folder);
    model = await filesOf(path('model'));
    half = await filesOf(path('half/unet_lcm'));
    lcm = await readFile(path('lcm.safetensors'));
  });
  const hub = hubForEach(
    () => ({ 'README.md': Buffer.from('# LCM'), 'lcm.safetensors': lcm }),
    () => path('home'),
  );
  afterEach(() => rm(path('cache'), { recursive: true, force: true }));
  after(() => rm(folder, { recursive: true }));

  const options = () => ({ cacheDir: path('cache'), pause: 10 });
  const snapshot = (file: string) =>
    path(`cache/models--some-org--some-model/snapshots/${commit}/${file}`);

  it('fetches the only UNet, the one that is named, shards, and the config beside it', async () => {
    const once = await locateUnet(id, options());
    expect(once).to.equal(snapshot('lcm.safetensors'));
    expect(await readFile(once)).to.deep.equal(lcm);
    for (const [name, content] of Object.entries(half)) hub().files[`unet_lcm/${name}`] = content;
    const file = 'unet_lcm/diffusion_pytorch_model.fp16.safetensors';
    for (const name of [`${id}/unet_lcm`, `${id}/${file}`, `hf://${id}@main/unet_lcm`])
      expect(await locateUnet(name, options()), name).to.equal(snapshot(file));
    const address = `${hub().endpoint}/${id}/blob/main/${file}?download=true`;
    expect(await locateUnet(address, options())).to.equal(snapshot(file));
    expect(await readFile(snapshot('unet_lcm/config.json'))).to.deep.equal(half['config.json']);
    const identity = await identifyCheckpoint(path('model'), { unet: snapshot(file) });
    expect(identity.unet).to.deep.equal({ id: `${id}/${file}`, revision: commit });
    expect(identity.files).to.include.keys('unet/config.json');
    hub().files = {};
    for (const [name, content] of Object.entries(await filesOf(path('sharded'))))
      hub().files[name] = content;
    const { unet } = await locateWithUnet(path('model'), id, options());
    expect(unet).to.equal(snapshot('unet/diffusion_pytorch_model.safetensors.index.json'));
    const { files } = await identifyCheckpoint(path('model'), { unet });
    expect(Object.keys(files).filter((name) => name.includes('-of-'))).not.to.be.empty;
  });

  it('uses what is in the cache where nothing may be fetched, or says what to run', async () => {
    const offline = () => ({ ...options(), localFilesOnly: true });
    const name = `${id}/lcm.safetensors`;
    await expectError(
      () => locateUnet(name, offline()),
      'The cache lacks lcm.safetensors of some-org/some-model',
      `Run \`svd download MODEL --unet ${name}\` online first.`,
    );
    await locateUnet(name, options());
    const asked = hub().seen.length;
    expect(await locateUnet(name, offline())).to.equal(snapshot('lcm.safetensors'));
    expect(hub().seen).to.have.length(asked);
    expect(await locateUnet(id, offline())).to.equal(snapshot('lcm.safetensors'));
    hub().files['lcm-1.1.safetensors'] = lcm;
    await locateUnet(`${id}/lcm-1.1.safetensors`, options());
    await expectError(
      () => locateUnet(id, offline()),
      'has several files of weights: lcm-1.1.safetensors, lcm.safetensors.',
    );
    await rm(snapshot('lcm.safetensors'));
    await expectError(() => locateUnet(name, offline()), 'The cache lacks lcm.safetensors');
  });

  it('says which UNets there are, and what is not there', async () => {
    hub().files['lcm-1.1.safetensors'] = lcm;
    const all = 'lcm.safetensors, lcm-1.1.safetensors';
    await expectError(
      () => locateUnet(id, options()),
      `${id} has several files of weights: ${all}. Name one of them, such as ${id}/lcm.safetensors.`,
    );
    await expectError(
      () => locateUnet(`${id}/nothing.safetensors`, options()),
      `${id} has no nothing.safetensors: it has ${all}.`,
      `There is no file or folder "${id}/nothing.safetensors" here either.`,
    );
    await expectError(
      () => downloadModel(id, options()),
      'lacks model_index.json',
      'If it holds a UNet alone, pass it as `unet` (--unet), beside a whole model.',
    );
    await expectError(() => locateUnet('nowhere', options()), 'Cannot open the UNet "nowhere"');
    await expectError(() => locateUnet('nowhere/lcm.safetensors', options()), 'does not exist');
    expect(hub().seen.filter(({ path }) => path.includes('nowhere'))).to.be.empty;
    hub().files = { '../../../../lcm.safetensors': lcm };
    await expectError(() => locateUnet(id, options()), `${id} has no UNet`);
  });

  it("fetches no weights of the model's own UNet, and refuses others before the model", async () => {
    hub().files = { ...hub().files, ...model };
    const unet = `${id}/lcm.safetensors`;
    const found = await locateWithUnet(id, unet, options());
    expect(found).to.deep.equal({
      path: snapshot('.'),
      unet: snapshot('lcm.safetensors'),
    });
    const fetched = hub()
      .largeRequests()
      .map(({ path }) => path);
    expect(fetched).to.include.members([
      'lcm.safetensors',
      'vae/diffusion_pytorch_model.safetensors',
    ]);
    expect(fetched).not.to.include(UNET);
    const { hash } = await identifyCheckpoint(found.path, { unet: found.unet });
    expect(hash).to.equal((await identifyCheckpoint(path('model'), { unet: found.unet })).hash);
    hub().seen = [];
    await expectError(
      () => locateWithUnet(id, `${id}/vae/diffusion_pytorch_model.safetensors`, options()),
      'holds a VAE, not a UNet.',
    );
    await mkdir(path('local'));
    await writeFile(path('local/lcm.safetensors'), lcm);
    const local = await locateWithUnet(path('model'), path('local'), {});
    expect(local).to.deep.equal({ path: path('model'), unet: path('local/lcm.safetensors') });
  });
});

describe('hubPlace', () => {
  const rows: [text: string, place: ReturnType<typeof hubPlace>][] = [
    ['a/b', { id: 'a/b', revision: undefined, path: '' }],
    ['a/b/c/d.safetensors', { id: 'a/b', revision: undefined, path: 'c/d.safetensors' }],
    ['hf://a/b/c', { id: 'a/b', revision: undefined, path: 'c' }],
    ['hf://a/b@v1/c/d', { id: 'a/b', revision: 'v1', path: 'c/d' }],
    ['https://huggingface.co/a/b', { id: 'a/b', revision: undefined, path: '' }],
    ['https://huggingface.co/a/b/tree/v1/c', { id: 'a/b', revision: 'v1', path: 'c' }],
    ['hf.co/a/b/resolve/main/c%20d.x', { id: 'a/b', revision: 'main', path: 'c d.x' }],
    ['./a/b', undefined],
    ['/a/b', undefined],
    ['a', undefined],
    ['https://example.org/a/b', undefined],
  ];
  for (const [text, place] of rows)
    it(`reads ${text}`, () => expect(hubPlace(text)).to.deep.equal(place));
});
