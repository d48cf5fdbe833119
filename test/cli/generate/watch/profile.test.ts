import { expect } from 'chai';
import { formatProfile, Profile } from '../../../../src/cli/generate/watch/profile.ts';
import { folderWithModel, generate, picture, small, svd } from '../../runs.ts';

describe('Profile', () => {
  /** A profile of three blocks by a clock that is set by hand. */
  function measured(): Profile {
    let now = 7000;
    const profile = new Profile(() => now);
    const at = (seconds: number, path: string) => {
      now = 1000 * seconds;
      profile.onBlock(path);
    };
    at(8, 'image_encoder.vision_model.encoder.layers.0');
    at(10, 'image_encoder.vision_model.encoder.layers.11');
    at(11, 'unet.conv_in');
    at(15, 'unet.mid_block.resnets.0');
    at(17, 'unet.conv_in');
    return profile;
  }

  it(
    'adds up the time of each block since it was made, and takes the layers of the image ' +
      'encoder together',
    () => {
      expect(measured().lines()).to.deep.equal([
        { block: 'image_encoder.vision_model.encoder.layers', calls: 2, seconds: 3, share: 0.3 },
        { block: 'unet.conv_in', calls: 2, seconds: 3, share: 0.3 },
        { block: 'unet.mid_block.resnets.0', calls: 1, seconds: 4, share: 0.4 },
      ]);
    },
  );

  it('is printed as a table, with a warning on webgpu', () => {
    const text = formatProfile(measured().lines(), 'tensorflow');
    const lines = text.split('\n');
    expect(lines).to.have.length(5);
    expect(lines[0]).to.match(/^block +seconds +share +calls$/);
    expect(lines[3]).to.match(/^unet\.mid_block\.resnets\.0 +4\.000 +40\.0 % +1$/);
    expect(lines[4]).to.match(/^all +10\.000 +100\.0 % +5$/);
    expect(formatProfile(measured().lines(), 'webgpu').split('\n')).to.have.length(6);
  });
});

describe('svd generate --profile', () => {
  const folder = folderWithModel();
  const args = (output: string) => [
    picture('rocket.jpg'),
    '--model',
    folder.path('model'),
    '--output',
    folder.path(output),
    '--seed',
    '1',
  ];

  it('accounts for every block of a run and the work in between', async () => {
    const twoSteps = [
      ...small.slice(0, 6),
      '--num-inference-steps',
      '2',
      '--max-guidance-scale',
      '1',
    ];
    const { profile, timings, settings } = await generate([
      ...args('profiled.mp4'),
      '--profile',
      ...twoSteps,
    ]);
    const lines = profile ?? [];
    const calls = Object.fromEntries(lines.map((line) => [line.block, line.calls]));
    expect(calls).to.include({ preprocess: 2, scheduler: 2, postprocess: 1 });
    for (const block of [
      'conv_in',
      'down_blocks.0.resnets.0',
      'mid_block.attentions.0',
      'up_blocks.1.attentions.0',
      'conv_out',
    ])
      expect(calls, block).to.have.property(`unet.${block}`, 2);
    for (const block of [
      'image_encoder.visual_projection',
      'vae.encoder.conv_in',
      'vae.quant_conv',
      'vae.decoder.time_conv_out',
    ])
      expect(calls, block).to.have.property(block, 1);
    const sum = lines.reduce((total, { seconds }) => total + seconds, 0);
    expect(sum)
      .to.be.above(0)
      .and.at.most(timings.encoding + timings.sampling + timings.decoding + 0.1);
    expect(lines.reduce((total, { share }) => total + share, 0)).to.be.closeTo(1, 0.01);
    expect(settings).not.to.have.property('profile');
  });

  it('is left out unless asked for', async () => {
    expect(await generate([...args('plain.mp4'), ...small])).not.to.have.property('profile');
  });

  it('prints the table on standard error, and the lines in the JSON', async () => {
    const command = [
      'generate',
      ...args('printed.mp4'),
      '--backend',
      'wasm',
      '--profile',
      '--json',
      ...small,
    ];
    const { code, stdout, stderr } = await svd(...command);
    expect(code, stderr).to.equal(0);
    expect(stderr)
      .to.match(/^block +seconds +share +calls\n/m)
      .and.match(/^unet\.mid_block\.resnets\.0 +\d/m);
    expect(JSON.parse(stdout).profile[0]).to.have.keys('block', 'calls', 'seconds', 'share');
  });
});
