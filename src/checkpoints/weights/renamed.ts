/** Weights under other names than those in their file. */
import { quoted } from '../errors.ts';
import { unknownTensor, type WeightSource } from './source.ts';

/** The tensors of `file` that have a place in `names`: their names in the file by those to have. */
export function renamed(file: WeightSource, names: ReadonlyMap<string, string>): WeightSource {
  const name = (key: string) => names.get(key) ?? unknownTensor(key, 'the file');
  return {
    ...file,
    names: () => [...names.keys()],
    info: (key) => file.info(name(key)),
    read: async (key) => file.read(name(key)),
    readBytes: file.readBytes && (async (key, target) => file.readBytes!(name(key), target)),
  };
}

/** What training puts before all names: DataParallel, torch.compile and Lightning. */
const WRAPPER = /^(module\.|_orig_mod\.|model\.(?!diffusion_model\.))+/;

/** A file without what all its names begin with, if that is a mark of training. */
export function unwrapped(file: WeightSource, path: string): WeightSource {
  const names = file.names();
  const [start = ''] = WRAPPER.exec(names[0] ?? '') ?? [];
  if (start === '' || !names.every((name) => name.startsWith(start))) return file;
  return {
    ...renamed(file, new Map(names.map((name) => [name.slice(start.length), name]))),
    remark:
      `All names of weights in ${path} begin with ${quoted(start)}, as training leaves them: ` +
      'that is taken off.',
  };
}
