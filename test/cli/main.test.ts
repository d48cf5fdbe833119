/** The `svd` command as a process: its texts, exit codes and streams. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { version } from '../../src/cli/version.ts';
import { built } from '../harness/built.ts';
import { onTestBackend, picture, startSvd, svd, workFolder, writeSmallCheckpoint } from './runs.ts';

describe('svd', () => {
  const names = [
    'generate',
    'batch',
    ...['add', 'work', 'status', 'retry', 'export'].map((word) => `queue ${word}`),
    'download',
    'convert',
    'info',
    'reference',
    'verify',
    'backends',
    'env',
    'setup',
    'completion',
  ];

  it('shows its help and its version', async () => {
    const [help, short, word, shown, letter] = await Promise.all(
      ['--help', '-h', 'help', '--version', '-V'].map((arg) => svd(arg)),
    );
    expect(help).to.include({ code: 0, stderr: '' });
    expect(help.stdout).to.match(/^Usage: svd COMMAND/);
    for (const name of [...names, '--debug', '130']) expect(help.stdout).to.contain(name);
    expect(short).to.deep.equal(help);
    expect(word).to.deep.equal(help);
    expect(shown).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect(letter).to.deep.equal(shown);
  });

  it('shows the help of each command', async () => {
    for (const [i, { code, stdout, stderr }] of (
      await Promise.all(names.map((name) => svd(name, '--help')))
    ).entries()) {
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
      expect(stdout).to.match(new RegExp(`^Usage: svd ${names[i]} `));
    }
  });

  it('shows the help of a command for svd help, -h, and beside wrong options', async () => {
    const [help, ...others] = await Promise.all([
      svd('setup', '--help'),
      svd('help', 'setup'),
      svd('setup', '-h'),
      svd('setup', 'nonsense', '--gpu', '--wrong', '--help'),
    ]);
    for (const other of others) expect(other).to.deep.equal(help);
  });

  it('refuses wrong usage with exit code 2 and one sentence', async () => {
    const cases: [args: string[], message: string][] = [
      [[], `error: a command is required: ${names.join(', ')}. See svd --help.\n`],
      [
        ['genrate'],
        'error: there is no command "genrate". Did you mean svd generate? The commands are ' +
          `${names.join(', ')}.\n`,
      ],
      [
        ['--colour'],
        `error: there is no command "--colour". The commands are ${names.join(', ')}.\n`,
      ],
      [
        ['help', 'genrate'],
        'error: there is no command "genrate". Did you mean svd generate? The commands are ' +
          `${names.join(', ')}.\n`,
      ],
      [['help', 'info', 'more'], 'error: svd help takes one command but is given "info more".\n'],
      ...[['queue'], ['queue', 'look']].map((args): [string[], string] => [
        args,
        'error: svd queue takes add, work, status, retry or export. See svd help queue.\n',
      ]),
      [
        ['backends', 'wasm'],
        'error: svd backends takes only options but is given "wasm". See svd backends --help.\n',
      ],
      [
        ['generate', 'a.png', '--ouput', 'o.mp4'],
        'error: there is no option --ouput. Did you mean --output?\n',
      ],
      [
        ['generate'],
        'error: an IMAGE is required: a path, a URL or a .safetensors file. See svd generate --help.\n',
      ],
      [
        ['generate', 'a.png', '--model', 'm', '--output', 'o.mp4', '--height', '20'],
        'error: --height has to be a whole number from 8 to 8192 and divisible by 8 but is ' +
          '"20". Try 16.\n',
      ],
      [
        ['generate', 'a.png', '--model', 'm', '--output', 'o.avi'],
        'error: The output "o.avi" ends in none of the known ways. Use .mp4, .webm, ' +
          '.webp, .gif, .safetensors, or / for a folder of PNG pictures.\n',
      ],
    ];
    const results = await Promise.all(cases.map(([args]) => svd(...args)));
    for (const [i, result] of results.entries())
      expect(result).to.deep.equal({ code: 2, stdout: '', stderr: cases[i][1] });
  });

  it('fails where standard output takes nothing', async function () {
    if (process.platform !== 'linux') this.skip();
    const main = built('src/cli/main.js');
    const run = ['exec "$0" "$1" completion fish > /dev/full', process.execPath, main];
    const { status, stderr } = spawnSync('sh', ['-c', ...run], { encoding: 'utf8' });
    expect(stderr).to.match(
      /^error: the result could not be written to standard output \(ENOSPC.*\)\.\n$/,
    );
    expect(status).to.equal(1);
  });

  it('shows where an error comes from only when asked', async () => {
    const wrong = ['generate', '--height', 'x'];
    const [plain, option, variable] = await Promise.all([
      svd(...wrong),
      svd(...wrong, '--debug'),
      startSvd(wrong, { SVD_DEBUG: '1' }).ended,
    ]);
    expect(plain.stderr).to.not.contain('    at ');
    for (const { code, stderr } of [option, variable]) {
      expect(code).to.equal(2);
      expect(stderr).to.contain('    at ');
    }
  });
});

describe('svd generate as a process', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let args: string[];
  before(async () => {
    folder = await workFolder();
    const model = folder.path('model');
    await writeSmallCheckpoint(model);
    args = [
      'generate',
      picture('rocket.jpg'),
      '--model',
      model,
      ...onTestBackend,
      '--height',
      '24',
      '--width',
      '32',
      '--num-frames',
      '2',
    ];
  });
  after(() => folder.remove());

  it('prints the paths, and nothing on standard error but the drawn seed', async () => {
    const output = folder.path('clip.webp');
    const { code, stdout, stderr } = await svd(
      ...args,
      '--num-inference-steps',
      '1',
      '--output',
      output,
    );
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: `${output}\n` });
    expect(stderr).to.match(/^note: the seed is \d+\ndone: 2 frames of 32x24 in .*; seed \d+\n$/);
  });

  it('says how many videos it made', async () => {
    const output = folder.path('both.gif');
    const two = ['--num-videos-per-prompt', '2', '--num-inference-steps', '1', '--seed', '1'];
    const { stdout, stderr } = await svd(...args, ...two, '--output', output);
    expect(stdout.split('\n')).to.have.lengthOf(3);
    expect(stderr).to.match(/^done: 2 videos, each 2 frames of 32x24 in /);
  });

  it('prints one line of JSON', async () => {
    const output = folder.path('clip.mp4');
    const { code, stdout, stderr } = await svd(
      ...args,
      '--num-inference-steps',
      '1',
      '--output',
      output,
      '--seed',
      '9',
      '--json',
    );
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(stdout.split('\n')).to.have.length(2);
    const report = JSON.parse(stdout);
    expect(report).to.have.all.keys(
      'output',
      'settings',
      'backend',
      'timings',
      'peakMemoryBytes',
      'memory',
    );
    expect(report.output).to.deep.equal([output]);
    expect(report.settings).to.deep.include({
      seeds: [9],
      height: 24,
      width: 32,
      numFrames: 2,
      numInferenceSteps: 1,
    });
  });

  it('fails with exit code 1 and one sentence, which --quiet does not silence', async () => {
    await writeFile(folder.path('no-picture.png'), 'text');
    const output = ['--output', folder.path('failed.mp4')];
    const [picture, model] = await Promise.all([
      svd('generate', folder.path('no-picture.png'), ...args.slice(2), ...output),
      svd(
        ...args.slice(0, 2),
        '--model',
        folder.path('nowhere'),
        ...args.slice(4),
        ...output,
        '--quiet',
      ),
    ]);
    for (const { code, stdout, stderr } of [picture, model]) {
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr).to.match(/^error: .*\n$/);
    }
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`ends with exit code 130 on ${signal} and leaves no files`, async () => {
      const before = await readdir(folder.path('.'));
      const output = [
        '--output',
        folder.path('stopped.safetensors'),
        '--dump',
        folder.path('stages.safetensors'),
      ];
      const { child, ended } = startSvd([...args, '--num-inference-steps', '100000', ...output]);
      await once(child.stderr, 'data'); // the seed, told before the model is loaded
      child.kill(signal);
      const { code, stderr } = await ended;
      expect(code).to.equal(130);
      expect(stderr).to.match(/error: interrupted\n$/);
      expect(await readdir(folder.path('.'))).to.deep.equal(before);
    });
  }
});
