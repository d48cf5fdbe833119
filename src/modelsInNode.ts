/** The subpath `./models` in Node, where layers can write themselves to files. */
import './checkpoints/saveLayer.ts';

export * from './models/index.ts';
