/**
 * Models of the hub from the command line: `svd download`, which may be stopped at any point, and
 * `svd generate --model org/name`.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { expect } from 'chai';
import { downloadModel } from '../../src/checkpoints/index.ts';
import { UsageError } from '../../src/cli/terminal/errors.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { MersenneTwister } from '../../src/random/mersenneTwister.ts';
import { commit, type Files, filesOf, id, sha256, TestHub } from '../checkpoints/hub/server.ts';
import { testBackend } from '../setup.ts';
import { generate, picture, small, startSvd, workFolder, writeSmallCheckpoint } from './runs.ts';

describe('models of the hub', () => {
  const LARGE = 'unet/diffusion_pytorch_model.safetensors';
  let folder: Awaited<ReturnType<typeof workFolder>>;
  let files: Files;
  let hub: TestHub;
  const { env } = process;
  before(async () => {
    folder = await workFolder();
    await writeSmallCheckpoint(folder.path('model'));
    files = await filesOf(folder.path('model'));
  });
  beforeEach(async () => {
    hub = await TestHub.start({ ...files });
    process.env = {
      ...env,
      HF_ENDPOINT: hub.endpoint,
      HF_HUB_CACHE: folder.path('cache'),
      HF_HOME: folder.path('home'),
    };
    delete process.env.HF_TOKEN;
  });
  afterEach(async () => {
    process.env = env;
    await hub.stop();
    await rm(folder.path('cache'), { recursive: true, force: true });
  });
  after(() => folder.remove());

  const snapshot = () => folder.path(`cache/models--some-org--some-model/snapshots/${commit}`);
  const svd = (...args: string[]) =>
    startSvd(args, { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: folder.path('cache') });

  describe('svd download', () => {
    it('prints the folder, or one line of JSON', async () => {
      const first = await svd('download', id).ended;
      expect(first).to.deep.equal({ code: 0, stdout: `${snapshot()}\n`, stderr: '' });
      expect(await readFile(`${snapshot()}/${LARGE}`)).to.deep.equal(files[LARGE]);
      const { code, stdout } = await svd('download', id, '--json', '--revision', 'main').ended;
      expect(code).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.equal({ model: id, folder: snapshot(), seconds: 0 });
    });

    it('refuses wrong usage with exit code 2, and fails in one sentence with exit code 1', async () => {
      const runs = [
        ['download'],
        ['download', 'name'],
        ['download', id, 'more'],
        ['download', '../x/y'],
        ['download', id, '--verify'],
      ];
      for (const { code, stderr } of await Promise.all(runs.map((args) => svd(...args).ended))) {
        expect(code).to.equal(2);
        expect(stderr).to.match(/^error: [^\n]*\.\n$/);
      }
      hub.gatedFor = 'hf_right';
      const { code, stdout, stderr } = await svd('download', id).ended;
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr).to.match(
        /^error: some-org\/some-model is gated\. Accept its licence on [^\n]*\n$/,
      );
      expect((await svd('download', id, '--token', 'hf_right').ended).code).to.equal(0);
    });

    it('ends with exit code 130 on SIGINT and leaves what the next run goes on with', async () => {
      hub.files[LARGE] = randomBytes(2_000_000);
      hub.slowness = 5;
      const { child, ended } = svd('download', id);
      let signalled = false;
      hub.onSent = (sent) => {
        // a second one would end the process at once
        if (sent > 700_000 && !signalled) signalled = child.kill('SIGINT');
      };
      expect(await ended).to.deep.equal({ code: 130, stdout: '', stderr: 'error: interrupted\n' });
      const left = await readdir(folder.path('cache/models--some-org--some-model/blobs'));
      expect(left).to.include(`${sha256(hub.files[LARGE])}.incomplete`);
      hub.slowness = 0;
      hub.onSent = undefined;
      hub.seen = [];
      expect((await svd('download', id).ended).code).to.equal(0);
      expect(hub.largeRequests().find(({ path }) => path === LARGE)!.range).to.match(
        /^bytes=[1-9]/,
      );
    });

    it('completes what was killed at any point @slow', async () => {
      hub.files[LARGE] = randomBytes(6_000_000);
      const blob = sha256(hub.files[LARGE]);
      const contents = folder.path('cache/models--some-org--some-model/blobs');
      const bytesThere = async () => {
        const names = (await readdir(contents).catch(() => [])).filter((name) =>
          name.startsWith(blob),
        );
        return Math.max(
          0,
          ...(await Promise.all(
            names.map(async (name) => (await stat(`${contents}/${name}`)).size),
          )),
        );
      };
      hub.slowness = 1;
      const points = new MersenneTwister(7);
      const wentOn: boolean[] = [];
      for (let kills = 0; kills < 20; kills++) {
        const before = await bytesThere();
        hub.seen = [];
        const { child, ended } = svd('download', id);
        const point = hub.sent + (points.next() / 2 ** 32) * 500_000;
        // Before anything is sent, in the middle of it, and in what follows the last byte.
        if (kills % 5 === 0)
          setTimeout(() => child.kill('SIGKILL'), (points.next() / 2 ** 32) * 600);
        else hub.onSent = (sent) => sent > point && child.kill('SIGKILL');
        await ended;
        // What was on the way is sent again, not what had come.
        const request = hub.largeRequests().find(({ path }) => path === LARGE);
        if (request) expect(request.range).to.equal(`bytes=${before}-`);
        wentOn.push(request !== undefined && before > 0);
      }
      expect(wentOn).to.include(true);
      hub.onSent = undefined;
      hub.slowness = 0;
      const snapshot = await downloadModel(id, { verify: true });
      for (const [path, content] of Object.entries(hub.files))
        expect((await readFile(`${snapshot}/${path}`)).equals(content), path).to.equal(true);
      expect(
        (await readdir(contents)).filter((name) => name.endsWith('.incomplete')),
      ).to.deep.equal([]);
    });
  });

  describe('svd generate', () => {
    const args = [picture('rocket.jpg'), '--model', id, ...small, '--seed', '1', '--output'];

    it('fetches the model, names it in the output, and keeps the token to itself', async () => {
      hub.gatedFor = 'hf_secret';
      const path = folder.path('hub.mp4');
      const { settings, timings } = await generate([...args, path, '--token', 'hf_secret']);
      expect(Object.keys(timings)[0]).to.equal('downloading');
      expect(settings.checkpoint).to.include({ id, revision: commit });
      expect(settings.checkpoint!.files[LARGE]).to.equal(sha256(files[LARGE]));
      expect((await readFile(path)).includes('hf_secret')).to.equal(false);
      expect(JSON.stringify(settings)).to.not.include('hf_secret');
      const offline = await generate([...args, folder.path('again.mp4'), '--local-files-only']);
      expect(await readFile(offline.output[0])).to.deep.equal(await readFile(path));
    });

    it('takes a folder of that name before the hub, which has no options for it', async () => {
      for (const option of [
        ['--revision', 'main'],
        ['--token', 'hf_x'],
        ['--cache-dir', 'x'],
        ['--local-files-only'],
      ]) {
        const run = generate([
          picture('rocket.jpg'),
          '--model',
          folder.path('model'),
          ...small,
          '--output',
          folder.path('x.mp4'),
          ...option,
        ]);
        const error = await run.catch((thrown) => thrown);
        expect(error).to.be.instanceOf(UsageError);
        expect(error.message).to.include(`${option[0]} is for models of the hub`);
      }
      expect(hub.seen).to.deep.equal([]);
    });

    it('says what is missing when it may not ask', async () => {
      const error = await generate([...args, folder.path('x.mp4'), '--local-files-only']).catch(
        (thrown) => thrown,
      );
      expect(error.message).to.include(`svd download ${id}\``);
    });
  });

  describe('svd info', () => {
    it('tells of what is in the cache and fetches nothing', async () => {
      const { code, stderr } = await svd('info', '--model', id).ended;
      expect(code).to.equal(1);
      expect(stderr).to.include(`svd download ${id}\``);
      expect(hub.seen).to.deep.equal([]);
      await downloadModel(id);
      const { stdout } = await svd('info', '--model', id, '--json').ended;
      expect(JSON.parse(stdout).model).to.equal(id);
    });
  });

  describe('fromPretrained', () => {
    it('takes a name of the hub', async () => {
      const stages = new Set<string>();
      const pipe = await StableVideoDiffusionPipeline.fromPretrained(id, {
        backend: testBackend,
        cacheDir: folder.path('cache'),
        onProgress: ({ stage }) => stages.add(stage),
      });
      pipe.dispose();
      expect([...stages]).to.deep.equal(['downloading', 'loading']);
      const refused = await StableVideoDiffusionPipeline.fromPretrained(folder.path('model'), {
        revision: 'main',
      }).catch((error) => error);
      expect(refused.message).to.include('revision can be given for a model of the hub');
    });
  });
});
