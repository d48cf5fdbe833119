/** All that encodes MP4 and WebM in browsers, in one module, so that it is loaded at once. */
export { writePackets } from '../container.ts';
export { encodeH264 } from './h264.ts';
export { encodeByWebCodecs, findWebCodec } from './webCodecs.ts';
