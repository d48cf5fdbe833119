import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { freemem, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { memoryLimits, processLimit } from '../../src/memory/limits.ts';

const MiB = 2 ** 20;

describe('the memory there is', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'svd-test-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  async function write(files: Record<string, string>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
  }

  /** What is counted on besides what this process has. */
  const free = () => Math.round((processLimit(root) - process.memoryUsage.rss()) / MiB);

  it('is what Linux says is available', async () => {
    await write({
      'proc/meminfo': 'MemTotal:  9000000 kB\nMemFree: 1024 kB\nMemAvailable:    2048000 kB\n',
    });
    expect(free()).to.be.closeTo(2000, 20);
  });

  it('is what the system says is free where there is no such file', () => {
    const expected = (process.platform === 'darwin' ? totalmem() : freemem()) / MiB;
    expect(free()).to.be.closeTo(expected, 0.1 * expected);
  });

  it('is no more than a container may have, pages of files not counted', async () => {
    await write({
      'proc/meminfo': 'MemAvailable: 99000000 kB\n',
      'proc/self/cgroup': '0::/user/app\n',
      'sys/fs/cgroup/user/app/memory.max': 'max\n',
      'sys/fs/cgroup/user/app/memory.current': `${700 * MiB}\n`,
      'sys/fs/cgroup/user/memory.max': `${1000 * MiB}\n`,
      'sys/fs/cgroup/user/memory.current': `${800 * MiB}\n`,
      'sys/fs/cgroup/user/memory.stat': `anon ${400 * MiB}\nactive_file ${100 * MiB}\ninactive_file ${200 * MiB}\n`,
    });
    expect(free()).to.be.closeTo(1000 - 800 + 300, 20);
  });

  it('is no more than an older kernel gives a container', async () => {
    await write({
      'proc/meminfo': 'MemAvailable: 99000000 kB\n',
      'proc/self/cgroup': '5:cpu,cpuacct:/a\n4:memory:/a\n',
      'sys/fs/cgroup/memory/a/memory.limit_in_bytes': `${600 * MiB}\n`,
      'sys/fs/cgroup/memory/a/memory.usage_in_bytes': `${500 * MiB}\n`,
      'sys/fs/cgroup/memory/a/memory.stat': `total_inactive_file ${50 * MiB}\ntotal_active_file ${25 * MiB}\n`,
    });
    expect(free()).to.be.closeTo(175, 20);
  });

  it('is known for every device at least of the process', () => {
    for (const device of ['tensorflow-cpu', 'wasm', 'webgpu', 'cpu'] as const) {
      expect(memoryLimits(device).processBytes).to.be.within(
        process.memoryUsage.rss() / 2,
        2 * totalmem(),
      );
    }
  });
});
