import { expect } from 'chai';
import { camelCaseConfig, snakeCaseConfig } from '../../../src/checkpoints/configs/keys.ts';

describe('config keys', () => {
  it('become camelCase, without private keys and nulls, with the values as they are', () => {
    const json = {
      _class_name: 'X',
      sample_size: 8,
      block_out_channels: [32, 64],
      use_karras_sigmas: true,
      sigma_max: null,
      size: { shortest_edge: 2 },
    };
    expect(camelCaseConfig(json)).to.deep.equal({
      sampleSize: 8,
      blockOutChannels: [32, 64],
      useKarrasSigmas: true,
      size: { shortest_edge: 2 },
    });
  });

  it('become snake_case again', () => {
    const json = { addition_time_embed_dim: 256, in_channels: 8, hidden_act: 'gelu' };
    expect(snakeCaseConfig(camelCaseConfig(json))).to.deep.equal(json);
  });
});
