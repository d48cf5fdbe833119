/** The scripts of `svd completion`, run in the shells that are installed. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { completedCommands, completionScript } from '../../src/cli/completion.ts';
import { subcommands } from '../../src/cli/subcommands.ts';
import { svd, workFolder } from './runs.ts';

const execute = promisify(execFile);
const installed = (shell: string) => spawnSync(shell, ['--version']).error === undefined;

describe('svd completion', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
    const commands = await completedCommands(subcommands);
    for (const shell of ['bash', 'zsh', 'fish'])
      await writeFile(folder.path(`svd.${shell}`), completionScript(shell, commands));
    await mkdir(folder.path('pictures'));
    for (const name of ['picture.png', 'pine.txt', 'pipe.safetensors'])
      await writeFile(folder.path(name), '');
  });
  after(() => folder.remove());

  /** What a shell offers for the last word, in a folder with files. */
  const offered = async (shell: string, command: string, words: string[]) => {
    const options = { cwd: folder.path('.') };
    const { stdout, stderr } = await execute(shell, ['-c', command, shell, ...words], options);
    expect(stderr).to.equal('');
    return stdout.split('\n').filter((line) => line !== '');
  };

  const bash = (...words: string[]) =>
    offered(
      'bash',
      `source svd.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _svd; printf '%s\\n' ` +
        `"\${COMPREPLY[@]}"`,
      ['svd', ...words],
    );

  it('completes commands, options and values in bash', async () => {
    expect(await bash('ge')).to.deep.equal(['generate']);
    expect(await bash('--debug', 'ge')).to.deep.equal(['generate']);
    expect(await bash('--debug', 'generate', '--guidance-t')).to.deep.equal([
      '--guidance-together',
    ]);
    expect(await bash('help', 'ver')).to.deep.equal(['verify']);
    expect(await bash('setup', '')).to.deep.equal(['tensorflow', 'webgpu']);
    expect(await bash('completion', '')).to.deep.equal(['bash', 'zsh', 'fish']);
    expect(await bash('generate', '--guidance-t')).to.deep.equal(['--guidance-together']);
    expect(await bash('generate', 'a.png', '--backend', 'w')).to.deep.equal(['webgpu', 'wasm']);
    expect(await bash('verify', '--backend', '=', 'a')).to.deep.equal(['auto', 'all']);
    expect(await bash('generate', '--dtype', '=')).to.deep.equal([
      'float32',
      'float16',
      'bfloat16',
    ]);
    expect(await bash('generate', '--seed', '')).to.deep.equal([]);
    expect(await bash('que')).to.deep.equal(['queue']);
    expect(await bash('queue', 'a')).to.deep.equal(['add']);
    expect(await bash('queue', 'add', '--car')).to.deep.equal(['--carrier']);
    expect(await bash('queue', 'work', '--backend', 'w')).to.deep.equal(['webgpu', 'wasm']);
  });

  it('completes folders and the files that an option takes in bash', async () => {
    expect(await bash('generate', 'pi')).to.have.members([
      ...['pictures', 'picture.png', 'pipe.safetensors'],
    ]);
    expect(await bash('generate', '-o', 'pi')).to.have.members(['pictures', 'pipe.safetensors']);
    expect(await bash('generate', '--config', 'pi')).to.deep.equal(['pictures']);
  });

  it('completes in fish', async function () {
    if (!installed('fish')) return skipped(this, 'fish');
    const fish = (...words: string[]) =>
      offered('fish', 'source svd.fish; complete -C $argv[-1]', [['svd', ...words].join(' ')]).then(
        (lines) => lines.map((line) => line.split('\t')[0]),
      );
    expect(await fish('ge')).to.deep.equal(['generate']);
    expect(await fish('generate', '--guidance-t')).to.deep.equal(['--guidance-together']);
    expect(await fish('generate', '--backend', 'w')).to.have.members(['webgpu', 'wasm']);
    expect(await fish('generate', 'picture')).to.include('picture.png');
    expect(await fish('setup', '')).to.deep.equal(['tensorflow', 'webgpu']);
    expect(await fish('queue', 'a')).to.deep.equal(['add']);
    expect(await fish('queue', 'add', '--car')).to.deep.equal(['--carrier']);
  });

  it('is a script that zsh can read', async function () {
    if (!installed('zsh')) return skipped(this, 'zsh');
    await execute('zsh', ['-n', folder.path('svd.zsh')]);
    // Sourced, it registers itself; each command has its arguments.
    const command = 'compdef() { print $1 $2 }; source svd.zsh; whence -f _svd';
    const lines = await offered('zsh', command, []);
    expect(lines[0]).to.equal('_svd svd');
    expect(lines.join('\n')).to.include('--backend=').and.to.include('(auto cuda tensorflow');
  });

  it('prints the script, and refuses another shell', async () => {
    const [printed, refused] = await Promise.all([
      svd('completion', 'bash'),
      svd('completion', 'tcsh'),
    ]);
    expect(printed).to.include({ code: 0, stderr: '' });
    expect(printed.stdout).to.match(/^# Completion of svd for bash/);
    expect(refused).to.deep.equal({
      code: 2,
      stdout: '',
      stderr:
        'error: svd completion takes bash, zsh or fish but is given "tcsh". See svd completion ' +
        '--help.\n',
    });
  });
});

function skipped(test: Mocha.Context, shell: string): void {
  test.test!.title += ` (skipped: ${shell} is not installed)`;
  test.skip();
}
