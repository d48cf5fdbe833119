/**
 * `svd verify`, run as users run it, on a reference that `dump_reference.py` wrote from the
 * checkpoint that comes with this package.
 */
import { readFile, symlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  camelCaseConfig,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import type { BackendResult } from '../../src/cli/verify/backends.ts';
import { version } from '../../src/cli/version.ts';
import { type AnyBlock, withoutWeights } from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { startSvd, svd, workFolder, writeSmallCheckpoint } from '../cli/runs.ts';
import { testBackend } from '../setup.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const model = path('weights/tiny');
const reference = path('test/fixtures/verify/shipped-model.safetensors');

/** The paths of the blocks that `dump_reference.py --blocks` stores. */
const stored =
  /^((.+\.)?(resnets|attentions|downsamplers|upsamplers)\.\d+|(add_)?time_proj|(add|time)_embedding)$/;

function pathsBelow(block: AnyBlock, prefix = ''): string[] {
  return block.children.flatMap((child) => [
    prefix + child.name,
    ...pathsBelow(child, `${prefix}${child.name}.`),
  ]);
}

/** The names that all blocks of the checkpoint have in a reference. */
async function blocksOfModel(): Promise<string[]> {
  const config = async (part: string) =>
    camelCaseConfig(JSON.parse(await readFile(`${model}/${part}/config.json`, 'utf8')));
  const models = {
    unet: new UNetSpatioTemporalConditionModel(await config('unet')),
    vae: new AutoencoderKLTemporalDecoder(await config('vae')),
  };
  const names = Object.entries(models).flatMap(([name, model]) => {
    withoutWeights(() => model.build());
    const paths = pathsBelow(model);
    model.dispose();
    return paths.filter((path) => stored.test(path)).map((path) => `block.${name}.${path}`);
  });
  // With one residual block there, diffusers stores this attention and never runs it.
  return names.filter((name) => name !== 'block.vae.decoder.mid_block.attentions.0');
}

/** The lines of the table of stages and blocks, by name. */
function rowsOf(printed: string): Map<string, string> {
  const [, table = ''] = printed.split(/^stage or block .*\n/m);
  const lines = table.split('\n').filter((line) => /e[+-]\d+ (within|ABOVE) /.test(line));
  const named = (name: string) => (/^(unet|vae)\./.test(name) ? `block.${name}` : name);
  return new Map(lines.map((line) => [named(line.split(' ')[0]!), line]));
}

describe('svd verify with what diffusers computed of the shipped model', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let tensors: Record<string, TensorToWrite>;
  let metadata: Record<string, string>;
  /** Everything that is compared. */
  let stages: string[];

  before(async () => {
    folder = await workFolder();
    const file = await openSafetensors(reference);
    tensors = {};
    for (const name of file.names()) {
      const { shape } = file.info(name);
      const isPicture = name.startsWith('input.');
      tensors[name] = isPicture
        ? { dtype: 'U8', data: await file.readRaw(name), shape }
        : { dtype: 'F32', data: await file.read(name), shape };
    }
    metadata = file.metadata;
    await file.close();
    stages = Object.keys(tensors).filter((name) => !/^(input|float64)\./.test(name));
  });
  after(() => folder.remove());

  /** Writes the reference with other tensors or arguments. */
  async function changed(
    name: string,
    { tensor = {}, args = {} }: { tensor?: Record<string, TensorToWrite>; args?: object },
  ) {
    const file = folder.path(`${name}.safetensors`);
    const others = {
      ...metadata,
      args: JSON.stringify({ ...JSON.parse(metadata.args!), ...args }),
    };
    await writeSafetensors(file, { ...tensors, ...tensor }, others);
    return file;
  }

  const verify = (file: string, ...rest: string[]) =>
    svd('verify', '--model', model, '--reference', file, '--quiet', ...rest);
  const here = ['--backend', testBackend];

  it('holds a reference with every block of the UNet and the VAE', async () => {
    expect(stages).to.include.members(await blocksOfModel());
    const args = JSON.parse(metadata.args!);
    const steps = Array.from(
      { length: args.num_inference_steps },
      (_, step) => `latents_step_${step}`,
    );
    const others = [
      'image_embeddings',
      'image_noise',
      'image_latents',
      'added_time_ids',
      'initial_latents',
      'frames',
    ];
    expect(stages.filter((name) => !name.startsWith('block.'))).to.have.members([
      ...others,
      ...steps,
    ]);
  });

  it('prints every stage and block, all within tolerance', async () => {
    const { code, stdout, stderr } = await verify(reference, ...here, '--blocks');
    expect([code, stderr]).to.deep.equal([0, '']);
    const rows = rowsOf(stdout);
    expect([...rows.keys()]).to.have.members(stages);
    for (const line of rows.values()) expect(line).to.match(/ within (1e-6|3e-5|1e-4) /);
    const parts = stdout.split('\n\n')[0]!.split('\n').slice(2);
    expect(parts.map((line) => /^(step )?\w+/.exec(line)![0])).to.deep.equal([
      ...['noise', 'embeddings', 'encode', 'step 1', 'step 2', 'step 3', 'decode', 'frames'],
    ]);
    expect(stdout).to.match(new RegExp(`^${testBackend} .+ on .+\n`));
    expect(stdout).to.match(new RegExp(`\nAll ${stages.length} within tolerance\\.\n$`));
    for (const line of stdout.split('\n')) expect(line.length, line).to.be.at.most(80);
    const order = [...rows.keys()];
    expect(order.indexOf('block.unet.time_proj')).to.equal(order.indexOf('initial_latents') + 1);
    expect(order.indexOf('block.unet.conv_out')).to.equal(order.indexOf('latents_step_0') - 1);
  });

  it(
    "is nearer still where every stage works on the reference's, and lists in JSON what was " +
      'compared @slow',
    async () => {
      const { code, stdout, stderr } = await verify(
        reference,
        ...here,
        '--stage-inputs',
        'reference',
        '--json',
      );
      expect([code, stderr]).to.deep.equal([0, '']);
      expect(stdout.trimEnd()).not.to.contain('\n');
      const { checkpoint, referenceVersions, results, ...told } = JSON.parse(stdout);
      expect(told).to.deep.equal({
        model,
        reference,
        stageInputs: 'reference',
        within: true,
        version,
      });
      const made = JSON.parse(metadata.checkpoint!);
      expect([checkpoint.id, checkpoint.files]).to.deep.equal(['tiny', made.files]);
      expect(checkpoint.hash).to.match(/^[0-9a-f]{64}$/);
      expect(referenceVersions).to.have.all.keys('diffusers', 'torch', 'transformers');
      const [result, ...rest] = results as BackendResult[];
      expect(rest).to.deep.equal([]);
      expect(result)
        .to.include({ backend: testBackend, within: true })
        .and.not.have.property('firstBroken');
      expect(result!.version).to.match(/^\d+\.\d+\.\d+/);
      expect(result!.stages!.map(({ stage }) => stage)).to.have.members(stages);
      for (const { stage, within, tolerance, comparison } of result!.stages!) {
        expect(within, stage).to.equal(true);
        expect(comparison!.shape, stage).to.deep.equal(tensors[stage]!.shape);
        expect(comparison!.relativeL2, stage).to.be.at.most(
          stage.startsWith('block.') ? 1e-5 : tolerance,
        );
      }
    },
  );

  it(
    'marks a block that is not as in the reference as the first and only one that breaks, and ' +
      'exits with 1 @slow',
    async () => {
      const name = 'block.unet.mid_block.attentions.0';
      const tensor = tensors[name]!;
      const flipped = { ...tensor, data: (tensor.data as Float32Array).map((value) => -value) };
      const { code, stdout } = await verify(
        await changed('flipped', { tensor: { [name]: flipped } }),
        ...here,
      );
      expect(code).to.equal(1);
      const rows = [...rowsOf(stdout)];
      expect(rows.map(([stage]) => stage)).to.deep.equal([name]);
      expect(rows[0]![1]).to.match(/ 2\.0e\+0 ABOVE 3e-5 +\S+ +-1\.0{6}$/);
      expect(stdout).to.match(/^step 1 +\S+ within 1e-4 +2\.0e\+0 mid_block\.attentions\.0$/m);
      expect(stdout).to.match(
        new RegExp(`\n1 of ${stages.length} above tolerance, first ${name}\\.\n$`),
      );
    },
  );

  it('writes one page with the plot and the frames, and prints Markdown @slow', async () => {
    const page = folder.path('report.html');
    const { code, stdout } = await verify(reference, ...here, '--report', page, '--markdown');
    expect(code).to.equal(0);
    expect(stdout).to.match(/^### svd verify: within tolerance\n/);
    expect(stdout).to.match(
      /^\| part \| relative L2 \| worst block \|\n\| --- \| --- \| --- \|\n\| noise /m,
    );
    const html = await readFile(page, 'utf8');
    expect(html.match(/<svg /g)).to.have.length(1);
    expect(html.match(/<img alt="[^"]*" src="data:image\/png;base64,/g)).to.have.length(3 * 2);
    expect(html).not.to.match(/(src|href)="(?!data:)|url\(|<script|@import/);
    for (const name of stages) expect(html).to.contain(`<td>${name}</td>`);
  });

  it('refuses a page in the place of the reference, of the model, or nowhere, at once', async () => {
    const link = folder.path('link.html');
    await symlink(reference, link);
    const weights = folder.path('weights.html');
    await symlink(`${model}/vae/diffusion_pytorch_model.safetensors`, weights);
    for (const [file, code, words] of [
      [link, 2, /--report ".*" would replace the reference, ".*"\. Use another name\./],
      [weights, 2, /--report ".*" would replace a file of the model/],
      [folder.path('none/report.html'), 1, /there is no folder/],
      ['report.txt', 2, /--report has to end with \.html but is "report\.txt"/],
    ] as const) {
      const result = await verify(reference, ...here, '--report', file);
      expect([result.code, result.stdout], file).to.deep.equal([code, '']);
      expect(result.stderr).to.match(words);
    }
  });

  it('says when other versions have made the reference', async () => {
    const path = folder.path('versions.safetensors');
    const versions = { diffusers: '0.30.1', torch: '2.13.0+cu130', transformers: '5.23.0' };
    await writeSafetensors(path, tensors, { ...metadata, versions: JSON.stringify(versions) });
    const { code, stdout } = await verify(path, ...here);
    expect(code).to.equal(0);
    expect(stdout.replaceAll('\n', ' ')).to.contain(
      "measured with other versions than the reference's, which has diffusers 0.30.1 instead of 0.",
    );
  });

  it('goes over all backends, and passes over those that cannot be used, with a sentence @slow', async () => {
    // No adapter is found where there is no driver, whatever else the machine has.
    const noDriver = { VK_DRIVER_FILES: '/nowhere', VK_ICD_FILENAMES: '/nowhere' };
    const { ended } = startSvd(
      [
        'verify',
        '--model',
        model,
        '--reference',
        reference,
        '--backend',
        'all',
        '--quiet',
        '--json',
      ],
      noDriver,
    );
    const { code, stdout } = await ended;
    const { within, results } = JSON.parse(stdout) as { within: boolean; results: BackendResult[] };
    expect(results.map(({ backend }) => backend)).to.deep.equal([
      'tensorflow',
      'webgpu',
      'wasm',
      'cpu',
    ]);
    expect([code, within]).to.deep.equal([0, true]);
    for (const { backend, stages: compared, problem } of results) {
      if (problem !== undefined) expect(problem, backend).to.match(/^passed over\. .+\.$/);
      else expect(compared!.map(({ stage }) => stage)).to.have.members(stages);
    }
    const asked = results
      .filter(({ problem }) => problem === undefined)
      .map(({ backend }) => backend);
    expect(asked).to.include.members([testBackend, 'wasm', 'cpu']);
    if (process.platform === 'linux') expect(asked).not.to.include('webgpu');
  });

  it('refuses in one sentence a reference of another checkpoint', async () => {
    const other = folder.path('other');
    await writeSmallCheckpoint(other);
    const { code, stdout, stderr } = await svd(
      'verify',
      '--model',
      other,
      '--reference',
      reference,
      '--quiet',
      ...here,
    );
    expect([code, stdout]).to.deep.equal([1, '']);
    expect(stderr).to.equal(
      'error: The reference was made from another checkpoint, weights/tiny: ' +
        'image_encoder/model.safetensors differs, ' +
        'unet/diffusion_pytorch_model.safetensors differs, ' +
        'vae/diffusion_pytorch_model.safetensors differs. Make one from this checkpoint.\n',
    );
  });

  it('refuses in one sentence a reference whose tensors are of another shape than its call', async () => {
    const wider = await changed('wider', { args: { width: 24 } });
    const { code, stdout, stderr } = await verify(wider, ...here);
    expect([code, stdout]).to.deep.equal([1, '']);
    expect(stderr).to.equal(
      `error: ${wider}: frames has the shape [1,2,8,16,3] but its arguments mean [1,2,8,24,3]. ` +
        'Make the reference again.\n',
    );
  });
});
