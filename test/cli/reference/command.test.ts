/** `svd reference` with a stand-in for Python, which tells what it was asked to do. */
import { chmod, cp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { openSafetensors, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { reference } from '../../../src/cli/reference/command.ts';
import { forLora, inPip, pinned, requirements } from '../../../src/cli/reference/pinned.ts';
import { joinValues } from '../../../src/cli/terminal/arguments.ts';
import { commandOf } from '../../../src/cli/terminal/command.ts';
import { exitCode } from '../../../src/cli/terminal/errors.ts';
import { callDefaults } from '../../../src/pipelines/defaults.ts';
import { schedulerByName } from '../../../src/schedulers/index.ts';
import { built } from '../../harness/built.ts';
import { startSvd, svd, workFolder } from '../runs.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url));
const model = path('weights/tiny');
const picture = path('examples/pictures/toy-rocket.png');
const script = built('src/verification/dump_reference.py');

describe('svd reference', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
  });
  after(() => folder.remove());

  /** A Python that has every library, and does `work` instead of running a script. */
  async function standIn(work: string): Promise<string> {
    const python = folder.path('python');
    const versions = `[ "$2" != -c ] || { echo '${JSON.stringify({ ...pinned, ...forLora })}'; exit 0; }`;
    const output = 'for word; do [ "$last" = --output ] && output=$word; last=$word; done';
    await writeFile(python, `#!/bin/sh\n${versions}\n${output}\n${work}\n`);
    await chmod(python, 0o755);
    return python;
  }

  /** Arguments of a call whose Python does `work`. */
  const call = async (work: string, ...rest: string[]) => [
    ...['reference', picture, '--model', model, '--python', await standIn(work)],
    ...['--output', folder.path('reference.safetensors'), ...rest],
  ];

  it('runs the packed script, isolated, with whole paths and the settings of the call', async () => {
    const work = `ls -A > ${folder.path('files')}; printf '%s\\n' "$@" > ${folder.path('words')}; echo made > "$output"`;
    const settings = ['--num-frames', '4', '--seed', '-5', '--seed', '7', '--sigmas', '9,1,0'];
    const { code, stdout, stderr } = await svd(...(await call(work, ...settings, '--blocks')));
    expect([code, stderr]).to.deep.equal([0, 'note: diffusers computes the reference\n']);
    expect(stdout).to.equal(`${folder.path('reference.safetensors')}\n`);
    expect(await readFile(folder.path('reference.safetensors'), 'utf8')).to.equal('made\n');
    expect(await readFile(folder.path('files'), 'utf8')).to.equal('');
    const words = (await readFile(folder.path('words'), 'utf8')).trim().split('\n');
    expect(words.slice(0, 6)).to.deep.equal(['-I', script, picture, '--model', model, '--output']);
    expect(words.slice(7)).to.include.members([
      ...['--num-frames=4', '--seed=-5', '--seed=7', '--sigmas=9,1,0', '--blocks=0'],
      ...[`--model-name=${model}`, '--device=cpu', `--fps=${callDefaults.fps}`],
    ]);
    const source = await readFile(script, 'utf8');
    for (const word of words.slice(7)) {
      const [, flag] = /^--([\w-]+)=/.exec(word)!;
      expect(source, flag).to.match(new RegExp(`'--${flag}'|\\b${flag.replaceAll('-', '_')}=`));
    }
  });

  it('passes the configuration of a scheduler, and the noise levels of a schedule', async () => {
    const words = folder.path('words');
    const work = `printf '%s\\n' "$@" > ${words}; echo made > "$output"`;
    await svd(...(await call(work, '--scheduler', 'dpmpp-2m-sde')));
    const [, json] = /^--scheduler=(.*)$/m.exec(await readFile(words, 'utf8'))!;
    expect(JSON.parse(json!)).to.deep.equal(schedulerByName('dpmpp-2m-sde').toConfig());
    await svd(...(await call(work, '--schedule', 'ays', '--steps', '2')));
    expect(await readFile(words, 'utf8')).to.match(/^--sigmas=700,1\.789\d*,0$/m);
  });

  it('hands another UNet to Python, or says how it becomes one of diffusers', async () => {
    const weights = `${model}/unet/diffusion_pytorch_model.safetensors`;
    const work = `printf '%s\\n' "$@" > ${folder.path('words')}; echo made > "$output"`;
    const { code } = await svd(...(await call(work, '--unet', `${model}/unet`)));
    expect(code).to.equal(0);
    const words = (await readFile(folder.path('words'), 'utf8')).split('\n');
    expect(words).to.include.members([
      `--unet=${weights}`,
      `--unet-config=${model}/unet/config.json`,
    ]);
    const source = await readFile(script, 'utf8');
    for (const flag of ['--unet', '--unet-config']) expect(source).to.contain(`'${flag}'`);
    const original = folder.path('original.safetensors');
    await convertCheckpoint(model, original, { to: 'original' });
    const refused = await svd(...(await call(work, '--unet', original)));
    expect(refused.code).to.equal(2);
    expect(refused.stderr).to.contain(`svd convert ${model} FOLDER/ --unet ${original} --to diff`);
  });

  it('hands LoRA to Python as copies in the names of peft, with what they are', async () => {
    const values = { dtype: 'F16' as const, shape: [1, 64], data: new Float32Array(64).fill(0.5) };
    const layer = 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q';
    const lora = folder.path('kohya.safetensors');
    await writeSafetensors(lora, {
      [`${layer}.lora_down.weight`]: values,
      [`${layer}.lora_up.weight`]: { ...values, shape: [64, 1] },
      [`${layer}.alpha`]: { dtype: 'F32', shape: [], data: Float32Array.of(3) },
    });
    const kept = folder.path('kept.safetensors');
    const work = `cp lora-1.safetensors ${kept}; printf '%s\\n' "$@" > ${folder.path('words')}; echo made > "$output"`;
    const { code } = await svd(...(await call(work, '--lora', lora, '--lora', `${lora}=-0.5`)));
    expect(code).to.equal(0);
    const words = await readFile(folder.path('words'), 'utf8');
    expect(words).to.match(/^--lora=.*\/lora-0\.safetensors=1\n--lora=.*-1\.safetensors=-0\.5\n/m);
    const described = JSON.parse(/^--lora-files=(.*)$/m.exec(words)![1]!);
    expect(described).to.have.lengthOf(2);
    expect(described[1]).to.include({ file: 'kohya.safetensors', scale: -0.5 });
    const file = await openSafetensors(kept);
    const path = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
    expect(file.names()).to.deep.equal([`${path}.lora_A.weight`, `${path}.lora_B.weight`]);
    expect(await file.read(`${path}.lora_B.weight`)).to.deep.equal(values.data);
    await file.close();
    expect(JSON.parse(file.metadata.lora_adapter_metadata!)).to.include({ r: 1, lora_alpha: 3 });
    const refused = await svd(...(await call(work, '--lora', `${lora}=x`)));
    expect(refused.code).to.equal(2);
  });

  it('leaves what was there when Python fails, and says why', async () => {
    const output = folder.path('reference.safetensors');
    await writeFile(output, 'before');
    const { code, stderr } = await svd(
      ...(await call('echo half > "$output"; echo "RuntimeError: out of memory" >&2; exit 1')),
    );
    expect(code).to.equal(1);
    expect(stderr).to.match(/ failed \(exit code 1\): RuntimeError: out of memory\n$/);
    expect(await readFile(output, 'utf8')).to.equal('before');
    expect(
      (await readdir(folder.path('.'))).filter((name) => name.startsWith('.svd')),
    ).to.deep.equal([]);
  });

  it('stops Python at Ctrl-C', async () => {
    const started = folder.path('started');
    const { child, ended } = startSvd(await call(`echo $$ > ${started}; exec sleep 600`));
    let pid = '';
    while (!/\n/.test(pid)) {
      await new Promise((done) => setTimeout(done, 50));
      pid = await readFile(started, 'utf8').catch(() => '');
    }
    child.kill('SIGINT');
    expect((await ended).code).to.equal(130);
    expect(() => process.kill(Number(pid), 0)).to.throw('ESRCH');
  });

  it("checks that diffusers has the model's sampler, which follows the noise levels", async () => {
    const other = folder.path('sampled');
    const index = JSON.parse(await readFile(`${model}/model_index.json`, 'utf8'));
    await cp(model, other, {
      recursive: true,
      filter: (source) => !source.endsWith('.safetensors') && !source.includes('train'),
    });
    const output = ['--output', folder.path('sampled.safetensors')];
    const refusals: [sampler: string, args: string[], words: RegExp][] = [
      [
        'EDMEulerScheduler',
        ['--sigmas', '9,1,0'],
        /the model's EDMEulerScheduler takes no --sigmas/,
      ],
      ['EDMDPMSolverMultistepScheduler', ['--schedule', 'ays'], /takes no --schedule: add --sch/],
      [
        'AnimateLCMSVDStochasticIterativeScheduler',
        [],
        /^error: the model's Anim.+ not in diffusers/,
      ],
    ];
    for (const [sampler, args, words] of refusals) {
      const named = { ...index, scheduler: ['diffusers', sampler] };
      await writeFile(`${other}/model_index.json`, JSON.stringify(named));
      const python = await standIn('exit 3');
      const given = ['--model', other, '--python', python, ...output, ...args];
      const { code, stderr } = await svd('reference', picture, ...given);
      expect([code, stderr.split('\n').length]).to.deep.equal([2, 2]);
      expect(stderr).to.match(words);
    }
  });

  it('checks everything before Python starts', async () => {
    const output = folder.path('reference.safetensors');
    const link = folder.path('link.safetensors');
    await symlink(`${model}/unet/diffusion_pytorch_model.safetensors`, link);
    const refusals: [args: string[], code: number, words: RegExp][] = [
      [[], 2, /takes one IMAGE or several/],
      [['none.png'], 1, /^There is no picture "none\.png" \(looked at .+\)\. Check the path\.$/],
      [['-'], 2, /takes the path or URL of a picture, not standard input/],
      [[picture, picture, '--num-videos-per-prompt', '2'], 2, /mixes up the latents of several/],
      [[picture, '--scheduler', 'animatelcm'], 2, /animatelcm is not in diffusers/],
      [[picture, '--schedule', 'ays', '--sigmas', '1,0'], 2, /are two schedules/],
      [
        [picture, '--scheduler', 'dpmpp-2m', '--schedule', 'ays'],
        ...([2, /In diffusers, --scheduler dpmpp-2m takes no --schedule: leave out one/] as const),
      ],
      [[picture, '--device', 'cuda'], 2, /--device cuda needs --python/],
      [[picture, '--variant', 'fp16'], 1, /fp16/],
      [[picture, '--output', link], 2, /would replace a file of the model/],
      [[picture, '--output', 'a.mp4'], 2, /--output has to end with \.safetensors but is "a\.mp4"/],
      [[picture, '--output', '/none/a.safetensors'], 1, /there is no folder \/none\. Create it/],
    ];
    for (const [args, code, words] of refusals) {
      const target = args.includes('--output') ? [] : ['--output', output];
      const command = commandOf(reference, () => {});
      const given = joinValues(['--model', model, ...args, ...target], reference.options);
      const error: Error = await command.parseAsync(given, { from: 'user' }).then(
        () => new Error('none'),
        (error) => error,
      );
      expect(error.message).to.match(words);
      expect(exitCode(error), error.message).to.equal(code);
    }
  });

  it('pins every library of its list', async () => {
    const lines = requirements.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(inPip(pinned)).to.deep.equal(lines);
    const ofTests = new URL('../../reference/requirements.txt', import.meta.url);
    expect(await readFile(ofTests, 'utf8')).to.include(`\n${inPip(forLora)}\n`);
  });
});
