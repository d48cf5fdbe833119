/** The Python environment of `svd reference`, with stand-ins for Python, pip and uv. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  checkPython,
  environmentFolder,
  setUpPython,
} from '../../../src/cli/reference/environment.ts';
import { forLora, inPip, pinned, requirementsFile } from '../../../src/cli/reference/pinned.ts';
import { StandIns } from '../../harness/standIns.ts';

describe('the environment of svd reference', () => {
  const at = new StandIns('SVD_REFERENCE_DIR');
  let notes: string[];

  /** A program that logs how much is in its working folder, and its arguments. */
  const standIn = (name: string, script: string) =>
    at.put(name, script, `echo "${name} $(ls -A | grep -v ^python$ | wc -l) $*" | head -1`);

  /** A Python that has the libraries in these versions, and whose pip does `pip`. */
  const python = (versions: object, pip = '') =>
    standIn(
      'python',
      `[ "$2" != -m ] || { ${pip || ':'}; }\n[ "$4" = "" ] || [ "$2" = -m ] || ` +
        `echo '${JSON.stringify(versions)}'`,
    );
  const copyPython = `mkdir -p "$folder/bin" && cp ${'$(dirname "$0")'}/python "$folder/bin/python"`;

  const setUp = (signal?: AbortSignal, withLora = false) =>
    setUpPython({ note: (text) => notes.push(text), signal, withLora }).then(
      () => 'done',
      (error: Error) => error.message,
    );
  const calls = () => readFileSync(join(at.folder, 'calls'), 'utf8').trim().split('\n');
  const installs = () => calls().filter((call) => / install /.test(call));

  beforeEach(() => {
    notes = [];
    python(pinned);
    standIn('uv', `for folder; do :; done; [ "$1" != venv ] || { ${copyPython}; }`);
    standIn('python3', `for folder; do :; done; [ "$3" != venv ] || { ${copyPython}; }`);
  });

  const torch = `torch==${pinned.torch}`;
  const index = '--index-url https://download.pytorch.org/whl/cpu';

  it('is made by uv where there is one, and then kept', async () => {
    expect(await setUp()).to.equal('done');
    expect(at.kept()).to.deep.equal([environmentFolder().split('/').at(-1)]);
    const made = installs();
    expect(made.at(-1)).to.match(/^uv 0 pip install --python \S+\/bin\/python --requirement \S+$/);
    if (process.platform === 'linux') expect(made[0]).to.contain(`--no-deps ${index} ${torch}`);
    expect(calls().some((call) => call.startsWith('python3'))).to.equal(false);
    const before = calls().length;
    expect(await setUp()).to.equal('done');
    expect(calls().length).to.equal(before + 1); // asked for its versions
  });

  it('is made by venv and pip otherwise, isolated and in an empty folder', async () => {
    rmSync(join(at.folder, 'bin', 'uv'));
    expect(await setUp()).to.equal('done');
    expect(calls().filter((call) => / venv /.test(call))).to.have.length(1);
    const made = installs();
    expect(made.at(-1)).to.equal(`python 0 -I -m pip install --requirement ${requirementsFile}`);
    for (const call of calls())
      if (!/^python \d+ -I -c/.test(call)) expect(call).to.match(/^\w+ 0 -I /);
  });

  it('goes on without uv where that fails, and says so', async () => {
    standIn('uv', 'echo "error: no such index" >&2; exit 2');
    expect(await setUp()).to.equal('done');
    expect(notes.join('\n')).to.match(/does without uv: `uv venv .*no such index/);
  });

  it("takes torch from the user's index where that of builds for processors fails", async function () {
    if (process.platform !== 'linux') this.skip();
    rmSync(join(at.folder, 'bin', 'uv'));
    python(pinned, '[ "$5" != --no-deps ] || { echo "ERROR: cannot be reached" >&2; exit 1; }');
    expect(await setUp()).to.equal('done');
    expect(notes.join('\n')).to.match(
      /that failed \(.*ERROR: cannot be reached\), so it comes from your own package index, maybe with the libraries of CUDA/,
    );
  });

  it('is absent when a step fails, and whole after the next call', async () => {
    rmSync(join(at.folder, 'bin', 'uv'));
    python(pinned, '[ "$5" != --requirement ] || { echo "ERROR: no such luck" >&2; exit 1; }');
    expect(await setUp()).to.match(/ failed \(exit code 1\): ERROR: no such luck$/);
    expect(at.kept()).to.deep.equal([]);
    python(pinned);
    expect(await setUp()).to.equal('done');
    expect(at.kept()).to.have.length(1);
  });

  it('is made again when it no longer works', async () => {
    expect(await setUp()).to.equal('done');
    rmSync(join(environmentFolder(), 'bin'), { recursive: true });
    expect(await setUp()).to.equal('done');
    expect(existsSync(join(environmentFolder(), 'bin', 'python'))).to.equal(true);
  });

  it('gets peft only when a reference has LoRA, and is not made again for it', async () => {
    const list = readFileSync(requirementsFile, 'utf8');
    expect(list).to.not.contain('peft'); // it names the folder, which those without LoRA keep
    const [peft] = inPip(forLora);
    python({ ...pinned, peft: null });
    expect(await setUp()).to.equal('done');
    expect(installs().join()).to.not.contain('peft');
    const before = calls().length;
    for (const hasUv of [true, false]) {
      if (!hasUv) rmSync(join(at.folder, 'bin', 'uv'));
      expect(await setUp(undefined, true)).to.equal('done');
      expect(installs().at(-1)).to.match(
        hasUv ? /^uv 0 pip install --python \S+ / : /^python 0 -I -m pip install /,
      );
      expect(installs().at(-1)).to.match(new RegExp(` --requirement \\S+ ${peft}$`));
    }
    expect(
      calls()
        .slice(before)
        .some((call) => / venv /.test(call)),
    ).to.equal(false);
    expect(at.kept()).to.have.length(1);
    expect(notes.at(-1)).to.equal(`installs ${peft}`);
    rmSync(environmentFolder(), { recursive: true });
    python({ ...pinned, ...forLora });
    expect(await setUp(undefined, true)).to.equal('done');
    expect(installs().at(-1)).to.match(new RegExp(` --requirement \\S+ ${peft}$`));
    const count = installs().length;
    expect(await setUp(undefined, true)).to.equal('done');
    expect(installs()).to.have.length(count);
  });

  it('is not made by two at once, and taken over from one that was killed', async () => {
    const both = await Promise.all([setUp(), setUp()]);
    expect(both.filter((text) => text === 'done')).to.have.length(1);
    expect(both.find((text) => text !== 'done')).to.match(
      /^Another `svd reference` \(process \d+\) makes its Python environment\. Wait .*\.lock if there is none\.$/,
    );
    rmSync(environmentFolder(), { recursive: true });
    writeFileSync(`${environmentFolder()}.lock`, `999999999 ${hostname()}`);
    expect(await setUp()).to.equal('done');
    expect(at.kept()).to.have.length(1);
  });

  it('stops the program that runs, and leaves nothing', async () => {
    const controller = new AbortController();
    standIn('uv', `touch ${at.folder}/started; exec sleep 600`);
    const ended = setUp(controller.signal);
    while (!existsSync(join(at.folder, 'started')))
      await new Promise((done) => setTimeout(done, 20));
    controller.abort(new Error('interrupted'));
    expect(await ended).to.equal('interrupted');
    expect(at.kept()).to.deep.equal([]);
  });

  it('asks for a Python, for venv, or for another folder', async () => {
    rmSync(join(at.folder, 'bin', 'uv'));
    standIn('python3', '[ "$3" != venv ] || { echo "ensurepip is not available"; exit 1; }');
    expect(await setUp()).to.match(
      /^`svd reference` needs uv, or venv for python3 \(.*\)\. Install one, for instance by `apt-get install python3-venv`\.$/,
    );
    for (const name of ['python3', 'python'])
      standIn(name, 'echo "error: it is 3.9.2, older than 3.11" >&2; exit 1');
    expect(await setUp()).to.match(
      /^`svd reference` needs uv, or Python 3\.11 or newer \(.*3\.9\.2.*\)\. Install one, or pass a Python by --python\.$/,
    );
    process.env.SVD_REFERENCE_DIR = join(at.folder, 'bin', 'python', 'data');
    expect(await setUp()).to.match(
      / cannot be made \(.+\)\. Set SVD_REFERENCE_DIR to another folder\.$/,
    );
  });

  it("can be the user's own Python, which is asked for its libraries", async () => {
    const path = join(at.folder, 'bin', 'python');
    const check = (withLora = false) =>
      checkPython(path, { note: (text) => notes.push(text), withLora }).then(
        () => 'done',
        (error: Error) => error.message,
      );
    expect([await check(), notes]).to.deep.equal(['done', []]);
    python({ ...pinned, torch: `${pinned.torch}+cu130`, diffusers: '0.40.0' });
    expect(await check()).to.equal('done');
    expect(notes).to.deep.equal([`${path} has diffusers 0.40.0 instead of ${pinned.diffusers}`]);
    python({ ...pinned, accelerate: null });
    expect(await check()).to.equal(
      `--python ${path} lacks accelerate. Run \`${path} -m pip install -r ${requirementsFile}\`, ` +
        'or leave out --python.',
    );
    notes = [];
    python({ ...pinned, peft: null });
    expect([await check(), notes]).to.deep.equal(['done', []]);
    const [peft] = inPip(forLora);
    expect(await check(true)).to.equal(
      `--python ${path} lacks peft, which --lora needs. Run \`${path} -m pip install ${peft}\`, ` +
        'or leave out --python.',
    );
    python({ ...pinned, numpy: null, peft: null });
    expect(await check(true)).to.equal(
      `--python ${path} lacks numpy, peft. Run \`${path} -m pip install -r ${requirementsFile} ` +
        `${peft}\`, or leave out --python.`,
    );
    rmSync(path);
    expect(await check()).to.equal(`--python ${path} cannot be used: ${path} is not installed`);
  });
});
