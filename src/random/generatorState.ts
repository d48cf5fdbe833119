/**
 * The state of a generator in the bytes of `torch.Generator('cpu').get_state()`
 * (`CPUGeneratorImplState` in `ATen/CPUGeneratorImpl.cpp`).
 */
import { MersenneTwister, SIZE } from './mersenneTwister.ts';

/** All that the next draws depend on. */
export interface GeneratorParts {
  seed: bigint;
  engine: MersenneTwister;
  /** The second number of a pair that Box-Muller has made, if it is not drawn yet. */
  spare: number | null;
}

/** Places in the bytes, which are little-endian. Each word of the engine takes eight bytes. */
const [SEED, LEFT, SEEDED, NEXT, WORDS] = [0, 8, 12, 16, 24];
const [SPARE, HAS_SPARE, BYTES] = [5024, 5040, 5056];

/** The bytes of a state. */
export function packState({ seed, engine, spare }: GeneratorParts): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  const { words, position } = engine;
  view.setBigUint64(SEED, seed, true);
  // torch counts the words that are left, and one when it makes new ones at the next draw.
  view.setInt32(LEFT, SIZE - position + 1, true);
  view.setInt32(SEEDED, 1, true);
  view.setUint32(NEXT, position % SIZE, true);
  for (const [i, word] of words.entries()) view.setUint32(WORDS + 8 * i, word, true);
  view.setFloat64(SPARE, spare ?? 0, true);
  view.setInt32(HAS_SPARE, spare === null ? 0 : 1, true);
  return bytes;
}

/** @throws Error if the bytes are not a state. */
export function unpackState(bytes: Uint8Array): GeneratorParts {
  const isBytes = bytes instanceof Uint8Array && bytes.length === BYTES;
  const view = isBytes && new DataView(bytes.buffer, bytes.byteOffset);
  const left = view ? view.getInt32(LEFT, true) : 0;
  if (!view || left < 1 || left > SIZE)
    throw new Error(`A generator's state has to be the ${BYTES} bytes that \`getState\` returns.`);
  const words = Uint32Array.from({ length: SIZE }, (_, i) => view.getUint32(WORDS + 8 * i, true));
  return {
    seed: view.getBigUint64(SEED, true),
    engine: MersenneTwister.from(words, SIZE - left + 1),
    spare: view.getInt32(HAS_SPARE, true) === 0 ? null : view.getFloat64(SPARE, true),
  };
}
