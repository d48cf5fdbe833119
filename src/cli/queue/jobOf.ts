/** Makes jobs of pictures and the calls that animate them. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadEncoder } from '../../media/video/exportVideo.ts';
import { fetchPicture } from '../../network/fetchPicture.ts';
import { checkSize, sha256 } from '../../queue/files.ts';
import type { Job } from '../../queue/job.ts';
import { messageOf } from '../../text/messages.ts';
import { isAddress } from '../batch/findPictures.ts';
import type { Item } from '../batch/items.ts';
import { type GenerateCommand, generateOptions } from '../generate/options.ts';
import { findModel, identityOf } from '../generate/run/model.ts';
import { askedLora } from '../lora.ts';
import { UsageError } from '../terminal/errors.ts';
import { flagOf, type Option, pick, placeholderOf } from '../terminal/options.ts';
import type { Session } from '../terminal/session.ts';
import type { Seed } from '../terminal/values.ts';
import { jobOptionNames, otherOptionNames } from './options.ts';

/** Makes jobs. What they have in common is looked up once. */
export class JobMaker {
  private readonly session: Session;
  private readonly carrier: Job['carrier'];
  private readonly checkpoints = new Map<string, Promise<Job['checkpoint']>>();
  private readonly encoders = new Map<string, ReturnType<typeof loadEncoder>>();

  constructor(session: Session, carrier: Job['carrier']) {
    this.session = session;
    this.carrier = carrier;
  }

  /**
   * @returns The job, and the bytes of its picture.
   * @throws Error if the picture cannot be read; UsageError if a job cannot have an option.
   */
  async make(item: Item, checkpoint: Job['checkpoint']): Promise<{ job: Job; bytes: Uint8Array }> {
    const { picture, output, command } = item;
    checkItem(item);
    const bytes = await this.pictureOf(item);
    const hash = sha256(bytes);
    const { seeds, encoder } = command;
    const chosen = await this.encoderOf(command);
    const settings = {
      ...pick(command as Record<string, unknown>, ...jobOptionNames),
      ...{ unet: command.unet && localOr(command.unet) },
      ...{ config: command.config && localOr(command.config), lora: undefined },
      seeds: seeds.length > 0 ? seeds : [seedOf(hash)],
      encoder: chosen?.encoder ?? encoder,
    };
    const job: Job = {
      picture: { name: command.images[0], path: picture, sha256: hash },
      ...{ settings, output, carrier: this.carrier, checkpoint },
    };
    return { job, bytes };
  }

  private async pictureOf({ picture, from }: Item): Promise<Uint8Array> {
    if (isAddress(picture)) {
      if (this.carrier === 'redis') return fetchPicture(picture);
      throw new UsageError(
        `${from} is an address, but the machines take pictures from a folder. Download it first, ` +
          'or use --carrier redis.',
      );
    }
    const bytes = await readFile(picture).catch((error) => {
      throw new Error(`${picture} could not be read. ${messageOf(error)}.`);
    });
    if (this.carrier === 'redis') checkSize('The picture', picture, bytes.length);
    return bytes;
  }

  /** What encodes the video of a call: where it is ffmpeg, that is run to be found. */
  private encoderOf({ format, encoder }: GenerateCommand): ReturnType<typeof loadEncoder> {
    const key = `${format} ${encoder}`;
    const known = this.encoders.get(key) ?? loadEncoder(format, encoder);
    this.encoders.set(key, known);
    return known;
  }

  /** The checkpoint of a call. @throws Error if it cannot be read. */
  checkpointOf(command: GenerateCommand): Promise<Job['checkpoint']> {
    const { model, variant, config, unet, revision, lora } = command;
    const key = JSON.stringify([model, variant, config, unet, revision, lora]);
    const known = this.checkpoints.get(key) ?? this.identify(command);
    this.checkpoints.set(key, known);
    return known;
  }

  private async identify(command: GenerateCommand): Promise<Job['checkpoint']> {
    const { model, lora } = command;
    const found = await findModel(command, this.session);
    const { hash } = await identityOf(found, command, this.session.signal);
    const asked = lora?.map(askedLora);
    // What is of the hub is found by its name everywhere.
    return {
      ...{ hash, path: model === undefined ? undefined : localOr(model) },
      loras: asked?.map(({ file, scale }) => ({ path: localOr(file), scale })),
    };
  }
}

/** The absolute path of what is there, or else the name of the hub. */
const localOr = (name: string): string => (existsSync(name) ? resolve(name) : name);

/** @throws UsageError if a job cannot have an option of a row, or no single file is made. */
function checkItem({ command, from }: Item): void {
  const wrong = otherOptionNames.find((name) => {
    const option: Option = generateOptions[name];
    const usual = placeholderOf(option) === undefined ? false : option.default;
    const isOwn = (['output', 'json', 'quiet', 'like'] as string[]).includes(name);
    return !isOwn && (command[name] ?? usual) !== usual;
  });
  if (wrong !== undefined)
    throw new UsageError(`${from}: a job has no --${flagOf(wrong, generateOptions[wrong])}.`);
  if (command.format === 'png')
    throw new UsageError(`${from}: a job writes one file. Use another --format than png.`);
}

/** The seed of a picture where none is passed: always the same, so that the work is the same. */
const seedOf = (hash: string): Seed => Number.parseInt(hash.slice(0, 8), 16);
