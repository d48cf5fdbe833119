/** The names and addresses by which people call a model of the hub. */
import { expect } from 'chai';
import { hubModel } from '../../../src/checkpoints/hub/address.ts';
import { locateModel } from '../../../src/checkpoints/hub/locate.ts';
import { withEnvironment } from '../../network/servers.ts';
import { expectError } from '../files.ts';

describe('hubModel', () => {
  const id = 'some-org/some.model';
  const named: Record<string, string | undefined> = {
    'some-org/some.model': undefined,
    'https://huggingface.co/some-org/some.model': undefined,
    'HTTPS://HuggingFace.co/some-org/some.model/': undefined,
    'http://www.huggingface.co/some-org/some.model?library=diffusers': undefined,
    'huggingface.co/some-org/some.model': undefined,
    'https://hf.co/some-org/some.model#how-to': undefined,
    'hf.co/some-org/some.model': undefined,
    ' https://huggingface.co/some-org/some.model\n': undefined,
    'https://huggingface.co/some-org/some.model/discussions/3': undefined,
    'https://huggingface.co/some-org/some.model/tree/main': 'main',
    'https://huggingface.co/some-org/some.model/tree/v1.0/unet': 'v1.0',
    'https://huggingface.co/some-org/some.model/tree/refs%2Fpr%2F1': 'refs/pr/1',
    'hf://some-org/some.model': undefined,
    'hf://some-org/some.model@v1/unet': 'v1',
    'https://mirror.example/hub/some-org/some.model/tree/v2': 'v2',
  };
  for (const [text, revision] of Object.entries(named))
    it(`finds the model in ${JSON.stringify(text)}`, () =>
      withEnvironment({ HF_ENDPOINT: 'https://mirror.example/hub/' }, async () => {
        const found = hubModel(text);
        expect(found).to.deep.equal(revision === undefined ? { id } : { id, revision });
      }));

  it('finds none in paths and other addresses', () => {
    for (const text of [
      'name',
      './some-org/model',
      '/some-org/model',
      'a/b/c',
      'https://example.org/some-org/some-model',
      'https://huggingface.co/',
      'https://huggingface.co/some-org',
      'https://huggingface.co/datasets/some-org/some-set',
      'https://huggingface.co/spaces/some-org/some-space',
      'https://huggingface.co.evil.org/some-org/some-model',
      'https://huggingface.co@evil.org/some-org/some-model',
      'https://huggingface.co/../some-org/some-model',
      'https://huggingface.co/some-org/%2e%2e',
    ])
      expect(hubModel(text), text).to.equal(undefined);
  });

  it('says what to do with the address of a file, or of another site', async () => {
    for (const kind of ['blob', 'resolve'])
      await expectError(
        () => locateModel(`https://huggingface.co/${id}/${kind}/main/svd.safetensors`),
        'is the address of one file',
        id,
      );
    const message = await expectError(
      () => locateModel('https://me:secret@example.org/svd.safetensors?signature=secret'),
      '"https://example.org/svd.safetensors" is not the address of a model of the hub',
    );
    expect(message).to.not.include('secret');
  });

  it('takes one revision', () =>
    expectError(
      () => locateModel(`https://huggingface.co/${id}/tree/v1`, { revision: 'v2' }),
      '"v1"',
      '"v2"',
    ));
});
