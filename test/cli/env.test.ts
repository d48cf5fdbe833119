import { expect } from 'chai';
import { variables } from '../../src/cli/env.ts';
import { version } from '../../src/cli/version.ts';
import { startSvd } from './runs.ts';

describe('svd env', () => {
  const secrets = {
    HF_TOKEN: 'hf_secret',
    HTTPS_PROXY: 'http://me:secret@proxy.example:3128',
    http_proxy: 'me:secret@proxy.example:3128',
    HF_ENDPOINT: 'https://me:secret@hub.example?token=secret',
    AWS_SECRET_ACCESS_KEY: 'secret',
    SVD_TOKEN: 'secret',
  };

  it('names variables that matter, without secrets', () => {
    expect(variables({ ...secrets, HF_HOME: '/data/hf', HOME: '/home/me' })).to.deep.equal({
      HF_TOKEN: '(set)',
      HTTPS_PROXY: 'http://proxy.example:3128',
      http_proxy: 'proxy.example:3128',
      HF_ENDPOINT: 'https://hub.example',
      SVD_TOKEN: '(set)',
      HF_HOME: '/data/hf',
    });
  });

  it('prints versions, machine, backends and programs', async () => {
    const { code, stdout, stderr } = await startSvd(['env'], { ...secrets, HF_ENDPOINT: '' }).ended;
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(stdout).to.not.contain('secret');
    for (const line of [
      `package: ${version}`,
      `node: ${process.version}`,
      'processor: ',
      'ffmpeg: ',
    ])
      expect(stdout).to.contain(line);
    expect(stdout).to.match(/^ {2}wasm: .* on /m);
  });
});
