/** Shell scripts in the place of programs that code under test runs. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Puts a shell script in the place of a program, in `folder/bin`.
 * @param log A command whose output each call adds to `folder/calls`. Default: name and arguments.
 */
export function putProgram(
  folder: string,
  name: string,
  script: string,
  log = `echo "${name} $*"`,
): void {
  const path = join(folder, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${log} >> ${folder}/calls\n${script}\n`);
  chmodSync(path, 0o755);
}

/** A folder for each test of the suite around it, whose programs go before those of the system. */
export class StandIns {
  folder = '';

  /** @param variable The variable that names the folder `data` below. */
  constructor(variable: string) {
    let before: [name: string, value: string | undefined][];
    beforeEach(() => {
      this.folder = mkdtempSync(join(tmpdir(), 'svd-'));
      mkdirSync(this.path('bin'));
      before = ['PATH', variable].map((name) => [name, process.env[name]]);
      process.env.PATH = `${this.path('bin')}:/usr/bin:/bin`;
      process.env[variable] = this.path('data');
    });
    afterEach(() => {
      for (const [name, value] of before)
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      rmSync(this.folder, { recursive: true });
    });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  put(name: string, script: string, log?: string): void {
    putProgram(this.folder, name, script, log);
  }

  /** What is in the folder `data`. */
  kept(): string[] {
    return existsSync(this.path('data')) ? readdirSync(this.path('data')) : [];
  }
}
