/** What the tests of `svd queue` share. */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Overview } from '../../../src/queue/overview.ts';
import { RedisServer } from '../../harness/redis.ts';
import { until } from '../../harness/until.ts';
import { folderWithModel, generate, onTestBackend, picture, small, startSvd } from '../runs.ts';

/** A Redis and a folder with a small checkpoint and a picture, for the suite around the call. */
export function queueForSuite() {
  const folder = folderWithModel();
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
    mkdirSync(folder.path('pictures'));
    copyFileSync(picture('rocket.jpg'), folder.path('pictures/rocket.jpg'));
  });
  after(() => server?.remove());
  const started: ReturnType<typeof startSvd>[] = [];
  after(() => {
    for (const { child } of started) if (child.exitCode === null) child.kill('SIGKILL');
  });

  /** Starts `svd queue ACTION`. */
  const start = (action: string, ...args: string[]) => {
    const run = startSvd(['queue', action, '--queue', server.url, ...args]);
    started.push(run);
    return run;
  };
  /** Runs `svd queue ACTION` to its end, which has to be good. */
  const run = async (action: string, ...args: string[]) => {
    const { code, stdout, stderr } = await start(action, ...args).ended;
    expect(code, stderr).to.equal(0);
    return { stdout, stderr };
  };
  return {
    path: folder.path,
    get server() {
      return server;
    },
    start,
    run,
    /** Adds jobs for the small checkpoint, with the quickest settings. */
    add: (inputs: string[], ...args: string[]) =>
      run(
        ...(['add', ...inputs, '--model', folder.path('model'), ...smallWith(args)] as const),
        ...(args.includes('--output-dir') ? [] : ['--output-dir', folder.path('videos')]),
        ...args,
      ),
    /** Starts a worker. */
    worker: (...args: string[]) => start('work', ...onTestBackend, '--takeover', '2', ...args),
    status: async (): Promise<Overview> => JSON.parse((await run('status', '--json')).stdout),
    /** The bytes of the video that `svd generate` makes. */
    async single(input: string, ...args: string[]): Promise<Buffer> {
      const output = folder.path('single.mp4');
      const words = [input, '--model', folder.path('model'), ...smallWith(args), ...args];
      await generate([...words, ...onTestBackend.slice(2), '-o', output]);
      return readFileSync(output);
    },
  };
}

/** The quickest settings but those that are passed. */
const smallWith = (args: string[]) =>
  args.includes('--num-inference-steps') ? small.slice(0, -2) : small;

/** Waits until a file is there. */
export const untilThere = (path: string) => until(() => existsSync(path), path);

/** The process that another one has started; 0 if there is none. */
export function childOf(pid: number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return Number(children.trim().split(' ')[0]);
  } catch {
    return 0;
  }
}
