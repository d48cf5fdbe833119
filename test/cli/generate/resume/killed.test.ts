/** Real processes of `svd generate` that are killed, and the same commands after it. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { built } from '../../../harness/built.ts';
import { folderWithModel, onTestBackend, picture, startSvd } from '../../runs.ts';

/** Runs `svd generate`, keeps the state after every step, and sends itself a signal. */
const program = (stage: string, step: number, signal: string) => `
import { generateVideo } from '${built('src/cli/generate/generateVideo.js')}';
import { generateCommand } from '${built('src/cli/generate/checkCommand.js')}';
import { generateOptions } from '${built('src/cli/generate/options.js')}';
import { readArguments, readValues } from '${built('src/cli/terminal/arguments.js')}';
import { runSession } from '${built('src/cli/terminal/session.js')}';
const given = readArguments(process.argv.slice(2), generateOptions);
const values = readValues(given, generateOptions, 'generate');
const command = generateCommand(values, given.positionals);
await runSession(command, (session) => {
  const { update } = session.progress;
  session.progress.update = (progress) => {
    update(progress);
    const { stage, step } = progress;
    if (stage === '${stage}' && step === ${step}) process.kill(process.pid, '${signal}');
  };
  return generateVideo(command, session, () => true);
});
`;

describe('svd generate that is killed', () => {
  const folder = folderWithModel();
  const rocket = picture('rocket.jpg');
  const words = (output: string, ...args: string[]) => [
    ...[rocket, '--model', folder.path('model'), ...onTestBackend, '--output', output],
    ...['--height', '16', '--width', '24', '--num-frames', '2', '--num-inference-steps', '3'],
    ...args,
  ];
  const svd = async (...args: string[]) => {
    const { code, stderr } = await startSvd(['generate', ...args]).ended;
    expect(code, stderr).to.equal(0);
    return stderr;
  };

  /** @returns The signal that has ended the process, or its exit code. */
  function killed(args: string[], stage: string, step: number, signal = 'SIGKILL') {
    const path = folder.path('program.mjs');
    writeFileSync(path, program(stage, step, signal));
    const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    return new Promise<{ end: string | number | null; stderr: string }>((resolve) => {
      child.on('close', (code, by) => resolve({ end: by ?? code, stderr }));
    });
  }

  /** The bytes of each file whose name begins with that of the output. */
  const outputs = (name: string) =>
    Object.fromEntries(
      readdirSync(folder.path('.'))
        .filter((file) => file.startsWith(name))
        .sort()
        .map((file) => [file, readFileSync(folder.path(file))]),
    );

  for (const [what, output, args, stage, step] of [
    ['after the first step', 'a.mp4', ['--seed', '1'], 'sampling', 1],
    ['within the encoding of the picture', 'b.mp4', ['--seed', '1'], 'encoding', 1],
    [
      ...['of several videos with several generators, after a step', 'c.gif'],
      ...[['--num-videos-per-prompt', '2', '--seed', '1', '--seed', '7'], 'sampling', 2],
    ],
    [
      ...['with tensors and all stages, while it decodes', 'd.safetensors'],
      ...[['--seed', '4', '--dump', 'DUMP'], 'decoding', 0],
    ],
  ] as [string, string, string[], string, number][]) {
    // The last also writes tensors and every stage.
    const slow = what.startsWith('with') ? '' : ' @slow';
    it(`ends with the same bytes: ${what}${slow}`, async () => {
      const all = words(folder.path(output), ...args).map((word) =>
        word === 'DUMP' ? folder.path(`${output[0]}-dump.safetensors`) : word,
      );
      await svd(...all);
      const whole = outputs(output[0]!);
      for (const name of Object.keys(whole)) renameSync(folder.path(name), folder.path(`_${name}`));
      const { end, stderr } = await killed(all, stage, step);
      expect(end, stderr).to.equal('SIGKILL');
      const state = `${folder.path(output)}.resume.safetensors`;
      const steps = { encoding: 0, sampling: step, decoding: 3 }[stage];
      expect(existsSync(state)).to.equal(steps !== 0);
      const printed = await svd(...all);
      if (steps !== 0) expect(printed).to.contain(`goes on after step ${steps}, from ${state}`);
      else expect(printed).not.to.contain('goes on');
      // The state is not among them.
      expect(outputs(output[0]!)).to.deep.equal(whole);
    });
  }

  it('goes on after Ctrl-C, and after it was killed once more @slow', async () => {
    const all = words(folder.path('e.webp'), '--seed', '2');
    await svd(...words(folder.path('_e.webp'), '--seed', '2'));
    expect((await killed(all, 'sampling', 1, 'SIGINT')).stderr).to.contain('Interrupted');
    expect((await killed(all, 'sampling', 2)).stderr).to.contain('goes on after step 1');
    expect(await svd(...all)).to.contain('goes on after step 2');
    expect(outputs('e')).to.deep.equal({ 'e.webp': readFileSync(folder.path('_e.webp')) });
  });

  it('keeps the random seed that it has chosen @slow', async () => {
    const all = words(folder.path('f.gif'));
    const { stderr } = await killed(all, 'sampling', 1);
    const [, seed] = /the seed is (\d+)/.exec(stderr)!;
    expect(await svd(...all)).to.contain(`the seed is ${seed}`);
    await svd(...words(folder.path('_f.gif'), '--seed', seed!));
    expect(outputs('f')).to.deep.equal({ 'f.gif': readFileSync(folder.path('_f.gif')) });
  });
});
