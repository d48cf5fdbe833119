/** `--unet`: another UNet than that of the checkpoint. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { expect } from 'chai';
import { identifyCheckpoint, openCheckpoint } from '../../src/checkpoints/index.ts';
import { likeOutput } from '../../src/cli/generate/like.ts';
import { generateOptions } from '../../src/cli/generate/options.ts';
import { readArguments, readValues } from '../../src/cli/terminal/arguments.ts';
import { tensorsIn } from '../checkpoints/files.ts';
import { filesOf, id, sha256, TestHub } from '../checkpoints/hub/server.ts';
import { UNET, writeUnets } from '../checkpoints/unet/unets.ts';
import { generate, picture, readTensors, small, startSvd, svd, workFolder } from './runs.ts';

describe('--unet', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  const path = (name: string) => folder.path(name);
  const call = (model: string, output: string, ...rest: string[]) => [
    ...[picture('rocket.jpg'), '--model', path(model), '--output', path(output)],
    ...[...small, '--seed', '1', ...rest],
  ];

  before(async () => {
    folder = await workFolder();
    await writeUnets(path('.'));
  });
  after(() => folder.remove());

  it('makes the video of a checkpoint with that UNet, and is stored and repeated @slow', async () => {
    const unet = path('original-unet.safetensors');
    await generate(call('other', 'whole.safetensors'));
    const { settings } = await generate(call('model', 'a.safetensors', '--unet', unet));
    const whole = await readTensors(path('whole.safetensors'));
    const made = await readTensors(path('a.safetensors'));
    expect(made.tensors).to.deep.equal(whole.tensors);
    expect(settings.unet).to.equal(unet);
    expect(settings.checkpoint).to.deep.equal(await identifyCheckpoint(path('model'), { unet }));
    expect(settings.checkpoint!.unet).to.deep.equal({ id: 'original-unet.safetensors' });
    const hash = sha256(await readFile(unet));
    expect(settings.checkpoint!.files['unet/original-unet.safetensors']).to.equal(hash);
    const given = readArguments([], generateOptions);
    const values = readValues(given, generateOptions, 'generate');
    const like = await likeOutput(path('a.safetensors'), values, [], given.has);
    expect(like.values.unet).to.equal(unet);
    expect(like.hash).to.equal(settings.checkpoint!.hash);
    expect(like.hash).not.to.equal((await identifyCheckpoint(path('model'))).hash);
  });

  it('is described by svd info, planned, and refused where it does not fit @slow', async () => {
    const unet = path('half/unet_lcm');
    const made = await svd('info', '--model', path('model'), '--unet', unet);
    expect(made.code).to.equal(0);
    expect(made.stdout.replaceAll(/\s+/g, ' ')).to.match(
      /^model, with the UNet diffusion_pytorch_model\.fp16\.safetensors, in the format diffusers: .* unet [\d,]+ parameters, [\d.]+ MiB of F16 vae /,
    );
    expect(made.stdout).to.contain('  unet/diffusion_pytorch_model.fp16.safetensors\n');
    expect(made.stdout).not.to.contain(`  ${UNET}\n`);
    const json = await svd('info', '--model', path('model'), '--unet', unet, '--json');
    expect(JSON.parse(json.stdout).models.unet.dtypes).to.deep.equal(['F16']);
    const wrong = await svd('info', '--model', path('model'), '--unet', 'weights/tiny');
    expect(wrong.code).to.equal(1);
    expect(wrong.stderr).to.match(/^error: .*weights\/tiny\/unet\/config\.json: .*\.\n$/);
  });

  it('becomes part of a converted checkpoint', async () => {
    const args = ['convert', path('model'), path('both'), '--to', 'diffusers'];
    const made = await svd(...args, '--unet', path('bare.safetensors'));
    expect(made.code, made.stderr).to.equal(0);
    expect(await tensorsIn(path(`both/${UNET}`))).to.deep.equal(
      await tensorsIn(path(`other/${UNET}`)),
    );
  });

  it('is refused in one sentence, with nothing written @slow', async () => {
    for (const [unet, code, says] of [
      [picture('rocket.jpg'), 1, '--unet takes a folder or a .safetensors file, but'],
      [path('model/vae'), 1, 'holds a VAE, not a UNet.'],
      [path('nowhere.safetensors'), 1, 'does not exist'],
    ] as const) {
      const args = call('model', 'refused.safetensors', '--unet', unet);
      const made = await svd('generate', ...args);
      expect(made.code).to.equal(code);
      const last = made.stderr.trimEnd().split('\n').at(-1)!;
      expect(last)
        .to.match(/^error: [^\n]*\.$/)
        .and.contain(says);
    }
    const shard = (await readdir(path('sharded/unet'))).find((name) => name.includes('-of-'))!;
    for (const [unet, file] of [
      ['lcm.safetensors', 'lcm.safetensors'],
      ['sharded', `sharded/unet/${shard}`],
    ]) {
      const before = await readFile(path(file));
      const replacing = await svd('generate', ...call('model', file, '--unet', path(unet)));
      expect(replacing.code).to.equal(2);
      expect(replacing.stderr).to.contain('would replace a file of the model');
      expect(await readFile(path(file))).to.deep.equal(before);
    }
  });

  it('comes from the hub beside a checkpoint that is here, or with one of the hub @slow', async () => {
    const lcm = await readFile(path('lcm.safetensors'));
    const hub = await TestHub.start({
      ...(await filesOf(path('model'))),
      'lcm.safetensors': lcm,
    });
    const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: path('cache'), HF_HOME: path('home') };
    try {
      const unet = `${id}/lcm.safetensors`;
      const here = await startSvd(
        ['generate', ...call('model', 'hub.safetensors', '--unet', unet), '--token', 'hf_a'],
        env,
      ).ended;
      expect(here.code, here.stderr).to.equal(0);
      expect(here.stderr).to.contain(`there is no file or folder ${unet} here, so the UNet of the`);
      const there = await startSvd(['download', id, '--unet', unet, '--json'], env).ended;
      expect(there.code, there.stderr).to.equal(0);
      const report = JSON.parse(there.stdout);
      await using model = await openCheckpoint(report.folder, { unet: report.unet });
      expect((await model.weights('unet')).names()).not.to.be.empty;
      expect(hub.largeRequests().map((seen) => seen.path)).not.to.include(UNET);
      const info = await startSvd(['info', '--model', id, '--unet', unet], env).ended;
      expect(info.stdout).to.match(new RegExp(`^${id} at \\w+, with the UNet ${unet} at \\w+, in`));
    } finally {
      await hub.stop();
      await rm(path('cache'), { recursive: true, force: true });
    }
  });
});
