/** The command line of the benchmark: its lists and its errors. No benchmark is started. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { cases } from '../../bench/cases.ts';
import { readOptions } from '../../bench/options.ts';
import { UsageError } from '../../src/cli/terminal/errors.ts';

const script = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

/** Runs the command without any program in its PATH, so that a measurement would fail. */
function bench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, PATH: '', PYTHON: '' };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', script, ...args],
      { env },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe('npm run bench', () => {
  const series = ['unet-frames', 'unet-pixels', 'vae-decode-frames', 'vae-decode-pixels', 'steps'];

  it('lists cases with their descriptions, series, calls, or conversions @slow', async () => {
    const [listed, growing] = [await bench('--list'), await bench('--list', '--growth')];
    const lines = Object.entries(cases).map(([name, { what }]) => `${name}: ${what}\n`);
    expect(listed).to.deep.equal({ code: 0, stdout: lines.join(''), stderr: '' });
    expect(growing).to.deep.equal({
      code: 0,
      stdout: series.map((name) => `${name}\n`).join(''),
      stderr: '',
    });
    expect((await bench('--list', '--calls')).stdout).to.equal(
      'float32\nhalf\noffload-model\noffload-sequential\n576x1024\n576x1024-fast\nwasm\n',
    );
    expect((await bench('--list', '--queue')).stdout).to.equal(
      'no-queue\none-worker\ntwo-workers\n',
    );
    expect((await bench('--list', '--conversions')).stdout).to.equal(
      'diffusers-to-tfjs\ndiffusers-to-original\ntfjs-to-diffusers\ntfjs-to-original\noriginal-to-diffusers\noriginal-to-tfjs\n',
    );
  });

  it('names every option in its help', async () => {
    const { code, stdout } = await bench('--help');
    expect(code).to.equal(0);
    const options = [
      '--case NAME',
      '--rounds N',
      '--json FILE',
      '--list',
      '--growth',
      '--calls',
      '--conversions',
      '--queue',
      '--card',
    ];
    for (const option of options) expect(stdout).to.contain(option);
  });

  const refusals: [args: string[], message: string][] = [
    [
      ['--case', 'unet'],
      `there is no case "unet". The cases are ${Object.keys(cases).join(', ')}.`,
    ],
    [
      ['--case', 'clip', '--case', 'none'],
      `there is no case "none". The cases are ${Object.keys(cases).join(', ')}.`,
    ],
    [
      ['--growth', '--case', 'clip'],
      `there is no case "clip". The cases are ${series.join(', ')}.`,
    ],
    ...['0', '-1', '1.5', 'many', 'NaN', 'Infinity'].map((n): [string[], string] => [
      ['--rounds', n],
      `--rounds has to be a whole number of 1 or more but is "${n}".`,
    ]),
    [['--rounds', '--list'], '--rounds needs a value: --rounds N.'],
    [['--round', '3'], 'there is no option --round. Did you mean --rounds?'],
    [['--growth', '--calls'], '--growth and --calls cannot be combined: use one of them.'],
    [
      ['--conversions', '--calls'],
      '--calls and --conversions cannot be combined: use one of them.',
    ],
    [['--card', '--calls'], '--calls and --card cannot be combined: use one of them.'],
    [['clip'], 'cases are chosen with --case: use --case clip.'],
  ];
  for (const [args, message] of refusals)
    it(`refuses ${args.join(' ')}`, () => {
      expect(() => readOptions(args))
        .to.throw(UsageError)
        .with.property('message', message);
    });

  it('says what is wrong, and ends with exit code 2', async () => {
    const [args, message] = refusals[0]!;
    const stderr = `bench: ${message}\n`;
    expect(await bench(...args)).to.deep.equal({ code: 2, stdout: '', stderr });
  });
});
