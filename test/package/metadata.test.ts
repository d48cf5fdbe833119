/** What the package holds, and what its manifest says. */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect } from 'chai';
import { type Packed, pack, root } from './pack.ts';

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

describe('the package @slow', () => {
  let packed: Packed;
  let paths: string[];
  before(async () => {
    packed = await pack();
    paths = packed.files.map(({ path }) => path);
  });

  it('has at most 16 MB', () => {
    expect(packed.size).to.be.at.most(16e6);
  });

  it('holds whatever its texts link to', () => {
    const texts = paths.filter((path) => path.endsWith('.md') && path !== 'CONTRIBUTING.md');
    const folders = new Set(paths.flatMap((path) => posix.dirname(path)));
    const broken = texts.flatMap((text) => {
      const source = readFileSync(root + text, 'utf8').replace(/^```.*?^```/gms, '');
      const links = [...source.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!);
      return links
        .filter((link) => !/^(https?|mailto):/.test(link))
        .map((link) => posix.join(posix.dirname(text), link).replace(/\/$/, ''))
        .filter((path) => !paths.includes(path) && !folders.has(path))
        .map((path) => `${text}: ${path}`);
    });
    expect(texts).to.include('README.md');
    expect(broken).to.deep.equal([]);
  });

  it('has no source maps without their sources', () => {
    expect(paths.filter((path) => path.endsWith('.map'))).to.deep.equal([]);
    const code = readFileSync(`${root}dist/src/index.js`, 'utf8');
    expect(code).to.not.contain('sourceMappingURL');
  });

  it('holds the examples with their pictures', () => {
    expect(paths)
      .to.include('examples/imageToVideo.ts')
      .and.include('examples/pictures/rocket.jpg');
  });

  it('says where it is developed', () => {
    const { homepage, repository, bugs, keywords } = manifest;
    const [, address] = /^git\+(https:.+)\.git$/.exec(repository.url)!;
    expect([homepage, bugs.url]).to.deep.equal([`${address}#readme`, `${address}/issues`]);
    expect(keywords).to.include.members(['stable-video-diffusion', 'image-to-video', 'tfjs']);
  });

  it('lets nobody install a faster backend who does not ask for it', () => {
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = manifest;
    expect(optionalDependencies).to.equal(undefined);
    expect(peerDependencies['@tensorflow/tfjs']).to.equal('~4.22.0');
    for (const name of ['tfjs-node', 'tfjs-node-gpu', 'tfjs-backend-webgpu'].map(
      (part) => `@tensorflow/${part}`,
    )) {
      expect(peerDependenciesMeta[name]).to.deep.equal({ optional: true });
      expect(dependencies).to.not.have.property(name);
    }
  });

  it('has no script that an installation would run', () => {
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
      expect(manifest.scripts).to.not.have.property(name);
  });
});
