/** The subpath `./layers` in Node, where layers can write themselves to files. */
import './checkpoints/saveLayer.ts';

export * from './layers/index.ts';
