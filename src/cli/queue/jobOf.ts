/** Makes jobs of pictures and options. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { identifyCheckpoint, packagedModel } from '../../checkpoints/index.ts';
import { loadEncoder } from '../../media/video/exportVideo.ts';
import { checkSize, sha256 } from '../../queue/files.ts';
import type { Job } from '../../queue/job.ts';
import { generateCommand } from '../generate/checkCommand.ts';
import type { GenerateCommand } from '../generate/options.ts';
import { locate, singleFileOptions } from '../hubModel.ts';
import { UsageError } from '../terminal/errors.ts';
import type { Values } from '../terminal/options.ts';
import type { Session } from '../terminal/session.ts';
import type { Seed } from '../terminal/values.ts';
import type { jobOptions } from './options.ts';

/** The options of a job. */
export type JobValues = Values<typeof jobOptions>;

/** A picture to animate, and where its video goes. */
export interface Item {
  picture: string;
  output: string;
  values: JobValues;
}

/** Makes jobs. What they have in common is looked up once. */
export class JobMaker {
  private readonly session: Session;
  private readonly carrier: Job['carrier'];
  private readonly checkpoints = new Map<string, Promise<Job['checkpoint']>>();

  constructor(session: Session, carrier: Job['carrier']) {
    this.session = session;
    this.carrier = carrier;
  }

  /** @returns The job, and the bytes of its picture. */
  async make({ picture, output, values }: Item): Promise<{ job: Job; bytes: Buffer }> {
    const command = await this.checked(picture, output, values);
    const bytes = await readFile(picture);
    if (this.carrier === 'redis') checkSize('The picture', picture, bytes.length);
    const hash = sha256(bytes);
    const settings = {
      ...values,
      seeds: values.seeds.length > 0 ? values.seeds : [seedOf(hash)],
      encoder: (await loadEncoder(command.format, values.encoder))?.encoder ?? values.encoder,
    };
    const job = {
      picture: { name: picture, path: resolve(picture), sha256: hash },
      ...{ settings, output: resolve(output), carrier: this.carrier },
      checkpoint: await this.checkpointOf(command),
    };
    return { job, bytes };
  }

  /** @throws UsageError if the options do not go together, or make no single file. */
  private async checked(
    picture: string,
    output: string,
    values: JobValues,
  ): Promise<GenerateCommand> {
    const command = generateCommand(
      { ...values, output, backend: 'auto' } as unknown as GenerateCommand,
      [picture],
    );
    if (command.format !== 'png') return command;
    throw new UsageError('a job of the queue writes one file: use another --format than png.');
  }

  private checkpointOf(command: GenerateCommand): Promise<Job['checkpoint']> {
    const { model, variant, config, unet, revision } = command;
    const key = JSON.stringify([model, variant, config, unet, revision]);
    const known = this.checkpoints.get(key) ?? this.identify(command);
    this.checkpoints.set(key, known);
    return known;
  }

  private async identify(command: GenerateCommand): Promise<Job['checkpoint']> {
    const { model, variant } = command;
    const { signal, note, progress } = this.session;
    const located = await locate(model ?? packagedModel, command, {
      ...{ signal, note, onProgress: progress.update },
    });
    const opening = { ...singleFileOptions(located.path, command), unet: located.unet };
    const { hash } = await identifyCheckpoint(located.path, { variant, ...opening, signal });
    // A model of the hub is found by its name everywhere.
    const isHere = model !== undefined && resolve(located.path) === resolve(model);
    return { hash, path: isHere ? resolve(model) : model };
  }
}

/** The seed of a picture where none is passed: always the same, so that the work is the same. */
const seedOf = (hash: string): Seed => Number.parseInt(hash.slice(0, 8), 16);
