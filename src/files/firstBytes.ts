/** Tells what a file really is by its first bytes: people save many things under a wrong name. */

/** So many bytes are enough to tell. */
export const TELLING_BYTES = 512;

/** What a reader expects of a file. */
export type Expected = 'weights' | 'JSON' | 'a picture';

/** A kind of file. */
interface Kind {
  /** As in `is a web page`. */
  what: string;
  /** The words behind `not`, if they are others than what is expected. */
  not?: string;
  /** What to do instead. */
  wayOut: string;
  /** What it begins with. */
  begins: RegExp;
}

const AGAIN = 'download it again';
const UNPACK = 'unpack it, and use what is in it';
/** Weights in the formats of other programs. */
const OTHER = { not: 'safetensors', wayOut: 'use the .safetensors file of the same model' };
const PICKLE = {
  what: 'a pickle file of PyTorch',
  not: 'safetensors',
  wayOut:
    'loading it runs code of its maker. Use the .safetensors file of the same model, or, if you ' +
    "trust the file, convert it with diffusers' `save_pretrained(folder, safe_serialization=True)`",
};

/** Files that are no texts, by what their bytes begin with as the letters U+0000 to U+00FF. */
const binaries: (Omit<Kind, 'begins'> & { begins: string[]; at?: number; with?: string })[] = [
  { ...PICKLE, begins: ['\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'] },
  { ...PICKLE, begins: ['PK\x03\x04'], with: '.pkl' },
  { what: 'a zip archive', wayOut: UNPACK, begins: ['PK\x03\x04'] },
  { what: 'a gzip archive', wayOut: UNPACK, begins: ['\x1f\x8b'] },
  { what: 'a bzip2 archive', wayOut: UNPACK, begins: ['BZh'], with: '1AY&SY' },
  { what: 'an xz archive', wayOut: UNPACK, begins: ['\xfd7zXZ\0'] },
  { what: 'a Zstandard archive', wayOut: UNPACK, begins: ['\x28\xb5\x2f\xfd'] },
  { what: 'a 7-Zip archive', wayOut: UNPACK, begins: ['7z\xbc\xaf\x27\x1c'] },
  { what: 'a RAR archive', wayOut: UNPACK, begins: ['Rar!\x1a\x07'] },
  { what: 'a tar archive', wayOut: UNPACK, begins: ['ustar'], at: 257 },
  { what: 'a GGUF file of llama.cpp and its like', ...OTHER, begins: ['GGUF', 'tjgg', 'lmgg'] },
  { what: 'an HDF5 file, as Keras saves', ...OTHER, begins: ['\x89HDF\r\n'] },
  { what: 'an ONNX model', ...OTHER, begins: onnx() },
  { what: 'a TensorFlow Lite model', ...OTHER, begins: ['TFL3'], at: 4 },
  { what: 'a NumPy array', ...OTHER, begins: ['\x93NUMPY'] },
  {
    what: 'a picture',
    wayOut: AGAIN,
    begins: ['\x89PNG\r\n', '\xff\xd8\xff', 'GIF87a', 'GIF89a', 'II*\0', 'MM\0*'],
  },
  { what: 'a picture', wayOut: AGAIN, begins: ['WEBP'], at: 8 },
  { what: 'a picture', wayOut: AGAIN, begins: ['BM'], with: '\0\0\x28\0\0\0' },
  { what: 'a video', wayOut: AGAIN, begins: ['AVI '], at: 8 },
  { what: 'a picture or video', wayOut: AGAIN, begins: ['ftyp'], at: 4 },
  { what: 'a video', wayOut: AGAIN, begins: ['\x1aE\xdf\xa3'] },
  { what: 'a PDF document', wayOut: AGAIN, begins: ['%PDF-'] },
];

/** The number of its version, and the field of the name of the program that has made it. */
function onnx(): string[] {
  return Array.from({ length: 32 }, (_, version) => `\x08${String.fromCharCode(version)}\x12`);
}

/** Texts, without blanks before them. */
const texts: Kind[] = [
  {
    what: 'a web page',
    wayOut: AGAIN,
    begins: /^(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body|title|meta|script|!--)/i,
  },
  { what: 'an XML text, such as a message of a server', wayOut: AGAIN, begins: /^<[?!\w]/ },
  {
    what: 'a Git LFS pointer',
    wayOut: 'fetch the file itself by `git lfs pull`',
    begins: /^version http/,
  },
  {
    what: 'a Xet pointer',
    wayOut: 'fetch the file itself by `git xet checkout`',
    begins: /^# xet /,
  },
  {
    what: 'a git-annex pointer',
    wayOut: 'fetch the file itself by `git annex get`',
    begins: /^[./]*(git\/)?annex\/objects\//,
  },
  {
    what: 'the text of a link',
    wayOut: 'copy the file that it leads to, as `cp -L` does',
    begins: /^(\.\.\/)+\S+$/,
  },
];

/** Texts that are JSON, where that is not expected. */
const json: Kind[] = [
  {
    what: 'the index of several weight files',
    wayOut: 'use the folder that it is in',
    begins: /^\{.*"(weight_map|weightsManifest)"/s,
  },
  {
    what: 'a config',
    wayOut: 'use the folder of the whole model',
    begins: /^\{.*"(_class_name|model_type|architectures)"/s,
  },
];

/** `not` stands where there is a better file with the weights. */
function say({ what, not, wayOut }: Omit<Kind, 'begins'>, expected: Expected): string {
  return expected === 'a picture'
    ? `is ${what}, not a picture: ${not === undefined ? wayOut : 'use a picture'}`
    : `is ${what}, not ${not ?? expected}: ${wayOut}`;
}

/** The predicate of a sentence about a file that is known to be a pickle by its name. */
export const isPickle = say(PICKLE, 'weights');

/** The bytes as the letters U+0000 to U+00FF. */
const latin1 = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/**
 * The beginning of a text in UTF-8 or, with a byte order mark, UTF-16, without blanks around it.
 * Undefined for other bytes.
 */
function textOf(bytes: Uint8Array): string | undefined {
  const mark = latin1(bytes.subarray(0, 2));
  const encoding = { '\xff\xfe': 'utf-16le', '\xfe\xff': 'utf-16be' }[mark] ?? 'utf-8';
  try {
    // as a stream, whose last letter may be cut
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
    return /[^\P{C}\s]/u.test(text) ? undefined : text.trim();
  } catch {
    return undefined;
  }
}

const binaryOf = (letters: string) =>
  binaries.find(
    ({ begins, at = 0, with: part = '' }) =>
      begins.some((some) => letters.startsWith(some, at)) && letters.includes(part),
  );

/** A picture, a video, an archive or a document by its first bytes, in words. */
export function kindOfOtherFile(bytes: Uint8Array): string | undefined {
  const binary = binaryOf(latin1(bytes.subarray(0, TELLING_BYTES)));
  return binary?.not === undefined ? binary?.what : undefined;
}

/**
 * What a file is by its first bytes if it is not what it should be, as the predicate of a sentence:
 * `is a web page, not weights: download it again`. Undefined if that cannot be told.
 * @param bytes The first `TELLING_BYTES` of the file, or all if it has fewer.
 */
export function describeFirstBytes(
  bytes: Uint8Array,
  expected: Expected = 'weights',
): string | undefined {
  const start = bytes.subarray(0, TELLING_BYTES);
  const letters = latin1(start);
  const binary = binaryOf(letters);
  if (binary?.what.startsWith(expected)) return undefined;
  if (binary) return say(binary, expected);
  const text = textOf(start);
  if (text === '' && bytes.length < TELLING_BYTES) return `is empty: ${AGAIN}`;
  const find = (kinds: Kind[]) => {
    const found = text ? kinds.find(({ begins }) => begins.test(text)) : undefined;
    return found && say(found, expected);
  };
  if (expected === 'JSON') {
    const isSafetensors = letters.startsWith('\0\0\0{', 5);
    return isSafetensors ? `is a safetensors file, not JSON: ${AGAIN}` : find(texts);
  }
  if (!text) return undefined;
  const [line] = text.split(/[\r\n]/);
  const shown = JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}...` : line);
  const other = { what: `a text that begins with ${shown}`, wayOut: AGAIN };
  return find([...texts, ...json]) ?? say(other, expected);
}
