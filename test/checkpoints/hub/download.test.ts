/** Downloads from a server that behaves, and misbehaves, as the hub does. */
import { randomBytes } from 'node:crypto';
import {
  access,
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  type DownloadOptions,
  downloadModel,
  identifyCheckpoint,
  openModelFolder,
} from '../../../src/checkpoints/index.ts';
import { expectError, fixture } from '../files.ts';
import { commit, type Files, filesOf, gitHash, id, sha256, TestHub } from './server.ts';

const LARGE = 'unet/diffusion_pytorch_model.fp16.safetensors';
const needed = (variant: string) => [
  'feature_extractor/preprocessor_config.json',
  'image_encoder/config.json',
  `image_encoder/model${variant}.safetensors`,
  'model_index.json',
  'scheduler/scheduler_config.json',
  'unet/config.json',
  `unet/diffusion_pytorch_model${variant}.safetensors`,
  'vae/config.json',
  `vae/diffusion_pytorch_model${variant}.safetensors`,
];

describe('downloadModel', () => {
  let original: Files;
  let hub: TestHub;
  let cacheDir: string;
  let warnings: string[];
  const { env } = process;
  const { warn } = console;

  before(async () => {
    original = {
      ...(await filesOf(fixture('model'))),
      'svd_xt.safetensors': randomBytes(1000),
      'README.md': Buffer.from('# SVD'),
      'unet/diffusion_pytorch_model.bin': randomBytes(10),
      [LARGE]: randomBytes(1_000_000),
    };
  });
  beforeEach(async () => {
    hub = await TestHub.start({ ...original });
    cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
    process.env = { ...env, HF_ENDPOINT: hub.endpoint, HF_HOME: join(cacheDir, 'home') };
    for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE']) delete process.env[name];
    warnings = [];
    console.warn = (text: string) => warnings.push(text);
  });
  afterEach(async () => {
    process.env = env;
    console.warn = warn;
    await hub.stop();
    await rm(cacheDir, { recursive: true });
  });

  const download = (options: DownloadOptions = {}) =>
    downloadModel(id, { cacheDir, variant: 'fp16', pause: 10, ...options });
  const repository = () => join(cacheDir, 'models--some-org--some-model');
  const blobs = async () => (await readdir(join(repository(), 'blobs'))).sort();
  const blob = (path: string) => join(repository(), 'blobs', sha256(hub.files[path]));

  async function expectComplete(folder: string, variant = '.fp16'): Promise<void> {
    expect(folder).to.equal(join(repository(), 'snapshots', commit));
    for (const path of needed(variant))
      expect((await readFile(join(folder, path))).equals(hub.files[path]), path).to.equal(true);
    const names = needed(variant).map((path) =>
      (path.endsWith('.safetensors') ? sha256 : gitHash)(hub.files[path]),
    );
    expect(await blobs()).to.deep.equal([...new Set(names)].sort());
  }

  it("fetches only what is needed, in the layout of Python's cache", async () => {
    const folder = await download();
    await expectComplete(folder);
    expect(
      (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
        (entry) => !entry.isDirectory(),
      ),
    ).to.have.length(9);
    expect(await readFile(join(repository(), 'refs/main'), 'utf8')).to.equal(commit);
    expect(await readlink(join(folder, LARGE))).to.equal(
      `../../../blobs/${sha256(hub.files[LARGE])}`,
    );
    expect(await readlink(join(folder, 'model_index.json'))).to.equal(
      `../../blobs/${gitHash(hub.files['model_index.json'])}`,
    );
    const { id: name, revision, files } = await identifyCheckpoint(folder, { variant: 'fp16' });
    expect({ name, revision }).to.deep.equal({ name: id, revision: commit });
    expect(files[LARGE]).to.equal(sha256(hub.files[LARGE]));
  });

  it('fetches the files without a variant, and shards by their index', async () => {
    await expectComplete(await download({ variant: undefined }), '');
    const folder = await download({ variant: 'sharded' });
    const model = await openModelFolder(folder, { variant: 'sharded' });
    const source = await model.weights('unet');
    for (const name of source.names()) await source.read(name);
    await model.close();
  });

  it('asks only for the commit when everything is there, and for nothing when the commit is given', async () => {
    await download();
    hub.seen = [];
    await expectComplete(await download());
    expect(hub.seen.map(({ path }) => path)).to.deep.equal([`/api/models/${id}/revision/main`]);
    hub.seen = [];
    await download({ revision: commit });
    expect(hub.seen).to.deep.equal([]);
  });

  it('shares contents between revisions, and forgets none', async () => {
    await download();
    const other = 'f'.repeat(40);
    hub.refs.v2 = other;
    hub.files['unet/config.json'] = Buffer.concat([
      original['unet/config.json'],
      Buffer.from('\n'),
    ]);
    hub.seen = [];
    const folder = await download({ revision: 'v2' });
    expect(folder).to.equal(join(repository(), 'snapshots', other));
    expect(
      hub.seen.filter(({ path }) => path.includes('/resolve/')).map(({ path }) => path),
    ).to.deep.equal([`/${id}/resolve/${other}/unet/config.json`]);
    expect(await readFile(join(folder, 'unet/config.json'))).to.deep.equal(
      hub.files['unet/config.json'],
    );
    expect(
      await readFile(join(await download({ localFilesOnly: true }), 'unet/config.json')),
    ).to.deep.equal(original['unet/config.json']);
  });

  it('honours the environment variables', async () => {
    process.env.HF_TOKEN = 'hf_environment';
    const home = await downloadModel(id, { variant: 'fp16' });
    expect(home).to.equal(
      join(cacheDir, 'home/hub/models--some-org--some-model/snapshots', commit),
    );
    expect(hub.seen[0].authorization).to.equal('Bearer hf_environment');
    process.env.HF_HUB_CACHE = join(cacheDir, 'other');
    delete process.env.HF_TOKEN;
    await writeFile(join(cacheDir, 'home/token'), 'hf_stored\n');
    hub.seen = [];
    expect(await downloadModel(id, { variant: 'fp16' })).to.include(
      join(cacheDir, 'other/models--'),
    );
    expect(hub.seen[0].authorization).to.equal('Bearer hf_stored');
    process.env.HF_HUB_OFFLINE = '1';
    hub.seen = [];
    expect(await downloadModel(id, { variant: 'fp16' })).to.include(
      join(cacheDir, 'other/models--'),
    );
    await expectError(
      () => downloadModel(id),
      'The cache lacks',
      'unet/diffusion_pytorch_model.safetensors',
      `svd download ${id}\``,
    );
    expect(hub.seen).to.deep.equal([]);
  });

  it('gives the token to the hub alone', async () => {
    hub.gatedFor = 'hf_right';
    await expectComplete(await download({ token: 'hf_right' }));
    expect(
      hub.seen
        .filter(({ server }) => server === 'hub')
        .every(({ authorization }) => authorization === 'Bearer hf_right'),
    ).to.equal(true);
    expect(hub.largeRequests().length).to.be.above(2);
    expect(hub.largeRequests().every(({ authorization }) => authorization === undefined)).to.equal(
      true,
    );
  });

  it('fetches several files at once, but not all that there are', async () => {
    hub.slowness = 5; // so that each takes longer than the next request
    for (const file of needed('.fp16'))
      if (file.endsWith('.safetensors')) hub.files[file] = randomBytes(400_000);
    await expectComplete(await download());
    expect(hub.mostAtOnce).to.equal(3);
    hub.mostAtOnce = 0;
    const shards = Array.from({ length: 10 }, (_, i) => `diffusion_pytorch_model-${i}.safetensors`);
    for (const shard of shards) hub.files[`unet/${shard}`] = randomBytes(400_000);
    const weightMap = Object.fromEntries(shards.map((shard, i) => [`weight${i}`, shard]));
    hub.files['unet/diffusion_pytorch_model.safetensors.index.sharded.json'] = Buffer.from(
      JSON.stringify({ weight_map: weightMap }),
    );
    await download({ variant: 'sharded' });
    expect(hub.mostAtOnce).to.equal(4);
  });

  it('tells bytes as they come', async () => {
    const seen: { step: number; steps: number }[] = [];
    await download({ onProgress: (progress) => seen.push(progress) });
    const weights = seen.filter(({ steps }) => steps > 1_000_000);
    expect(weights[0].step).to.equal(0);
    expect(weights.at(-1)!.step).to.equal(weights.at(-1)!.steps);
    expect(seen.every(({ step }, i) => i === 0 || step === 0 || step >= seen[i - 1].step)).to.equal(
      true,
    );
    const again: unknown[] = [];
    await download({ onProgress: (progress) => again.push(progress) });
    expect(again).to.deep.equal([]);
  });

  describe('with a network that fails', () => {
    it('goes on where the connection was cut', async () => {
      let cuts = 0;
      hub.fault = (path) => (path === LARGE && cuts++ < 8 ? { cutAfter: 100_000 } : undefined);
      await expectComplete(await download());
      const ranges = hub.largeRequests().filter(({ path }) => path === LARGE);
      expect(ranges.map(({ range }) => range)).to.deep.equal(
        Array.from({ length: 9 }, (_, i) => `bytes=${i * 100_000}-`),
      );
    });

    it('starts again where the server knows no ranges', async () => {
      let cut = 0;
      hub.fault = (path) =>
        path === LARGE ? (cut++ < 1 ? { cutAfter: 100_000 } : { ignoreRange: true }) : undefined;
      await expectComplete(await download());
    });

    it('waits as long as it is told to, and tries again after errors of the server', async () => {
      const times: number[] = [];
      hub.apiFault = (path) => {
        if (!path.includes('/revision/')) return undefined;
        times.push(performance.now());
        if (times.length === 1) return { status: 429, headers: { 'retry-after': '1' } };
        return times.length === 2 ? { status: 503 } : undefined;
      };
      let errors = 0;
      hub.fault = (path) => (path === LARGE && errors++ < 2 ? { status: 500 } : undefined);
      await expectComplete(await download());
      expect(times).to.have.length(3);
      expect(times[1] - times[0]).to.be.at.least(990);
      expect(errors).to.equal(3);
    });

    it('waits until the date that it is told', async () => {
      const times: number[] = [];
      hub.fault = (path) => {
        if (path !== LARGE) return undefined;
        times.push(performance.now());
        // in whole seconds: one to two from now
        const date = new Date(Date.now() + 2000).toUTCString();
        return times.length === 1 ? { status: 503, headers: { 'retry-after': date } } : undefined;
      };
      await expectComplete(await download());
      expect(times).to.have.length(2);
      expect(times[1] - times[0]).to.be.at.least(990);
    });

    it('waits twice as long after each failure', async () => {
      const times: number[] = [];
      hub.apiFault = (path) => {
        if (path.includes('/revision/')) times.push(performance.now());
        return { status: 502 };
      };
      await expectError(() => download({ pause: 20 }), 'status 502');
      const gaps = times.slice(1).map((time, i) => time - times[i]);
      expect(gaps).to.have.length(5);
      gaps.forEach((gap, i) => {
        // timers may be early by a millisecond
        expect(gap, `gap ${i}`).to.be.at.least(20 * 2 ** i - 2);
      });
    });

    it('gives up after a while and keeps what has come', async () => {
      hub.fault = (path, seen) => {
        if (path !== LARGE) return undefined;
        return seen.filter((request) => request.path === LARGE).length === 1
          ? { cutAfter: 300_000 }
          : { status: 502 };
      };
      await expectError(
        () => download({ pause: 1 }),
        hub.endpoint,
        'status 502',
        'Check the connection',
      );
      expect(await blobs()).to.include(`${sha256(hub.files[LARGE])}.incomplete`);
      hub.fault = () => undefined;
      hub.seen = [];
      await expectComplete(await download());
      expect(hub.largeRequests().find(({ path }) => path === LARGE)?.range).to.equal(
        'bytes=300000-',
      );
    });

    it('never keeps wrong bytes: fetches them again, and fails if they come twice', async () => {
      let wrong = 0;
      hub.fault = (path) => (path === LARGE && wrong++ < 1 ? { wrongBytes: true } : undefined);
      await expectComplete(await download());
      expect(warnings.join()).to.include(`${LARGE} has come with wrong bytes`);
      await rm(repository(), { recursive: true });
      hub.fault = (path) =>
        path === LARGE || path === 'vae/config.json' ? { wrongBytes: true } : undefined;
      await expectError(() => download(), 'vae/config.json', 'wrong bytes twice');
      hub.fault = (path) => (path === LARGE ? { wrongBytes: true } : undefined);
      await expectError(() => download(), LARGE, 'wrong bytes twice');
      expect(
        (await blobs()).filter((name) => name.startsWith(sha256(hub.files[LARGE]))),
      ).to.deep.equal([]);
    });

    it('takes the cache when the hub cannot be reached, and says so', async () => {
      const folder = await download();
      await hub.stop();
      expect(await download({ pause: 1 })).to.equal(folder);
      expect(warnings.join()).to.match(/cannot be reached.*is taken from the cache/);
      await expectError(() => download({ pause: 1, variant: undefined }), 'cannot be reached');
      hub = await TestHub.start(hub.files); // for afterEach
    });

    it('stops when asked to and goes on later', async () => {
      hub.slowness = 5;
      const controller = new AbortController();
      const why = new Error('enough');
      hub.onSent = (sent) => sent > 500_000 && controller.abort(why);
      expect(await download({ signal: controller.signal }).catch((error) => error)).to.equal(why);
      expect((await blobs()).filter((name) => name.endsWith('.incomplete'))).to.include(
        `${sha256(hub.files[LARGE])}.incomplete`,
      );
      hub.slowness = 0;
      hub.onSent = undefined;
      hub.seen = [];
      await expectComplete(await download());
      expect(hub.largeRequests().find(({ path }) => path === LARGE)?.range).to.not.equal(
        'bytes=0-',
      );
    });

    it('lets two downloads at once end well', async () => {
      hub.slowness = 1;
      const folders = await Promise.all([download(), download()]);
      for (const folder of folders) await expectComplete(folder);
    });
  });

  describe('refused', () => {
    it('says how to get at a gated model, with and without a token', async () => {
      hub.gatedFor = 'hf_right';
      await expectError(
        () => download(),
        `${hub.endpoint}/${id}`,
        'Accept its licence',
        'HF_TOKEN',
      );
      for (const token of ['hf_wrong', 'right'])
        await expectError(
          () => download({ token }),
          'Accept its licence',
          'with the account of your token',
        );
    });

    it('keeps nobody from a model that is in the cache, but tells that a revision is gone', async () => {
      const folder = await download();
      const refusals: [status: number, code: string, token?: string][] = [
        [401, 'GatedRepo'],
        [403, 'GatedRepo', 'hf_wrong'],
        [401, '', 'hf_old'],
        [403, '', 'hf_narrow'],
        [401, 'RepoNotFound'],
        [404, 'RepoNotFound', 'hf_other'],
        [451, ''],
      ];
      for (const [status, code, token] of refusals) {
        hub.apiFault = () => ({ status, headers: { 'x-error-code': code } });
        warnings = [];
        expect(await download({ token }), `${status} ${code}`).to.equal(folder);
        expect(warnings.join()).to.match(/is taken from the cache as it was last seen\.$/);
        await expectError(() => download({ token, variant: undefined }), hub.endpoint);
      }
      hub.apiFault = () => undefined;
      hub.gatedFor = 'hf_right';
      Object.assign(hub, { files: { ...hub.files, 'vae/config.json': Buffer.from('{}') } });
      hub.refs.main = 'f'.repeat(40);
      expect(await download()).to.equal(folder);
      hub.apiFault = () => ({ status: 404, headers: { 'x-error-code': 'RevisionNotFound' } });
      await expectError(() => download(), 'has no revision "main"');
    });

    it('says how to mend a wrong address of the hub', async () => {
      for (const address of ['garbage', 'ftp://example.org', 'huggingface.co']) {
        process.env.HF_ENDPOINT = address;
        await expectError(
          () => download(),
          `${address} cannot be reached`,
          'that begins with http:// or https://',
          'Correct HF_ENDPOINT, or unset it.',
        );
      }
    });

    it('refuses options that there are not, before it asks', async () => {
      const messages = [{ varient: 'fp16' }, { revision: 1 }].map((options) =>
        download(options as object).catch(({ message }) => message),
      );
      const [unknown, wrong] = await Promise.all(messages);
      expect(unknown).to.contain(
        '`downloadModel` has no option `varient`. Did you mean `variant`?',
      );
      expect(wrong).to.equal('`revision` has to be a string but is 1.');
    });

    it('tells a wrong name, a wrong revision and a missing variant apart', async () => {
      await expectError(
        () => downloadModel('some-org/nothing', { cacheDir }),
        'There is no model some-org/nothing',
      );
      await expectError(() => downloadModel('nothing', { cacheDir }), 'org/name');
      hub.private = true;
      await expectError(() => download(), `There is no model ${id}`, 'if it is private');
      hub.private = false;
      await expectError(() => download({ revision: 'v9' }), 'no revision "v9"');
      await expectError(() => download({ revision: '../../x' }), 'revision');
      await expectError(
        () => download({ variant: 'fp8' }),
        'unet/diffusion_pytorch_model.fp8.safetensors',
        'none, sharded',
        'fp16',
      );
      delete hub.files['unet/config.json'];
      await expectError(() => download(), 'lacks unet/config.json');
    });

    it('names other models for what they are, and says why it takes no pickle files', async () => {
      const index = JSON.parse(hub.files['model_index.json'].toString());
      const weights = 'image_encoder/model.fp16.safetensors';
      const { [weights]: _, ...others } = hub.files;
      hub.files = {
        ...others,
        'model_index.json': Buffer.from(
          JSON.stringify({ ...index, _class_name: 'StableDiffusionPipeline' }),
        ),
      };
      await expectError(
        () => download(),
        id,
        'is Stable Diffusion 1 or 2',
        'Use a Stable Video Diffusion model',
      );
      const files = Object.entries(others).filter(
        ([path]) => !/^image_encoder\/model.*safetensors/.test(path),
      );
      hub.files = {
        ...Object.fromEntries(files),
        'image_encoder/pytorch_model.bin': Buffer.alloc(10),
      };
      await rm(repository(), { recursive: true });
      await expectError(
        () => download(),
        'image_encoder/pytorch_model.bin',
        'runs code',
        '.safetensors',
      );
      hub.files = { 'svd_xt.safetensors': hub.files['svd_xt.safetensors'] };
      await expectError(
        () => download(),
        'lacks model_index.json',
        "not a Stable Video Diffusion model in diffusers' format",
      );
    });

    it('never follows an index out of its folder', async () => {
      const index = 'vae/diffusion_pytorch_model.safetensors.index.sharded.json';
      hub.files[index] = Buffer.from(
        JSON.stringify({ weight_map: { a: '../../../escaped.safetensors' } }),
      );
      await expectError(
        () => download({ variant: 'sharded' }),
        'has to be a name in the same folder',
      );
    });

    it('says what is missing offline, and which command fetches it', async () => {
      await expectError(
        () => download({ localFilesOnly: true }),
        `svd download ${id} --variant fp16`,
        'the revision "main"',
      );
      hub.fault = (path) => (path === LARGE ? { status: 403 } : undefined);
      await expectError(() => download(), 'let');
      await expectError(
        () => download({ localFilesOnly: true, revision: commit }),
        LARGE,
        `--variant fp16 --revision ${commit}`,
      );
    });
  });

  describe('with a cache that is not sound', () => {
    it('removes and fetches again what has another size, or with `verify` another hash', async () => {
      await download();
      await truncate(blob(LARGE), 1000);
      await expectComplete(await download({ verify: true }));
      expect(warnings.join()).to.include('1000 bytes instead of 1000000');
      const bytes = Buffer.from(hub.files[LARGE]);
      bytes[500_000] ^= 1;
      await writeFile(blob(LARGE), bytes);
      warnings = [];
      await expectComplete(await download({ verify: true }));
      expect(warnings.join()).to.include(blob(LARGE)).and.include('is corrupt');
    });

    it('compares what others have left there before its first use, and once', async () => {
      await download();
      await rm(join(cacheDir, '.locks'), { recursive: true }); // as if Python had fetched it
      const bytes = Buffer.from(hub.files[LARGE]);
      bytes[500_000] ^= 1;
      await writeFile(blob(LARGE), bytes);
      warnings = [];
      const stages: string[] = [];
      await expectComplete(
        await download({
          onProgress: ({ stage, step, steps }) => stages.push(`${stage} ${step === steps}`),
        }),
      );
      expect([...new Set(stages)]).to.deep.equal([
        'comparing false',
        'comparing true',
        'downloading false',
        'downloading true',
      ]);
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.include(blob(LARGE)).and.include('is corrupt');

      await truncate(blob(LARGE), 1000);
      await expectError(
        () => download({ localFilesOnly: true }),
        LARGE,
        'nothing may be fetched',
        `svd download ${id} --variant fp16`,
      );
      expect(warnings[1]).to.include(blob(LARGE)).and.include('is corrupt');
      await expectComplete(await download({ revision: commit }));
      await expectComplete(await download({ localFilesOnly: true }));

      // Changed behind the back of what tells changes: nothing is read again.
      const { atime, mtime } = await stat(blob(LARGE));
      const file = await open(blob(LARGE), 'r+');
      await file.write(bytes);
      await file.close();
      await utimes(blob(LARGE), atime, mtime);
      expect(
        (await readFile(join(await download({ localFilesOnly: true }), LARGE))).equals(bytes),
      ).to.equal(true);
      await expectError(() => download({ localFilesOnly: true, verify: true }), `lacks ${LARGE}`);
    });

    it('compares contents that another revision has left before it takes them', async () => {
      await download();
      const bytes = Buffer.from(hub.files[LARGE]);
      bytes[500_000] ^= 1;
      await writeFile(blob(LARGE), bytes);
      hub.refs.v2 = 'f'.repeat(40);
      const folder = await download({ revision: 'v2' });
      expect((await readFile(join(folder, LARGE))).equals(hub.files[LARGE])).to.equal(true);
      expect(warnings.join()).to.include(`${LARGE} is corrupt`);
    });

    it('can do without the record of what was compared, or with a broken one', async () => {
      const folder = await download();
      const record = join(
        cacheDir,
        '.locks/models--some-org--some-model/compared-with-sha256.json',
      );
      const written = await readFile(record, 'utf8');
      for (const text of ['{"', 'null']) {
        await writeFile(record, text);
        expect(await download({ localFilesOnly: true })).to.equal(folder);
        expect(await readFile(record, 'utf8')).to.equal(written);
      }
      expect(warnings).to.deep.equal([]);
      await rm(join(cacheDir, '.locks'), { recursive: true });
      await writeFile(join(cacheDir, '.locks'), ''); // where no folder can be made
      expect(await download({ localFilesOnly: true })).to.equal(folder);
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.include(record).and.include('cannot be written');
    });

    it('goes on from what Python has left, and discards what is too long', async () => {
      await mkdir(join(repository(), 'blobs'), { recursive: true });
      await writeFile(`${blob(LARGE)}.incomplete`, hub.files[LARGE].subarray(0, 400_000));
      const other = 'image_encoder/model.fp16.safetensors';
      await writeFile(
        `${blob(other)}.incomplete`,
        Buffer.concat([hub.files[other], Buffer.alloc(1)]),
      );
      await expectComplete(await download());
      expect(hub.largeRequests().find(({ path }) => path === LARGE)?.range).to.equal(
        'bytes=400000-',
      );
    });

    it('discards a beginning of other bytes', async () => {
      await mkdir(join(repository(), 'blobs'), { recursive: true });
      await writeFile(`${blob(LARGE)}.incomplete`, Buffer.alloc(400_000));
      await expectComplete(await download());
    });

    it('leaves alone what a living process writes, and takes over what a dead one has left', async () => {
      await mkdir(join(repository(), 'blobs'), { recursive: true });
      const living = `${blob(LARGE)}.${process.ppid}-00000000.incomplete`;
      const dead = `${blob(LARGE)}.${2 ** 22 + 1}-00000000.incomplete`; // more than there can be
      await writeFile(living, hub.files[LARGE].subarray(0, 500_000));
      await writeFile(dead, hub.files[LARGE].subarray(0, 300_000));
      await download();
      expect(hub.largeRequests().find(({ path }) => path === LARGE)?.range).to.equal(
        'bytes=300000-',
      );
      await access(living);
      expect(await blobs()).to.not.include(dead.slice(dead.lastIndexOf('/') + 1));
    });

    it('finds a model that was copied without links', async () => {
      const folder = await download();
      const copy = `${folder}.copy`;
      await cp(folder, copy, { recursive: true, dereference: true });
      await rm(folder, { recursive: true });
      await rename(copy, folder);
      hub.seen = [];
      expect(await download({ localFilesOnly: true })).to.equal(folder);
    });

    /**
     * Makes the cache what it is where there are no links: files in the place of links, and no
     * contents.
     */
    async function withoutLinks(): Promise<string> {
      const folder = await download();
      await cp(folder, `${folder}.copy`, { recursive: true, dereference: true });
      await rm(folder, { recursive: true });
      await rename(`${folder}.copy`, folder);
      await rm(join(repository(), 'blobs'), { recursive: true });
      await rm(join(cacheDir, '.locks'), { recursive: true });
      hub.seen = [];
      return folder;
    }

    it(
      'compares copies with the hashes of the hub before their first use, and once, and fetches ' +
        'only what is corrupt',
      async () => {
        const folder = await withoutLinks();
        const seen: { stage: string; step: number; steps: number }[] = [];
        expect(await download({ onProgress: (progress) => seen.push(progress) })).to.equal(folder);
        expect(hub.largeRequests()).to.deep.equal([]);
        const total = needed('.fp16').filter((path) => path.endsWith('.safetensors'));
        const bytes = total.reduce((sum, path) => sum + hub.files[path].length, 0);
        expect(seen.at(-1)).to.deep.equal({ stage: 'comparing', step: bytes, steps: bytes });
        seen.length = 0;
        await download({ onProgress: (progress) => seen.push(progress) });
        expect(seen).to.deep.equal([]);

        const wrong = Buffer.from(hub.files[LARGE]);
        wrong[500_000] ^= 1;
        await writeFile(join(folder, LARGE), wrong);
        await download();
        expect(warnings.join()).to.include(`${LARGE} is corrupt`).and.include(join(folder, LARGE));
        expect((await readFile(join(folder, LARGE))).equals(hub.files[LARGE])).to.equal(true);
        expect(hub.largeRequests().map(({ path }) => path)).to.deep.equal([LARGE]);
      },
    );

    it('compares copies again with `verify`, and does not fetch those that are sound', async () => {
      await withoutLinks();
      await download({ verify: true });
      await download({ verify: true });
      expect(hub.largeRequests()).to.deep.equal([]);
      expect(warnings).to.deep.equal([]);
    });

    it('says in one sentence that the disk is full or may not be written', async () => {
      await mkdir(join(repository(), 'blobs'), { recursive: true });
      if (process.platform === 'linux') {
        await symlink('/dev/full', `${blob(LARGE)}.incomplete`);
        await expectError(() => download(), 'the disk is full', '--cache-dir');
        await rm(`${blob(LARGE)}.incomplete`);
      }
      await writeFile(join(cacheDir, 'file'), '');
      await expectError(
        () => download({ cacheDir: join(cacheDir, 'file') }),
        'cannot be written',
        '--cache-dir',
      );
      await expectComplete(await download());
    });
  });
});
