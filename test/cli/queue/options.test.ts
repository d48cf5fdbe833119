/** The options of `svd queue`, and what is wrong before anything is queued. */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { generateOptions } from '../../../src/cli/generate/options.ts';
import {
  addOptions,
  jobOptionNames,
  otherOptionNames,
  workerOptions,
} from '../../../src/cli/queue/options.ts';
import { picture, startSvd, workFolder } from '../runs.ts';

describe('options of svd queue', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
  });
  after(() => folder.remove());

  /** What a command prints that fails. */
  const failure = async (args: string[], env = {}) => {
    const { code, stdout, stderr } = await startSvd(['queue', ...args], env).ended;
    expect(stdout).to.equal('');
    return { code, stderr };
  };

  it('has every option of svd generate for jobs, for workers, or for neither', () => {
    expect([...jobOptionNames, ...otherOptionNames]).to.have.members(Object.keys(generateOptions));
    expect(otherOptionNames).to.include.members(
      Object.keys(workerOptions).filter((name) => name !== 'model'),
    );
    const { like, json, quiet } = addOptions;
    expect({ ...addOptions }).to.include.keys(...jobOptionNames);
    for (const option of [like, json, quiet]) expect(option).to.have.property('help');
  });

  it('says how to install its packages where they are missing', async () => {
    const hook = `export async function resolve(name, context, next) {
        if (name !== 'bullmq') return next(name, context);
        throw Object.assign(new Error(name), { code: 'ERR_MODULE_NOT_FOUND' });
      }`;
    const program = `import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));`;
    writeFileSync(folder.path('without.mjs'), program);
    const env = { NODE_OPTIONS: `--import=${pathToFileURL(folder.path('without.mjs'))}` };
    expect(await failure(['status', '--queue', 'redis://127.0.0.1:1'], env)).to.deep.equal({
      code: 1,
      stderr: 'error: svd queue needs two more packages. Run: npm install bullmq ioredis\n',
    });
  });

  it('refuses wrong usage with one sentence', async () => {
    const input = picture('rocket.jpg');
    const to = ['--queue', 'redis://127.0.0.1:1', '--output-dir', folder.path('videos')];
    writeFileSync(folder.path('rows.csv'), `picture,threads\n${input},2\n`);
    writeFileSync(folder.path('same.csv'), `picture,output\n${input},a.mp4\n${input},a.mp4\n`);
    const cases: [string[], RegExp][] = [
      [['status'], /^error: --queue URL is required: the address of Redis, such as redis:/],
      [['status', '--queue', 'localhost'], /^error: --queue has to be an address such as redis:/],
      [['add', ...to], /^error: an INPUT is required/],
      [['add', input, ...to, '--threads', '2'], /^error: .*--threads. It is for the machine: svd/],
      [['add', folder.path('same.csv'), ...to], /same.csv:2 and .*same.csv:3 have one output/],
      [['work', ...to.slice(0, 2), '--takeover', '0'], /^error: --takeover has to be a number/],
      [
        ['export', 'report.txt', ...to.slice(0, 2)],
        /^error: svd queue export takes one report.csv/,
      ],
    ];
    const failures = await Promise.all(cases.map(([args]) => failure(args)));
    for (const [i, { code, stderr }] of failures.entries()) {
      expect(stderr).to.match(cases[i]![1]);
      expect(code, stderr).to.equal(2);
    }
  });
});
