/**
 * The checkpoint that comes with the package, where none is named, and the warning about sizes
 * unlike those of training.
 */
import { expect } from 'chai';
import sharp from 'sharp';
import { packagedModel } from '../../src/checkpoints/packagedModel.ts';
import { generateOptions } from '../../src/cli/generate/options.ts';
import { packagedNote, trainedFor, unlikeTraining } from '../../src/cli/packagedModel.ts';
import { generate, picture, workFolder } from './runs.ts';

describe('the checkpoint of the package', () => {
  it('makes a video of its own size, and says so', async () => {
    const folder = await workFolder();
    try {
      const path = folder.path('clip.webp');
      const { notes, settings } = await generate([
        picture('rocket.jpg'),
        '--output',
        path,
        '--seed',
        '1',
        '--num-inference-steps',
        '1',
      ]);
      expect(notes).to.deep.equal([packagedNote]);
      const { side, numFrames } = await trainedFor(packagedModel);
      expect(settings).to.include({ height: side, width: side, numFrames });
      expect(generateOptions.height.help).to.contain(`such as ${side} without --model.`);
      const { width, pages } = await sharp(path, { animated: true }).metadata();
      expect({ width, pages }).to.deep.equal({ width: side, pages: numFrames });
    } finally {
      await folder.remove();
    }
  });
});

describe('unlikeTraining', () => {
  const trained = { side: 64, numFrames: 8 };
  it('is silent near to what the checkpoint was trained for', () => {
    expect(unlikeTraining(trained, { height: 64, width: 64, numFrames: 8 })).to.equal(undefined);
    expect(unlikeTraining(trained, { height: 64, width: 96, numFrames: 14 })).to.equal(undefined);
    expect(
      unlikeTraining({ side: 768, numFrames: 25 }, { height: 576, width: 1024, numFrames: 25 }),
    ).to.equal(undefined);
    expect(unlikeTraining({}, { height: 8, width: 8, numFrames: 1 })).to.equal(undefined);
  });

  it('tells what it was trained for otherwise', () => {
    expect(unlikeTraining(trained, { height: 576, width: 1024, numFrames: 8 })).to.equal(
      'the checkpoint was trained for 8 frames of about as many pixels as 64x64; 8 frames of ' +
        '1024x576 may look worse',
    );
    expect(unlikeTraining(trained, { height: 64, width: 64, numFrames: 25 })).to.contain(
      '25 frames of 64x64 may look worse',
    );
    expect(unlikeTraining(trained, { height: 32, width: 32, numFrames: 8 })).to.contain(
      '8 frames of 32x32',
    );
    expect(unlikeTraining({ numFrames: 14 }, { height: 8, width: 8, numFrames: 2 })).to.contain(
      'trained for 14 frames;',
    );
  });
});
